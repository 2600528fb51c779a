"""Queries are listened to where they stay with their objects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import NO_QUERY
from scenes.geometry import pose_matrix
from tracking import Tracker, TrackerConfig
from tracking.identity_trust import IdentityTrust

QUERIES = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), max_size=12)


@given(QUERIES, QUERIES)
def test_frames_add_up(first, second) -> None:
    def after(trust: IdentityTrust, pairs) -> IdentityTrust:
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return trust.after(table[:, 0], table[:, 1])

    together = after(IdentityTrust(), first + second)
    assert after(after(IdentityTrust(), first), second) == together
    known = [pair for pair in first + second if NO_QUERY not in pair]
    start = IdentityTrust()
    assert together.kept - start.kept == sum(a == b for a, b in known)
    assert together.changed - start.changed == sum(a != b for a, b in known)


@pytest.mark.parametrize(("renames", "switched"), [(False, True), (True, False)])
def test_a_query_leads_astray_only_if_queries_were_kept_so_far(renames: bool, switched: bool, boxes_at) -> None:
    """Ten objects stand still for five frames; then two near ones have each other's query."""
    ego = pose_matrix([800.0, 300.0, 0.0], (1.0, 0.0, 0.0, 0.0))
    places = [(810.0, 300.0), (811.0, 300.0), *((800.0 + 15.0 * (k % 3), 320.0 + 8.0 * k) for k in range(8))]
    tracker, queries = Tracker(TrackerConfig(learn_noise=False, suppress_duplicates=False)), np.arange(10)
    for frame in range(5):
        named = queries + 10 * frame * renames
        tracks = tracker.step(boxes_at(places).replace(query_id=named), 500_000 * frame, ego)
    before = track_at(tracks, places[0])
    swapped = np.concatenate([named[[1, 0]], named[2:] + 10 * renames])
    tracks = tracker.step(boxes_at(places).replace(query_id=swapped), 2_500_000, ego)
    assert (track_at(tracks, places[0]) != before) == switched


def track_at(tracks, place) -> str:
    distance = np.linalg.norm(tracks.center_m[:, :2] - place, axis=1)
    return str(tracks.track_id[distance.argmin()])
