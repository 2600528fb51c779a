"""Samplers: whole sequences, the same number of steps for everybody, and a position that says everything."""

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.data import EvaluationSampler, FrameRequest, ShuffledSampler, StreamingSampler
from scenes import InputError


class _Sequences:
    """A data set as far as a sampler looks at it."""

    def __init__(self, lengths: list[int]) -> None:
        ends = np.cumsum(lengths)
        self.sequences = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]

    def __len__(self) -> int:
        return sum(map(len, self.sequences))


lengths = st.lists(st.integers(1, 7), min_size=1, max_size=9)
batch_sizes = st.integers(1, 4)
world_sizes = st.integers(1, 3)


def _streams(
    sampler_type: type, dataset: _Sequences, batch_size: int, world_size: int, iterations: int, start: int = 0
) -> list[list[FrameRequest]]:
    """What each slot of all processes shows."""
    streams: list[list[FrameRequest]] = []
    for rank in range(world_size):
        sampler = sampler_type(dataset, batch_size, seed=7, rank=rank, world_size=world_size)
        sampler.load_state_dict({**sampler.state_dict(), "iteration": start})
        requests = list(islice(sampler, iterations * batch_size))
        assert [request.slot for request in requests] == list(range(batch_size)) * iterations
        streams += [requests[slot::batch_size] for slot in range(batch_size)]
    return streams


@given(lengths, batch_sizes, world_sizes)
def test_each_slot_shows_whole_sequences(lengths: list[int], batch_size: int, world_size: int) -> None:
    dataset = _Sequences(lengths)
    following = {int(a): int(b) for sequence in dataset.sequences for a, b in pairwise(sequence)}
    first = {int(sequence[0]) for sequence in dataset.sequences}
    last = {int(sequence[-1]) for sequence in dataset.sequences}
    for stream in _streams(StreamingSampler, dataset, batch_size, world_size, 40):
        assert stream[0].index in first and not stream[0].continues_scene
        for before, request in pairwise(stream):
            if request.continues_scene:
                assert request.index == following[before.index]
            else:
                assert before.index in last and request.index in first


@given(lengths, batch_sizes, world_sizes)
def test_an_epoch_deals_out_every_sequence_once(lengths: list[int], batch_size: int, world_size: int) -> None:
    dataset = _Sequences([3] * len(lengths))  # of one length: the slots change in step, and epochs can be counted
    streams = _streams(StreamingSampler, dataset, batch_size, world_size, 3 * len(lengths))
    starts = [[request.index for request in stream if not request.continues_scene] for stream in streams]
    in_turn = [index for row in zip(*starts, strict=True) for index in row]
    epochs = [in_turn[at : at + len(lengths)] for at in range(0, len(in_turn), len(lengths))]
    for epoch in epochs:
        assert len(epoch) == len(set(epoch)) == len(lengths)


@given(lengths, batch_sizes, world_sizes, st.integers(0, 60), st.sampled_from([StreamingSampler, ShuffledSampler]))
def test_resumes_where_it_stopped(
    lengths: list[int], batch_size: int, world_size: int, start: int, sampler_type: type
) -> None:
    dataset = _Sequences(lengths)
    whole = _streams(sampler_type, dataset, batch_size, world_size, start + 15)
    resumed = _streams(sampler_type, dataset, batch_size, world_size, 15, start)
    assert [stream[start:] for stream in whole] == resumed


