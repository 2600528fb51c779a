"""Names of queries through a scripted sequence: births, survival, scene changes in one stream of a batch, reset."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from detection.frames import FrameBatch
from detection.models.heads.streampetr_head import StreamPETRHead
from detection.models.predictions import HeadOutputs, Predictions
from detection.registry import MODELS

NEW, CARRIED, LENGTH = 12, 4, 12  # of `head_config`
MakeFrame = Callable[..., FrameBatch]
FeaturesOf = Callable[[FrameBatch], tuple[torch.Tensor]]


@pytest.fixture
def run(head: StreamPETRHead, make_frame: MakeFrame, features_of: FeaturesOf) -> Callable[..., HeadOutputs]:
    """Runs the head over frame number t."""

    @torch.no_grad()
    def run(t: int, continues: list[bool]) -> HeadOutputs:
        frame = make_frame(t, continues)
        outputs: HeadOutputs = head(features_of(frame), frame)
        return outputs

    return run


def _names(outputs: HeadOutputs) -> list[list[int]]:
    assert outputs.query_ids is not None
    names: list[list[int]] = outputs.query_ids.tolist()
    return names


def _pushed_names(outputs: HeadOutputs) -> list[list[int]]:
    assert outputs.query_ids is not None and outputs.pushed is not None
    names: list[list[int]] = outputs.query_ids.gather(1, outputs.pushed).tolist()
    return names


def test_first_frame_names_stand_ins_then_new_queries(run: Callable[..., HeadOutputs]) -> None:
    assert _names(run(0, [False])) == [[*range(CARRIED, CARRIED + NEW), *range(CARRIED)]]


def test_carried_queries_keep_their_names_and_new_ones_take_the_next(run: Callable[..., HeadOutputs]) -> None:
    born = CARRIED + NEW
    before = run(0, [False])
    for t in range(1, 6):
        after = run(t, [True])
        assert _names(after) == [[*range(born, born + NEW), *_pushed_names(before)[0]]]
        born, before = born + NEW, after


def test_a_name_rides_with_its_query(head: StreamPETRHead, run: Callable[..., HeadOutputs]) -> None:
    """What memory holds under a name is what was decoded under that name."""
    assert head.memory is not None
    seen: dict[int, torch.Tensor] = {}
    for t in range(4):
        outputs = run(t, [t > 0])
        seen |= dict(zip(_names(outputs)[0], outputs.predictions.codes[-1, 0], strict=True))
        velocities = head.memory.state()["velocities_mps"][0, :CARRIED]
        for name, velocity in zip(_pushed_names(outputs)[0], velocities, strict=True):
            torch.testing.assert_close(velocity, seen[name][-2:])


def test_names_survive_many_refreshes(
    head: StreamPETRHead, run: Callable[..., HeadOutputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While carried queries score best they are pushed again and again, long after memory has been replaced."""
    plain = head.predictions

    def carried_win(decoded: torch.Tensor, reference_points: torch.Tensor) -> Predictions:
        predictions = plain(decoded, reference_points)
        predictions.logits[:, :, -CARRIED:] += 100
        return predictions

    monkeypatch.setattr(head, "predictions", carried_win)
    for t in range(3 * LENGTH // CARRIED):
        assert sorted(_pushed_names(run(t, [t > 0]))[0]) == list(range(CARRIED))


def test_memory_ranks_queries_by_the_last_decoder_layer(
    head: StreamPETRHead, run: Callable[..., HeadOutputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = head.predictions
    rising = torch.arange(float(NEW + CARRIED))

    def layers_disagree(decoded: torch.Tensor, reference_points: torch.Tensor) -> Predictions:
        predictions = plain(decoded, reference_points)
        predictions.logits[:] = -rising[:, None]
        predictions.logits[-1] = 0.1 * rising[:, None]
        return predictions

    monkeypatch.setattr(head, "predictions", layers_disagree)
    outputs = run(0, [False])
    assert len(outputs.predictions.logits) > 1 and outputs.pushed is not None
    pushed = outputs.pushed[0].tolist()
    assert pushed == list(range(NEW + CARRIED))[: -len(pushed) - 1 : -1]


def test_scene_change_in_one_stream_leaves_the_other_alone(
    run: Callable[..., HeadOutputs], head: StreamPETRHead
) -> None:
    script = [[False, False], [True, True], [True, False], [True, True]]
    together = [_names(run(t, continues)) for t, continues in enumerate(script)]
    assert together[2][1] == together[0][1]  # the second stream counts from 0 again
    assert together[3][1][:NEW] == together[1][1][:NEW]
    assert [names[0][:NEW][0] for names in together] == [CARRIED + t * NEW for t in range(4)]

    assert head.memory is not None
    head.memory.reset()
    alone = [_names(run(t, continues[:1])) for t, continues in enumerate(script)]
    assert [names[0] for names in alone] == [names[0] for names in together]


def test_reset_starts_anew(run: Callable[..., HeadOutputs], head: StreamPETRHead) -> None:
    first = run(0, [False])
    run(1, [True])
    assert head.memory is not None
    head.memory.reset()
    again = run(0, [True])  # nothing to continue after a reset
    assert _names(again) == _names(first)
    assert torch.equal(again.predictions.codes, first.predictions.codes)


def test_detections_bear_the_names_of_their_queries(run: Callable[..., HeadOutputs], head: StreamPETRHead) -> None:
    run(0, [False, False])
    outputs = run(1, [True, False])
    for stream, detections in enumerate(head.decode(outputs).detections()):
        assert detections.query_ids is not None and len(detections.query_ids)
        by_name = dict(zip(_names(outputs)[stream], outputs.predictions.codes[-1, stream], strict=True))
        for name, box in zip(detections.query_ids.tolist(), detections.boxes, strict=True):
            torch.testing.assert_close(box[:3], by_name[name][:3])


def test_detector_without_memory_names_nothing(
    head_config: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    config = {key: value for key, value in head_config.items() if key != "memory"}
    head = MODELS.build({**config, "type": "PETRHead"}).eval()
    frame = make_frame(0, [False])
    with torch.no_grad():
        (detections,) = head.decode(head(features_of(frame), frame)).detections()
    assert detections.query_ids is None
