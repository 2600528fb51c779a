"""Which tracks are shown: those that count, or score well where nothing is annotated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.events import TrackEvents
from scenes import Boxes3D, Results, Scene
from tests.visualization.conftest import boxes_at, frame_at
from visualization import DEFAULT_SCORE, confidence_text, confident_tracks, find_events
from visualization.page_data import page_data

_NOTHING = TrackEvents({}, {}, {})


def identities(results: Results) -> set[str]:
    return {identity for boxes in results.boxes.values() for identity in boxes.track_id.tolist()}


def scored(scene, score_of_track):
    """Two tracks on the two cars and one far from both, with a score each."""
    places = {"1": (15.0, 0.2), "2": (5.0, 12.1), "3": (-20.0, -15.0)}
    boxes = boxes_at([places[track] for track in score_of_track], list(score_of_track))
    boxes = boxes.replace(score=np.array(list(score_of_track.values())))
    return Results(dict.fromkeys(scene.sample_tokens, boxes))


def test_annotated_scenes_show_what_counts_at_the_best_mota(small_scene):
    tracks = scored(small_scene, {"1": 0.3, "2": 0.2, "3": 0.1})
    events = find_events([small_scene], tracks)
    shown = confident_tracks([small_scene], tracks, events)
    assert identities(shown) == {"1", "2"}
    assert confidence_text(events) == "tracks that count at the best MOTA"
    page = page_data(small_scene, tracks, None, events, lambda *_: None)
    assert {track["id"] for track in page["tracks"] if track["judged"]} == identities(shown)


def test_a_track_keeps_all_its_boxes_whatever_their_scores(small_scene):
    tracks = scored(small_scene, {"1": 0.9, "3": 0.1})
    last = small_scene.sample_tokens[-1]
    tracks.boxes[last] = tracks.boxes[last].replace(score=np.array([0.05, 0.1]))
    shown = confident_tracks([small_scene], tracks, _NOTHING)
    assert [boxes.track_id.tolist() for boxes in shown.boxes.values()] == [["1"]] * len(small_scene.frames)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_without_annotations_the_mean_score_decides(scores):
    frames = (replace(frame_at(index, Path(), Boxes3D.empty()), annotations=None, cameras=()) for index in range(3))
    scene = Scene("scene-token", "scene-a", "", "nowhere", tuple(frames))
    tracks = scored(scene, dict(zip("123", scores, strict=True)))
    events = find_events([scene], tracks)
    # The mean of equal numbers may differ from them in the last digit.
    certain = {track: score for track, score in zip("123", scores, strict=True) if abs(score - DEFAULT_SCORE) > 1e-9}
    shown = identities(confident_tracks([scene], tracks, events))
    assert shown & set(certain) == {track for track, score in certain.items() if score > DEFAULT_SCORE}
    assert confidence_text(events) == "tracks of mean score 0.4 or more"


@pytest.mark.parametrize("tracks", [Results({}), Results({"sample-0": Boxes3D.empty()})])
def test_frames_without_boxes_stay_so(small_scene, tracks):
    shown = confident_tracks([small_scene], tracks, _NOTHING)
    assert list(shown.boxes) == list(small_scene.sample_tokens)
    assert not any(len(boxes) for boxes in shown.boxes.values())
