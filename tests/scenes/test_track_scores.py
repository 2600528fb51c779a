"""Tracks by the mean of their scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import Boxes3D, Results
from scenes.track_scores import tracks_from_score


def tracks(frames: list[list[tuple[str, float]]]) -> Results:
    """Frames of tracks by name, with their scores."""
    boxes = {}
    for index, named in enumerate(frames):
        count = len(named)
        boxes[f"frame{index}"] = Boxes3D(
            center_m=np.zeros((count, 3)),
            size_wlh_m=np.ones((count, 3)),
            rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            velocity_mps=np.zeros((count, 2)),
            label=np.zeros(count, dtype=np.int64),
            score=np.array([score for _, score in named], dtype=np.float64),
            track_id=np.array([name for name, _ in named], dtype=np.str_),
        )
    return Results(boxes)


def test_a_track_stays_whole_or_goes_whole() -> None:
    given_tracks = tracks([[("a", 0.2), ("b", 0.9)], [("a", 0.8), ("b", 0.0)], [], [("c", 0.5)]])
    kept = tracks_from_score(given_tracks, 0.5)
    assert [boxes.track_id.tolist() for boxes in kept.boxes.values()] == [["a"], ["a"], [], ["c"]]
    assert list(kept.boxes) == list(given_tracks.boxes)


@given(
    frames=st.lists(st.dictionaries(st.sampled_from("abcd"), st.floats(0.0, 1.0)), max_size=5),
    least=st.floats(0.0, 1.0),
)
def test_every_track_is_judged_by_the_mean_of_its_boxes(frames: list[dict[str, float]], least: float) -> None:
    kept = tracks_from_score(tracks([list(frame.items()) for frame in frames]), least)
    for index, frame in enumerate(frames):
        stayed = set(kept.boxes[f"frame{index}"].track_id.tolist())
        for name in frame:
            mean = np.mean([other[name] for other in frames if name in other])
            if mean != pytest.approx(least, abs=1e-9):
                assert (name in stayed) == (mean > least)
