"""Patience, dormancy, the bound on live tracks, and scores."""

import numpy as np
import pytest

from tracking import CameraEvidenceConfig, TrackerConfig
from tracking.class_table import ClassTable
from tracking.lifetime import evidence_score, log_odds_so_far, patience_s, survivors, unsupported_s
from tracking.tracks import Tracks

CONFIG = TrackerConfig(newborn_unseen_s=0.6, unseen_share=0.5, identity_memory_s=3.0)
TABLE = ClassTable.from_config(CONFIG)


def tracks(count: int, **columns: object) -> Tracks:
    """Cars seen once, without a query."""
    default = {
        name: np.zeros((count, *column.shape[1:]), column.dtype) for name, column in Tracks.none().columns().items()
    }
    ordinary = {"number": np.arange(1, count + 1), "query_id": np.full(count, -1), "hits": np.ones(count, np.int64)}
    return Tracks.from_columns({**default, **ordinary, **{name: np.array(value) for name, value in columns.items()}})


def test_patience_grows_with_observation_up_to_the_class_limit() -> None:
    patience = patience_s(tracks(3, observed_s=[0.0, 1.0, 60.0]), CONFIG, TABLE)
    np.testing.assert_allclose(patience, [0.6, 1.1, CONFIG.classes["car"].max_unseen_s])


def test_tracks_die_when_their_patience_ends_and_sleep_while_their_query_may_return() -> None:
    rows = tracks(3, query_id=[-1, -1, 7])
    alive = survivors(rows, CONFIG, TABLE, np.array([0.5, 0.7, 2.9]), np.array([0.5, 0.7, 2.9]))
    assert alive.tolist() == [True, False, True]
    unseen_s = np.array([0.0, 0.0, 3.1])
    assert survivors(rows, CONFIG, TABLE, unseen_s, unseen_s).tolist() == [True, True, False]


def test_queries_are_not_waited_for_where_identity_does_not_count() -> None:
    config = TrackerConfig(newborn_unseen_s=0.6, use_identity=False, identity_memory_s=3.0)
    rows, unseen_s = tracks(2, query_id=[7, 7]), np.array([0.5, 0.7])
    assert survivors(rows, config, TABLE, unseen_s, unseen_s).tolist() == [True, False]


def test_the_last_moment_counts() -> None:
    rows = tracks(2, query_id=[-1, 7])
    unseen_s = np.array([0.6, 3.0])
    assert survivors(rows, CONFIG, TABLE, unseen_s, unseen_s).tolist() == [True, True]


def test_2d_boxes_count_for_some_time_after_the_last_3d_box() -> None:
    config = TrackerConfig(camera_evidence=CameraEvidenceConfig(keep_s=2.0))
    rows = tracks(4, seen_us=np.zeros(4, np.int64), supported_us=np.array([0, 1_000_000, 1_900_000, 2_900_000]))
    np.testing.assert_allclose(unsupported_s(rows, config, now_us=3_000_000), [3.0, 2.0, 1.1, 1.0])
    alive = survivors(rows, CONFIG, TABLE, np.full(4, 3.0), np.array([3.0, 2.0, 0.6, 0.5]))
    assert alive.tolist() == [False, False, True, True]


def test_a_3d_box_after_the_last_2d_box_counts() -> None:
    rows = tracks(1, seen_us=np.array([2_000_000]), supported_us=np.array([500_000]))
    assert unsupported_s(rows, TrackerConfig(), now_us=3_000_000).tolist() == [1.0]


def test_beyond_the_bound_those_unseen_longest_then_the_weakest_die() -> None:
    config = TrackerConfig(max_tracks=2)
    rows = tracks(4, score=[0.1, 0.9, 0.5, 0.8])
    unseen_s = np.array([0.0, 0.5, 0.0, 0.0])
    alive = survivors(rows, config, TABLE, unseen_s, unseen_s)
    assert alive.tolist() == [False, False, True, True]
    # The dead take nobody's place.
    unseen_s = np.array([0.0, 0.5, 0.0, 9.0])
    assert survivors(rows, config, TABLE, unseen_s, unseen_s).tolist() == [True, False, True, False]


def test_score_is_the_probability_times_a_share_of_time() -> None:
    score = evidence_score(np.full(2, np.log(0.8 / 0.2)), np.array([0.0, 1.5]), 2.0)
    assert score.tolist() == pytest.approx([0.8 * (1 - np.exp(-0.25)), 0.8 * (1 - np.exp(-1.0))])


def test_what_a_track_is_follows_from_all_boxes_the_last_one_and_how_long_it_was_seen() -> None:
    rows = tracks(3, hits=[4, 4, 1], evidence=[4.0, 4.0, 2.0], last_log_odds=[3.0, 3.0, 2.0])
    rows.observed_s[:] = [1.5, 1.5, 0.0]
    rows.missed_s[:] = [0.0, 2.0, 0.5]
    # Half of the mean and half of the last box; the third power of two of four seconds, and of a half of one.
    expected = [2.0, 2.0 + 3.0 * np.log(0.5), 2.0 + 3.0 * np.log(0.5)]
    assert log_odds_so_far(rows).tolist() == pytest.approx(expected)
