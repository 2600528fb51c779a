"""Scores and gaps of tracks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.engine.box_table import BoxTable
from evaluation.engine.track_table import build_tracks
from scenes import Boxes3D


def test_corrected_interpolation_puts_boxes_where_the_object_was() -> None:
    table = BoxTable(track_of_boxes([0.0, 3.0]), np.array([0, 3]))
    times_us = np.array([0, 500_000, 1_000_000, 1_500_000])
    track = np.zeros(2, dtype=np.int64)
    for interpolation, expected_m in (("corrected", [0, 1, 2, 3]), ("devkit", [0, 2, 1, 3])):
        filled = build_tracks(table, track, times_us, mean_scores=False, interpolation=interpolation)
        np.testing.assert_allclose(filled.xy_m[:, 0], expected_m)
        assert filled.filled.tolist() == [False, True, True, False]


def track_of_boxes(x_m: list[float]) -> Boxes3D:
    count = len(x_m)
    return Boxes3D(
        center_m=np.column_stack([x_m, np.zeros(count), np.zeros(count)]),
        size_wlh_m=np.ones((count, 3)),
        rotation=np.tile([1.0, 0, 0, 0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count, dtype=np.int64),
        score=np.ones(count),
        track_id=np.full(count, "a"),
    )


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=400))
def test_mean_scores_are_numpys_to_the_last_bit(scores: list[float]) -> None:
    table = BoxTable(track_of_boxes([0.0] * len(scores)).replace(score=np.array(scores)), np.arange(len(scores)))
    times_us = 500_000 * np.arange(len(scores))
    track = np.zeros(len(scores), dtype=np.int64)
    scored = build_tracks(table, track, times_us, mean_scores=True, interpolation="devkit")
    assert (scored.score == np.mean(scores)).all()


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 17, 127, 128, 129, 143, 250, 264, 400, 1100])
def test_mean_scores_of_tracks_that_alternate(count: int) -> None:
    """numpy adds in blocks: each length of a track has its own order of additions."""
    scores = np.random.default_rng(count).random((count, 2))
    frame = np.repeat(np.arange(count), 2)
    table = BoxTable(track_of_boxes([0.0] * 2 * count).replace(score=scores.ravel()), frame)
    track = np.tile([0, 1], count)
    times_us = 500_000 * np.arange(count)
    scored = build_tracks(table, track, times_us, mean_scores=True, interpolation="devkit")
    for number in range(2):
        assert set(scored.score[scored.track == number]) == {np.mean(np.ascontiguousarray(scores[:, number]))}
    assert (
        build_tracks(table, track, times_us, mean_scores=False, interpolation="devkit").score == scores.ravel()
    ).all()