def test_seeds_differ_between_slots_iterations_and_runs() -> None:
    dataset = _Sequences([5] * 6)
    streams = _streams(StreamingSampler, dataset, 2, 2, 20)
    seeds = [request.seed for stream in streams for request in stream]
    assert len(set(seeds)) == len(seeds)
    other = StreamingSampler(dataset, 2, seed=8, rank=0, world_size=2)  # type: ignore[arg-type]
    assert other._seed not in {seed[0] for seed in seeds}
    assert [request.index for request in islice(other, 40)] != [streams[i % 2][i // 2].index for i in range(40)]


def test_a_seed_names_run_iteration_and_slot_of_all_processes() -> None:
    streams = _streams(StreamingSampler, _Sequences([5] * 6), 2, 2, 4, start=3)
    for slot, stream in enumerate(streams):
        assert [request.seed for request in stream] == [(7, iteration, slot) for iteration in range(3, 7)]


def test_a_new_sampler_begins_at_the_beginning_with_seed_0() -> None:
    sampler = StreamingSampler(_Sequences([5] * 3), 1, rank=0, world_size=1)  # type: ignore[arg-type]
    assert sampler.state_dict() == {"iteration": 0, "seed": 0, "slots": 1}
    requests = list(islice(sampler, 4))
    assert [request.seed for request in requests] == [(0, iteration, 0) for iteration in range(4)]
    assert [request.continues_scene for request in requests] == [False, True, True, True]
    resumed = StreamingSampler(_Sequences([5] * 3), 1, rank=0, world_size=1)  # type: ignore[arg-type]
    resumed.iteration = 2
    assert [request.continues_scene for request in islice(resumed, 2)] == [True, True]


@pytest.mark.parametrize("sampler_type", [StreamingSampler, ShuffledSampler, EvaluationSampler])
def test_running_processes_are_asked_for_their_rank(sampler_type: type, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = _Sequences([2] * 9)
    batch_size = {} if sampler_type is EvaluationSampler else {"batch_size": 2}
    told = sampler_type(dataset, rank=1, world_size=3, **batch_size)
    monkeypatch.setattr("detection.data.sampler.get_dist_info", lambda: (1, 3))
    asked = sampler_type(dataset, **batch_size)
    assert len(asked) == len(told)
    assert list(islice(asked, 6)) == list(islice(told, 6))


def test_order_is_drawn_anew_each_epoch() -> None:
    stream = _streams(StreamingSampler, _Sequences([1] * 8), 1, 1, 24)[0]
    epochs = [tuple(request.index for request in stream[at : at + 8]) for at in (0, 8, 16)]
    assert len(set(epochs)) == 3


@given(st.integers(1, 40), batch_sizes, world_sizes)
def test_shuffled_frames_come_once_an_epoch(frames: int, batch_size: int, world_size: int) -> None:
    dataset = _Sequences([frames])
    streams = _streams(ShuffledSampler, dataset, batch_size, world_size, 2 * frames)
    in_turn = [request.index for row in zip(*streams, strict=True) for request in row]
    for at in range(0, len(in_turn), frames):
        assert sorted(in_turn[at : at + frames]) == list(range(frames))
    assert not any(request.continues_scene for stream in streams for request in stream)


@given(lengths, batch_sizes, world_sizes)
def test_all_processes_count_the_same_steps(lengths: list[int], batch_size: int, world_size: int) -> None:
    dataset = _Sequences(lengths)
    samplers = [
        StreamingSampler(dataset, batch_size, rank=rank, world_size=world_size)  # type: ignore[arg-type]
        for rank in range(world_size)
    ]
    assert len({len(sampler) for sampler in samplers}) == 1
    assert len(samplers[0]) % batch_size == 0
    assert len(samplers[0]) == max(1, sum(lengths) // (batch_size * world_size)) * batch_size


def test_goes_on_with_other_slots_as_with_new_scenes() -> None:
    dataset = _Sequences([9] * 8)
    before = StreamingSampler(dataset, 4, seed=3, rank=0, world_size=2)  # type: ignore[arg-type]
    before.iteration = 10
    after = StreamingSampler(dataset, 2, seed=0, rank=0, world_size=1)  # type: ignore[arg-type]
    after.load_state_dict(before.state_dict())
    assert after.iteration == 40
    requests = list(islice(after, 6))
    assert not any(request.continues_scene for request in requests[:2])
    assert any(request.continues_scene for request in requests[2:])


@given(lengths, world_sizes)
def test_evaluation_shows_every_frame_once_in_whole_scenes(lengths: list[int], world_size: int) -> None:
    dataset = _Sequences(lengths)
    shown: Counter[int] = Counter()
    for rank in range(world_size):
        sampler = EvaluationSampler(dataset, rank=rank, world_size=world_size)  # type: ignore[arg-type]
        requests = list(sampler)
        assert len(requests) == len(sampler)
        shown.update(request.index for request in requests)
        for before, request in zip([None, *requests], requests, strict=False):
            follows = before is not None and request.index == before.index + 1
            assert not request.continues_scene or follows
            begins = any(request.index == sequence[0] for sequence in dataset.sequences)
            assert request == FrameRequest(request.index, 0, not begins, (0, request.index, 0))
    assert shown == Counter(range(len(dataset)))


def test_evaluation_shares_scenes_evenly() -> None:
    dataset = _Sequences([40] * 10)
    shares = [len(EvaluationSampler(dataset, rank=rank, world_size=4)) for rank in range(4)]  # type: ignore[arg-type]
    assert sorted(shares) == [80, 80, 120, 120]


def test_evaluation_gives_the_next_longest_scene_to_whoever_has_fewest_frames() -> None:
    dataset = _Sequences([1, 4, 6, 3, 5, 2])
    samplers = [EvaluationSampler(dataset, rank=rank, world_size=2) for rank in range(2)]  # type: ignore[arg-type]
    starts = [[request.index for request in sampler if not request.continues_scene] for sampler in samplers]
    # 6 | 5, then 4 to the second and 3 to the first, 2 to the first, 1 to the second: 11 frames and 10, dealt in turn
    # they were 12 and 9. Each process keeps the order of the data set.
    assert starts == [[5, 11, 19], [0, 1, 14]]


@given(lengths, world_sizes)
def test_evaluation_burdens_nobody_who_had_more(lengths: list[int], world_size: int) -> None:
    """Without its last scene, which is its shortest, no process has more frames than any other in the end."""
    dataset = _Sequences(lengths)
    shares = []
    for rank in range(world_size):
        scenes: list[int] = []
        for request in EvaluationSampler(dataset, rank=rank, world_size=world_size):  # type: ignore[arg-type]
            scenes = [*scenes[:-1], scenes[-1] + 1] if request.continues_scene else [*scenes, 1]
        shares.append(scenes)
    least = min(sum(scenes) for scenes in shares)
    assert all(sum(scenes) - min(scenes, default=0) <= least for scenes in shares)


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="seed=-1"):
        StreamingSampler(_Sequences([1]), 1, seed=-1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_size=0"):
        StreamingSampler(_Sequences([1]), 0)  # type: ignore[arg-type]
