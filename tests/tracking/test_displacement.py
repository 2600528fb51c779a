"""One place holds one object: of tracks of several classes the better one."""

import numpy as np
import pytest

from scenes import LABEL_OF_CLASS, Boxes3D
from scenes.geometry import rotation_from_yaw
from tracking import Tracker
from tracking.displacement import DISPLACED_LOG_ODDS, displaced

CAR, TRUCK = LABEL_OF_CLASS["car"], LABEL_OF_CLASS["truck"]


def below(second_xy_m: tuple[float, float], label: tuple[int, int] = (TRUCK, CAR), score=(0.6, 0.4)) -> list[bool]:
    """Of a body of 6 m at the origin and one of 4 m elsewhere, which is displaced."""
    xy_m = np.array([(0.0, 0.0), second_xy_m])
    return displaced(xy_m, np.array([6.0, 4.0]), np.array(label), np.array(score)).tolist()


def test_the_worse_track_is_displaced_within_a_third_of_the_longer_body() -> None:
    assert below((2.0, 0.0)) == [False, True]
    assert below((2.0, 0.0), score=(0.4, 0.6)) == [True, False]
    assert below((1.5, 1.5)) == below((2.2, 0.0)) == [False, False]


def test_tracks_of_one_class_and_equally_good_ones_stay() -> None:
    assert below((0.0, 0.0), label=(CAR, CAR)) == [False, False]
    assert below((0.0, 0.0), score=(0.5, 0.5)) == [False, False]
    nothing = np.zeros(0)
    assert not len(displaced(np.zeros((0, 2)), nothing, nothing.astype(np.int64), nothing))


@pytest.mark.parametrize(("offset_m", "lowered"), [(0.5, True), (30.0, False)])
def test_a_reported_score_says_so(offset_m: float, lowered: bool) -> None:
    def reported(labels: list[int], scores: list[float]) -> dict[int, float]:
        tracker, ego = Tracker(), np.eye(4)
        for frame in range(6):
            count = len(labels)
            boxes = Boxes3D(
                center_m=np.column_stack([10.0 + offset_m * np.arange(count), np.full((count, 2), 5.0)]),
                size_wlh_m=np.tile([2.0, 5.0, 2.0], (count, 1)),
                rotation=rotation_from_yaw(np.zeros(count)),
                velocity_mps=np.zeros((count, 2)),
                label=np.array(labels),
                score=np.array(scores),
            )
            tracks = tracker.step(boxes, 500_000 * frame, ego)
        return dict(zip(tracks.label.tolist(), tracks.score.tolist(), strict=True))

    def log_odds(score: float) -> float:
        return float(np.log(score / (1.0 - score)))

    beside_itself = reported([TRUCK, CAR], [0.9, 0.8])
    elsewhere = reported([TRUCK, TRUCK], [0.9, 0.8])
    assert beside_itself[TRUCK] == pytest.approx(max(elsewhere.values()), abs=0.05)
    first, second = log_odds(beside_itself[TRUCK]), log_odds(beside_itself[CAR])
    assert first > second
    if lowered:
        assert second < first + DISPLACED_LOG_ODDS
