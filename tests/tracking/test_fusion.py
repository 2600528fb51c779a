"""Result files of several detectors or trackers as one."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.tracking import tracking_metrics
from scenes import LABEL_OF_CLASS, Boxes3D, Results, read_detections, read_scenes, select_samples
from scenes.city.simulated_detector import simulate_detections
from tracking import Calibration, TrackerConfig, fusion, track_results, track_several
from tracking.fusion import fused

CARS = 14


def amota(tracks: Results, scenes) -> float:
    return float(tracking_metrics(tracks, scenes).summary["amota"])


@pytest.fixture(scope="module")
def two_detectors(city_scenes) -> list[Results]:
    """Each misses and invents boxes of its own."""
    return [simulate_detections(city_scenes, seed=seed) for seed in (1, 2)]


def test_two_detectors_together_are_better_than_alone(two_detectors, city_scenes) -> None:
    alone = [amota(track_results(file, city_scenes, offline=True), city_scenes) for file in two_detectors]
    assert amota(track_several(two_detectors, city_scenes), city_scenes) >= np.mean(alone) + 0.02


def test_two_trackers_together_are_better_than_each_alone(city_scenes) -> None:
    """In the mean of four pairs: of one the better tracker may have been lucky."""
    gains = []
    for seed in (1, 3, 5, 7):
        files = [track_results(simulate_detections(city_scenes, seed=seed + other), city_scenes) for other in (0, 1)]
        alone = [amota(file, city_scenes) for file in files]
        gains.append(amota(track_several(files, city_scenes), city_scenes) - max(alone))
    assert np.mean(gains) >= 0.005


def test_what_two_files_hold_is_one_object(two_detectors, city_scenes) -> None:
    """Also where the scores of one are on another scale; and the order of the files does not matter."""
    file = two_detectors[0]
    other = replace(file, boxes={token: boxes.replace(score=7.0 + boxes.score) for token, boxes in file.boxes.items()})
    every_track = TrackerConfig(report_probability=0.0)  # what two files hold is more probable
    alone = track_results(file, city_scenes, every_track, offline=True)
    for files in ([file, other], [other, file]):
        together = track_several(files, city_scenes, every_track)
        count, of_one = (sum(map(len, tracks.boxes.values())) for tracks in (together, alone))
        assert count < 1.1 * of_one
        assert amota(together, city_scenes) >= amota(alone, city_scenes) - 0.02


def test_a_file_that_tells_nothing_counts_for_nothing(two_detectors, city_scenes) -> None:
    rng = np.random.default_rng(5)
    ego_xy_m = {frame.token: frame.global_from_ego[:2, 3] for scene in city_scenes for frame in scene.frames}
    noise = {token: random_cars(rng, xy_m) for token, xy_m in ego_xy_m.items()}
    good = two_detectors[0]
    alone = amota(track_results(good, city_scenes, offline=True), city_scenes)
    assert amota(track_several([good, replace(good, boxes=noise)], city_scenes), city_scenes) >= alone - 0.03


def random_cars(rng: np.random.Generator, around_m: np.ndarray) -> Boxes3D:
    """As good as certain of cars that are nowhere twice."""
    xy_m = around_m + rng.uniform(-45.0, 45.0, (CARS, 2))
    return Boxes3D(
        center_m=np.column_stack([xy_m, np.ones(CARS)]),
        size_wlh_m=np.tile([1.9, 4.5, 1.6], (CARS, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (CARS, 1)),
        velocity_mps=np.full((CARS, 2), np.nan),
        label=np.full(CARS, LABEL_OF_CLASS["car"]),
        score=rng.uniform(0.8, 0.99, CARS),
    )


def test_a_file_may_lack_frames(two_detectors, city_scenes) -> None:
    """What it lacks counts neither for nor against an object."""
    whole, part = two_detectors
    tokens = [token for scene in city_scenes for token in scene.sample_tokens]
    held = {token: part.boxes[token] for token in tokens[: len(tokens) // 2]}
    together = track_several([whole, replace(part, boxes=held)], city_scenes)
    assert list(together.boxes) == tokens
    assert amota(together, city_scenes) >= amota(track_results(whole, city_scenes, offline=True), city_scenes) - 0.01


def test_classes_that_only_one_file_knows_are_believed_as_it_says(two_detectors, city_scenes) -> None:
    car, pedestrian = LABEL_OF_CLASS["car"], LABEL_OF_CLASS["pedestrian"]
    first, second = (
        replace(file, boxes={token: boxes.select(np.isin(boxes.label, labels)) for token, boxes in file.boxes.items()})
        for file, labels in zip(two_detectors, ([car, pedestrian], [car]), strict=True)
    )
    seen = {}

    def hindsight(results: Results) -> dict[str, np.ndarray]:
        seen.update(results.boxes)
        as_true_as_not = 1.0 / (1.0 + np.exp(0.5))
        return {token: np.full(len(boxes), as_true_as_not) for token, boxes in results.boxes.items()}

    config = TrackerConfig(birth_probability=0.0)
    known = [Calibration(fusion.Probabilities.unknown())] * 2
    results = fused([first, second], city_scenes, config, known, hindsight)
    for token, boxes in results.boxes.items():
        people = boxes.label == pedestrian
        np.testing.assert_allclose(boxes.score[people], seen[token].score[people])
        np.testing.assert_allclose(boxes.score[~people], 0.5, atol=0.02)


def test_no_boxes_at_all(city_scenes) -> None:
    nothing = Results({token: Boxes3D.empty() for scene in city_scenes for token in scene.sample_tokens})
    assert [len(boxes) for boxes in track_several([nothing, nothing], city_scenes).boxes.values()] == [0] * 48


def test_two_real_detectors_together_are_better_than_each_alone(shared, mini_val) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    tokens = [token for scene in scenes for token in scene.sample_tokens]
    paths = [shared / "detections" / f"{name}.json" for name in ("fastbev", "cc_3dt")]
    files = [select_samples(read_detections(path), tokens, (), path) for path in paths]
    alone = [amota(track_results(file, scenes, offline=True), scenes) for file in files]
    assert amota(track_several(files, scenes), scenes) > max(alone)
