"""Whole files: scenes apart, identities unique; `tests/tools/test_published_numbers.py` has the promised numbers."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.tracking import tracking_metrics
from scenes import LABEL_OF_CLASS, Boxes3D, InputError, Results, Scene, read_detections, read_scenes, select_samples
from scenes.city.simulated_detector import simulate_detections
from scenes.result_format import MAX_BOXES_PER_SAMPLE
from tracking import TrackerConfig, track_results, track_several, tracker_config_from_dict


@pytest.fixture(scope="module")
def real_scenes(mini_val: Path) -> list[Scene]:
    return read_scenes(mini_val, "v1.0-mini", "mini_val")


def real_detections(shared: Path, scenes: list[Scene], detector: str) -> Results:
    path = shared / "detections" / f"{detector}.json"
    return select_samples(read_detections(path), [token for scene in scenes for token in scene.sample_tokens], (), path)


def identities(results: Results, scene: Scene) -> set[str]:
    return {identity for token in scene.sample_tokens for identity in results.boxes[token].track_id.tolist()}


def same(first: Results, second: Results) -> bool:
    columns = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score", "track_id")
    return list(first.boxes) == list(second.boxes) and all(
        np.array_equal(getattr(first.boxes[token], name), getattr(second.boxes[token], name))
        for token in first.boxes
        for name in columns
    )


def test_increasing_changes_of_scores_that_are_no_probabilities_change_no_track(shared, real_scenes) -> None:
    detections = real_detections(shared, real_scenes, "fastbev")
    scales = (lambda score: 100.0 * score + 1.0, lambda score: np.exp(5.0 * score))
    plain, other = (
        track_results(
            Results({token: boxes.replace(score=scale(boxes.score)) for token, boxes in detections.boxes.items()}),
            real_scenes,
        )
        for scale in scales
    )
    for token, boxes in plain.boxes.items():
        assert boxes.track_id.tolist() == other.boxes[token].track_id.tolist()
        np.testing.assert_allclose(boxes.score, other.boxes[token].score, atol=0.01)


def test_workers_change_nothing_and_identities_are_unique(city_scenes) -> None:
    once = simulate_detections(city_scenes)
    # Enough frames for a run in several processes.
    marks = [f"drive-{copy}" for copy in range(9)]
    scenes = [repeated(scene, mark) for mark in marks for scene in city_scenes]
    detections = Results({f"{token}-{mark}": boxes for mark in marks for token, boxes in once.boxes.items()})
    one, two = (track_results(detections, scenes, workers=workers) for workers in (1, 2))
    assert same(one, two)
    seen: set[str] = set()
    for scene in scenes:
        own = identities(one, scene)
        assert own and not own & seen
        seen |= own


def repeated(scene: Scene, mark: str) -> Scene:
    """The same drive under other tokens."""
    frames = tuple(replace(frame, token=f"{frame.token}-{mark}") for frame in scene.frames)
    return replace(scene, token=f"{scene.token}-{mark}", frames=frames)


def test_fewer_switches_with_queries_than_without(city_scenes) -> None:
    switches = {True: 0.0, False: 0.0}
    for seed in range(3):
        detections = simulate_detections(city_scenes, seed=seed)
        for use_identity in switches:
            tracks = track_results(detections, city_scenes, TrackerConfig(use_identity=use_identity))
            switches[use_identity] += tracking_metrics(tracks, city_scenes).summary["ids"]
    assert switches[True] < switches[False]


def test_scene_of_one_frame_and_empty_frames(city_scenes) -> None:
    scene = city_scenes[0]
    short = Scene(scene.token, scene.name, "", "", scene.frames[:1])
    detections = simulate_detections([short])
    assert len(track_results(detections, [short]).boxes[scene.frames[0].token]) > 0
    nothing = Results({token: Boxes3D.empty() for token in scene.sample_tokens})
    tracks = track_results(nothing, [scene])
    assert [len(boxes) for boxes in tracks.boxes.values()] == [0] * len(scene.frames)


@pytest.mark.parametrize("offline", [False, True])
def test_no_more_tracks_are_reported_than_a_file_may_hold(offline: bool, boxes_at, city_scenes, known, caplog) -> None:
    """600 cars, as several detectors together may find them."""
    scene = replace(city_scenes[0], frames=city_scenes[0].frames[:8])
    x, y = np.meshgrid(np.arange(30) * 12.0, np.arange(20) * 12.0)
    here_m = scene.frames[0].global_from_ego[:2, 3] + np.column_stack([x.ravel(), y.ravel()])
    detections = Results(dict.fromkeys(scene.sample_tokens, boxes_at(here_m)))
    with caplog.at_level(logging.WARNING):
        tracks = track_results(detections, [scene], TrackerConfig(max_tracks=2000), offline=offline, calibration=known)
    counts = [len(boxes) for boxes in tracks.boxes.values()]
    assert max(counts) == MAX_BOXES_PER_SAMPLE
    assert "beyond the 500 best of their sample" in caplog.text


def test_two_boxes_of_one_track_in_a_frame_are_refused_with_hindsight(boxes_at, city_scenes) -> None:
    scene = city_scenes[0]
    place_m = scene.frames[0].global_from_ego[:2, 3]
    named = boxes_at([place_m, place_m + 20.0], track_id=np.array(["7", "7"]))
    tracks = Results(dict.fromkeys(scene.sample_tokens, named))
    message = f"sample '{scene.sample_tokens[0]}': tracking_id '7' names 2 boxes of car"
    with pytest.raises(InputError, match=f"^{message}$"):
        track_results(tracks, [scene], offline=True)
    sound = Results({token: named.select(np.array([0])) for token in scene.sample_tokens})
    with pytest.raises(InputError, match=f"^file 2: {message}$"):
        track_several([sound, tracks], [scene])
    both = named.replace(label=np.array([LABEL_OF_CLASS["car"], LABEL_OF_CLASS["truck"]]))
    track_results(Results(dict.fromkeys(scene.sample_tokens, both)), [scene], offline=True)


def test_a_class_that_is_not_configured_is_left_out(city_scenes) -> None:
    detections = simulate_detections(city_scenes[:1])
    config = tracker_config_from_dict({"every_class": {"min_score": 0.3}})
    tracks = track_results(detections, city_scenes[:1], config)
    assert tracks.meta == detections.meta
    assert list(tracks.boxes) == list(city_scenes[0].sample_tokens)
