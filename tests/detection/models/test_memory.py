"""The memory: what is kept, in which frame, for how long, and for which stream."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from detection.frames import FrameBatch
from detection.models.memory import NO_QUERY, TemporalMemory
from scenes.errors import InputError

LENGTH, TOPK, PROPAGATED, CHANNELS, QUERIES = 6, 3, 2, 4, 5
START_POINTS_M = torch.tensor([[1.0, 2.0, 0.0], [-3.0, 4.0, 1.0]])
MakeFrame = Callable[..., FrameBatch]


@pytest.fixture
def memory() -> TemporalMemory:
    return TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)


def _push(memory: TemporalMemory, frame: FrameBatch, seed: int = 0) -> dict[str, torch.Tensor]:
    """Aligns and pushes random queries, of which the last ones score best; returns what was offered."""
    streams = len(frame.images)
    generator = torch.Generator().manual_seed(seed)
    memory.align(frame, START_POINTS_M)
    offered = dict(
        scores=torch.linspace(0.1, 0.9, QUERIES).expand(streams, -1),
        embeddings=torch.randn(streams, QUERIES, CHANNELS, generator=generator),
        points_m=20 * torch.randn(streams, QUERIES, 3, generator=generator),
        velocities_mps=torch.randn(streams, QUERIES, 2, generator=generator),
        query_ids=memory.name_queries(QUERIES),
    )
    memory.push(**offered)
    return offered


def test_a_scene_starts_with_the_given_points_and_nothing_else(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    memory.align(make_frame(3, continues=[True, False]), START_POINTS_M)  # nothing to continue yet
    rows = memory.read()
    assert all(value.is_contiguous() for value in rows.tensors())  # as later: compiled code is made for strides, too
    assert rows.embeddings.shape == (2, LENGTH, CHANNELS)
    assert not rows.embeddings.any() and not rows.velocities_mps.any() and not memory.ages_s().any()
    torch.testing.assert_close(rows.reference_points_m[:, :PROPAGATED], START_POINTS_M.expand(2, -1, -1))
    assert not rows.reference_points_m[:, PROPAGATED:].any()
    torch.testing.assert_close(rows.poses[:, :PROPAGATED], torch.eye(4).expand(2, PROPAGATED, 4, 4))
    assert not rows.poses[:, PROPAGATED:].any()
    assert rows.query_ids.tolist() == [[0, 1, *[NO_QUERY] * 4]] * 2


def test_best_queries_are_pushed_in_front_best_first(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    offered = _push(memory, make_frame(0, continues=[False]))
    memory.align(make_frame(1), START_POINTS_M)
    rows = memory.read()
    torch.testing.assert_close(rows.embeddings[:, :TOPK], offered["embeddings"].flip(1)[:, :TOPK])
    torch.testing.assert_close(rows.velocities_mps[:, :TOPK], offered["velocities_mps"].flip(1)[:, :TOPK])
    assert rows.query_ids[0].tolist() == [6, 5, 4, 0, 1, NO_QUERY]


def test_rows_follow_the_ego_motion(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    frames = [make_frame(t, continues=[t > 0]) for t in range(3)]
    offered = _push(memory, frames[0])
    _push(memory, frames[1], seed=1)
    memory.align(frames[2], START_POINTS_M)
    rows = memory.read()

    old_to_global, new_to_global = (frames[t].global_from_lidar[0].double().numpy() for t in (0, 2))
    new_from_old = np.linalg.inv(new_to_global) @ old_to_global
    points = offered["points_m"][0].flip(0)[:TOPK].double().numpy()
    expected = points @ new_from_old[:3, :3].T + new_from_old[:3, 3]
    second_push = slice(TOPK, 2 * TOPK)
    np.testing.assert_allclose(rows.reference_points_m[0, second_push].numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(rows.poses[0, TOPK].numpy(), new_from_old, atol=2e-5)


def test_coordinates_far_from_the_origin_lose_nothing(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    """A UTM northing has seven digits before the point."""
    near, far = memory, TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    for one, offset_m in ((near, 0.0), (far, 5_400_000.0)):
        frames = [make_frame(t, continues=[t > 0]) for t in range(2)]
        for frame in frames:
            frame.global_from_lidar[:, 1, 3] += offset_m
        _push(one, frames[0])
        one.align(frames[1], START_POINTS_M)
    torch.testing.assert_close(far.read().reference_points_m, near.read().reference_points_m, atol=1e-5, rtol=0)


def test_ages_keep_the_precision_of_unix_time(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    _push(memory, make_frame(0, continues=[False]))
    _push(memory, make_frame(1))
    memory.align(make_frame(2), START_POINTS_M)
    assert memory.ages_s().dtype == torch.float64
    assert memory.ages_s()[0].tolist() == [0.5] * TOPK + [1.0] * TOPK


def test_old_rows_fall_out(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    pushed = [_push(memory, make_frame(t, continues=[t > 0]), seed=t) for t in range(4)]
    memory.align(make_frame(4), START_POINTS_M)
    expected = torch.cat([pushed[t]["query_ids"][0].flip(0)[:TOPK] for t in (3, 2)])
    assert memory.read().query_ids[0].tolist() == expected.tolist()


def test_each_stream_starts_its_scene_alone(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    both, alone = memory, TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    _push(both, make_frame(0, continues=[False, False]))
    _push(alone, make_frame(0, continues=[False, False]))
    frame = make_frame(1, continues=[True, False])
    both.align(frame, START_POINTS_M)
    continued, started = both.read(), TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    started.align(frame, START_POINTS_M)
    alone.align(make_frame(1, continues=[True, True]), START_POINTS_M)
    for mixed, kept, fresh in zip(continued.tensors(), alone.read().tensors(), started.read().tensors(), strict=True):
        torch.testing.assert_close(mixed[0], kept[0])
        torch.testing.assert_close(mixed[1], fresh[1])


def test_no_gradient_passes_into_the_bank(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    memory.align(make_frame(0, continues=[False]), START_POINTS_M.clone().requires_grad_())
    wanting = [torch.rand(1, QUERIES, size, requires_grad=True) for size in (CHANNELS, 3, 2)]
    memory.push(torch.rand(1, QUERIES, requires_grad=True), *wanting, memory.name_queries(QUERIES))
    assert not any(value.requires_grad for value in memory.state().values())


def test_rows_stay_float32_under_autocast(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    plain = TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    _push(plain, make_frame(0, continues=[False]))
    plain.align(make_frame(1), START_POINTS_M)
    with torch.autocast("cpu", torch.bfloat16):
        _push(memory, make_frame(0, continues=[False]))
        memory.align(make_frame(1), START_POINTS_M)
    for half, full in zip(memory.read().tensors(), plain.read().tensors(), strict=True):
        assert half.dtype == full.dtype
        assert torch.equal(half, full)


def test_state_goes_on_where_it_was_taken(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    assert memory.state() == {}
    _push(memory, make_frame(0, continues=[False, False]))
    other = TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    other.load_state({name: value.clone() for name, value in memory.state().items()})
    for one in (memory, other):
        _push(one, make_frame(1, continues=[True, True]), seed=1)
    assert memory.state().keys() == other.state().keys()
    assert all(torch.equal(value, other.state()[name]) for name, value in memory.state().items())
    other.load_state({})
    assert other.state() == {}


def test_state_of_another_memory_is_refused(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    _push(memory, make_frame(0, continues=[False]))
    state = memory.state()
    with pytest.raises(InputError, match="9 rows of 8 channels, the state 9 of 4"):
        TemporalMemory(LENGTH, TOPK, PROPAGATED, 8).load_state(state)
    with pytest.raises(InputError, match="next_query_ids"):
        memory.load_state({name: value for name, value in state.items() if name != "poses"})


def test_another_number_of_streams_may_start_but_not_continue(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    _push(memory, make_frame(0, continues=[False, False]))
    with pytest.raises(InputError, match="holds 2 streams, and sample sample-0-1 continues a scene in a batch of 1"):
        memory.align(make_frame(1, continues=[True]), START_POINTS_M)
    memory.align(make_frame(1, continues=[False]), START_POINTS_M)
    assert len(memory.read().query_ids) == 1


def test_order_of_calls_is_checked(memory: TemporalMemory) -> None:
    for call in (memory.read, memory.ages_s, lambda: memory.name_queries(1)):
        with pytest.raises(RuntimeError, match=r"^align the memory to a frame first$"):
            call()


def test_rows_lie_where_the_frame_lies(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    """Whatever the default device is: the frame is on the CPU, and a tensor made elsewhere has no values."""
    frames = [make_frame(t, continues=[t > 0]) for t in range(2)]
    plain = TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS)
    _push(plain, frames[0])
    plain.align(frames[1], START_POINTS_M)
    with torch.device("cpu"):
        offered = _push(TemporalMemory(LENGTH, TOPK, PROPAGATED, CHANNELS), frames[0])
    with torch.device("meta"):
        memory.align(frames[0], START_POINTS_M)
        assert memory.name_queries(QUERIES).device.type == "cpu"
        memory.push(**offered)
        memory.align(frames[1], START_POINTS_M)
    for mine, expected in zip(memory.read().tensors(), plain.read().tensors(), strict=True):
        assert torch.equal(mine, expected)


def test_names_are_given_once(memory: TemporalMemory, make_frame: MakeFrame) -> None:
    memory.align(make_frame(0, continues=[False]), START_POINTS_M)
    assert [memory.name_queries(count)[0].tolist() for count in (2, 1, 3)] == [[2, 3], [4], [5, 6, 7]]


@pytest.mark.parametrize("sizes", [(6, 3, 1), (6, 3, 3), (3, 3, 3), (1, 1, 1)])
def test_smallest_and_largest_sizes_that_fit(sizes: tuple[int, int, int]) -> None:
    assert TemporalMemory(*sizes).embed_dims == 256


@pytest.mark.parametrize("sizes", [(6, 3, 0), (6, 3, 4), (2, 3, 1)])
def test_sizes_that_do_not_fit_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="num_propagated"):
        TemporalMemory(*sizes)
