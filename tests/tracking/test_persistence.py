"""Which boxes are followed, and what is learned from it."""

import numpy as np
import pytest

from scenes import Boxes3D
from tracking import Tracker, TrackerConfig
from tracking.class_table import ClassTable
from tracking.persistence import ScoreLearner, Waiting, learn_from_drives

TABLE = ClassTable.from_config(TrackerConfig())
GATE_M = TrackerConfig().classes["car"].gate_m


def outcome(before: Boxes3D, after: Boxes3D, elapsed_s: float = 0.5) -> list[bool]:
    first, later = Waiting.of(before, 1_000_000, TABLE), Waiting.of(after, round(1e6 * (1.0 + elapsed_s)), TABLE)
    return first.are_followed(later, TABLE).tolist()


def test_a_box_is_followed_by_one_of_its_class_within_half_the_gate(boxes_at) -> None:
    before = boxes_at([(100.0, 50.0)])
    for offset_m, expected in ((0.0, True), (0.49 * GATE_M, True), (0.51 * GATE_M, False)):
        after = boxes_at([(100.0 + offset_m, 50.0)])
        assert outcome(before, after) == [expected]
        assert outcome(before, after.replace(label=after.label + 1)) == [False]
    assert outcome(before, Boxes3D.empty()) == [False] and outcome(Boxes3D.empty(), before) == []


def test_boxes_are_expected_where_their_velocity_takes_them(boxes_at) -> None:
    fast = boxes_at([(0.0, 0.0)]).replace(velocity_mps=np.array([[20.0, 0.0]]))
    assert outcome(fast, boxes_at([(10.0, 0.0)])) == [True]
    assert outcome(fast, boxes_at([(0.0, 0.0)])) == [False]
    assert outcome(fast, boxes_at([(10.0, 0.0)]), elapsed_s=1.0) == [False]
    impossible = fast.replace(velocity_mps=np.array([[2000.0, 0.0]]))
    assert outcome(impossible, boxes_at([(0.0, 0.0)])) == [True]


def counts(times_s: list[float], boxes: Boxes3D) -> tuple[int, float, float]:
    learner = ScoreLearner(TABLE)
    for time_s in times_s:
        learner.see(boxes, round(1e6 * time_s))
    return learner.scale.frames, learner.scale.judged.sum(), learner.scale.followed.sum()


@pytest.mark.parametrize(
    ("times_s", "frames", "judged"),
    [
        ([10.0, 10.5, 11.0], 3, 2),
        ([10.0 + 0.1 * index for index in range(11)], 3, 2),  # 10 Hz
        ([10.0, 10.05, 10.1], 1, 0),
        ([10.0, 13.0, 13.5], 3, 1),  # a gap
        ([10.0, 9.0, 9.5], 3, 1),  # time runs backwards
        ([10.0, 10.0, 10.0], 1, 0),
    ],
)
def test_boxes_are_compared_with_those_of_a_key_frame_later(boxes_at, times_s, frames: int, judged: int) -> None:
    assert counts(times_s, boxes_at([(3.0, 4.0)])) == (frames, judged, judged)


def test_boxes_that_cannot_be_tracked_teach_nothing(boxes_at) -> None:
    scores = np.array([0.1, 0.5, np.nan, np.inf, -np.inf, 0.9])
    boxes = boxes_at(50.0 * np.arange(12.0).reshape(6, 2), score=scores)
    learner = ScoreLearner(TABLE)
    learner.see(boxes.replace(label=np.array([0, 9, 0, 0, 0, 0])), 0)  # the second is no class that is tracked
    assert learner.scale.score.tolist() == [0.1, 0.9] and learner.scale.count.tolist() == [1.0, 1.0]


def test_drives_are_learned_from_one_after_another(boxes_at) -> None:
    """The last boxes of a drive are not followed by those of the next."""
    boxes = boxes_at([(0.0, 0.0), (40.0, 0.0)], score=np.array([0.3, 0.8]))
    drive = [(boxes, 0), (boxes, 500_000)]
    scale = learn_from_drives([drive, drive, []], TABLE)
    assert (scale.frames, scale.count.sum(), scale.judged.sum(), scale.followed.sum()) == (4, 8.0, 4.0, 4.0)
    assert learn_from_drives([], TABLE).frames == 0


def test_clutter_that_flickers_comes_to_start_no_track(boxes_at) -> None:
    """At first its score is believed; then it is seen that nothing follows."""
    rng = np.random.default_rng(0)
    places = np.column_stack([np.linspace(-40.0, 40.0, 9), np.full(9, 20.0)])
    tracker, started = Tracker(), []
    for frame in range(60):
        clutter = rng.uniform(-900.0, 900.0, (40, 2))
        boxes = boxes_at(np.concatenate([places, clutter]), score=np.repeat([0.89, 0.87], [9, 40]))
        assigned = tracker.assign(boxes, 500_000 * frame, np.eye(4))
        of_clutter = assigned.measured.boxes.score == 0.87
        started.append(np.mean(assigned.number[of_clutter] > 0))
    assert np.mean(started[:3]) > 0.5 > 5.0 * np.mean(started[-10:])
