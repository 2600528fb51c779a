"""Comparisons: the official values, and intervals that tell chance from progress."""

import numpy as np
import pytest

from evaluation.comparison.bootstrap import comparison_table
from evaluation.comparison.tracks import HIGHER_IS_BETTER, compare_tracks
from evaluation.tracking import tracking_metrics
from scenes import Annotations, Boxes3D, Frame, Results, Scene, read_scenes, read_tracks
from scenes.geometry import pose_matrix, rotation_from_yaw

N_SCENES = 30
EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Where each scene begins: far from the origin, and turned."""
STEP_M = 1.5
"""What the ego drives from frame to frame."""


def driving(frame: int) -> np.ndarray:
    """The ego's pose in a frame of a scene."""
    return EGO @ pose_matrix([STEP_M * frame, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])


def scene(name: str, rng: np.random.Generator) -> Scene:
    count = 3
    center_m = np.column_stack([rng.uniform(-40, 40, (count, 2)), np.zeros(count)])
    boxes = Boxes3D(
        center_m=center_m,
        size_wlh_m=np.ones((count, 3)),
        rotation=np.tile([1.0, 0, 0, 0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count, dtype=np.int64),
        score=np.ones(count),
        track_id=np.array([f"{name}{index}" for index in range(count)]),
    ).transform(EGO)
    ones = np.ones(count, dtype=np.int64)
    annotations = Annotations(boxes, ones, ones, ones, Boxes3D.empty())
    frames = (
        Frame(f"{name}-{index}", 500_000 * index, driving(index), np.eye(4), (), annotations) for index in range(10)
    )
    return Scene(name, name, "", "", tuple(frames))


def tracks(scenes: list[Scene], miss_probability: float, seed: int) -> Results:
    rng = np.random.default_rng(seed)
    boxes = {}
    for scene_ in scenes:
        for frame in scene_.frames:
            found = frame.annotations.boxes
            found = found.select(rng.random(len(found)) >= miss_probability)
            boxes[frame.token] = found.replace(score=np.full(len(found), 0.5))
    return Results(boxes)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    return [scene(f"scene-{index}", rng) for index in range(N_SCENES)]


def test_values_are_the_official_ones(shared) -> None:
    scenes = read_scenes(shared / "nuscenes_mini_val", "v1.0-mini", "mini_val")
    runs = {
        name: read_tracks(shared / "expected" / "fastbev" / f"tracks_{name}.json")
        for name in ("centerpoint", "polymot")
    }
    differences = compare_tracks(runs, scenes, draws=50)
    official = {name: tracking_metrics(results, scenes).summary for name, results in runs.items()}
    for difference in differences["polymot"]:
        assert difference.first == pytest.approx(official["centerpoint"][difference.metric], abs=1e-12)
        assert difference.other == pytest.approx(official["polymot"][difference.metric], abs=1e-12)
    assert "2 scenes are few" in comparison_table(differences, "centerpoint", len(scenes))


def test_a_run_does_not_differ_from_itself(scenes) -> None:
    run = tracks(scenes, 0.3, seed=1)
    for difference in compare_tracks({"a": run, "b": run}, scenes)["b"]:
        assert (difference.low, difference.high, difference.probability_better) == (0, 0, 0)
        assert not difference.is_certain


def test_chance_is_not_certain_and_progress_is(scenes) -> None:
    runs = {
        "a": tracks(scenes, 0.3, seed=1),
        "chance": tracks(scenes, 0.3, seed=2),
        "better": tracks(scenes, 0.1, seed=3),
    }
    differences = {
        name: {difference.metric: difference for difference in of_run}
        for name, of_run in compare_tracks(runs, scenes).items()
    }
    assert differences["chance"].keys() == HIGHER_IS_BETTER.keys()
    assert not differences["chance"]["mota"].is_certain
    assert differences["better"]["mota"].is_certain and differences["better"]["mota"].probability_better == 1


def test_draws_are_seeded(scenes) -> None:
    runs = {"a": tracks(scenes, 0.3, seed=1), "b": tracks(scenes, 0.2, seed=2)}
    assert compare_tracks(runs, scenes, seed=5) == compare_tracks(runs, scenes, seed=5)
