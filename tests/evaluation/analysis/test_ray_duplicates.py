"""Duplicates along the ray: boxes put where it is known whose they are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.analysis.ray_duplicates import RayDuplicates, ray_duplicates
from scenes import LABEL_OF_CLASS, Annotations, Boxes3D, Frame, Results, Scene, read_scenes, read_split_detections
from scenes.geometry import pose_matrix, rotation_from_yaw

EGO = pose_matrix([600.0, 1600.0, 3.0], rotation_from_yaw(2.1)[0].tolist())
CAR = LABEL_OF_CLASS["car"]


def boxes(places_m: Sequence[Sequence[float]], label: int = CAR, scores: Sequence[float] | None = None) -> Boxes3D:
    """Cars of 2 m x 4 m at places (x, y) as the car sees them."""
    count = len(places_m)
    return Boxes3D(
        center_m=np.c_[np.array(places_m, dtype=np.float64).reshape(-1, 2), np.zeros(count)],
        size_wlh_m=np.tile([2.0, 4.0, 1.5], (count, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.full(count, label),
        score=np.ones(count) if scores is None else np.array(scores),
    ).transform(EGO)


def scene(annotated: Boxes3D) -> Scene:
    """Three frames of a car that drives; there is something only where it stands at `EGO`, in the middle one."""
    frames = []
    for index, boxes_here in enumerate((Boxes3D.empty(), annotated, Boxes3D.empty())):
        count = np.ones(len(boxes_here), dtype=np.int64)
        pose = EGO @ pose_matrix([15.0 * (index - 1), 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
        annotations = Annotations(boxes_here, count, count, 4 * count, Boxes3D.empty())
        frames.append(Frame("abc"[index], 500_000 * index, pose, None, (), annotations))
    return Scene("s", "s", "", "", tuple(frames))


def counted(annotated: Boxes3D, found: Boxes3D) -> tuple[int, int]:
    """Whatever the order of the frames in the file."""
    seen = {"a": Boxes3D.empty(), "b": found, "c": Boxes3D.empty()}
    results = [
        ray_duplicates(Results({token: seen[token] for token in order}), [scene(annotated)]) for order in ("abc", "bca")
    ]
    assert results[0] == results[1]
    return results[0].annotations, results[0].duplicates


def spare(count: int) -> list[list[float]]:
    """Near annotations, which let as many more boxes count."""
    return [[-5.0 - 3.0 * index, 0.0] for index in range(count)]


def test_boxes_behind_one_another_are_duplicates_of_the_object_between_them() -> None:
    annotated = boxes([[40.0, 0.0], *spare(4)])
    assert counted(annotated, boxes([[41.0, 0.0]])) == (1, 0)
    assert counted(annotated, boxes([[35.0, 0.0], [41.0, 0.5], [47.0, 1.0]])) == (1, 2)
    assert counted(annotated, boxes([[41.0, 0.0], [41.0, 4.0]])) == (1, 0), "beside the ray"
    assert counted(annotated, boxes([[41.0, 0.0], [28.0, 0.0]])) == (1, 0), "far away on it"
    assert counted(annotated, boxes([[41.0, 0.0], [-40.0, 0.0]])) == (1, 0), "on the other side"


def test_two_objects_on_one_ray_have_a_box_each() -> None:
    assert counted(boxes([[34.0, 0.0], [40.0, 0.0], *spare(1)]), boxes([[33.0, 0.0], [42.0, 0.0]])) == (2, 0)
    assert counted(boxes([[34.0, 0.0], [40.0, 0.0], *spare(1)]), boxes([[33.0, 0.0], [35.0, 0.0]])) == (2, 1)


def test_near_objects_and_other_classes_do_not_count() -> None:
    assert counted(boxes([[20.0, 0.0], *spare(2)]), boxes([[19.0, 0.0], [22.0, 0.0]])) == (0, 0)
    truck = boxes([[42.0, 0.0]], LABEL_OF_CLASS["truck"])
    found = Boxes3D.concatenate([boxes([[41.0, 0.0]]), truck])
    assert counted(boxes([[40.0, 0.0], *spare(2)]), found) == (1, 0)


def test_only_as_many_boxes_count_as_there_are_objects() -> None:
    found = boxes([[41.0, 0.0], [44.0, 0.0]], scores=[0.9, 0.8])
    assert counted(boxes([[40.0, 0.0]]), found) == (1, 0)
    assert counted(boxes([[40.0, 0.0], *spare(1)]), found) == (1, 1)


def test_the_mean_of_nothing_is_no_number() -> None:
    assert np.isnan(RayDuplicates(0, 0).per_annotation)
    assert RayDuplicates(4, 1).per_annotation == 0.25


@given(angle=st.floats(0.0, 2.0 * np.pi), seed=st.integers(0, 1000))
def test_turning_everything_around_the_car_changes_nothing(angle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(25.0, 45.0, (6, 1)) * np.array([[1.0, 0.0]]) + rng.uniform(-6.0, 6.0, (6, 2))
    found = np.concatenate([places + rng.normal(0.0, 1.0, (6, 2)), places * rng.uniform(0.9, 1.1, (6, 1))])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scores = rng.permutation(12) / 12.0
    assert counted(boxes(places), boxes(found, scores=scores)) == pytest.approx(
        counted(boxes(places @ turn.T), boxes(found @ turn.T, scores=scores))
    )


def test_real_detections_have_some(shared: Path, mini_val: Path) -> None:
    root = (mini_val, "v1.0-mini", "mini_val")
    scenes = read_scenes(*root)
    result = ray_duplicates(read_split_detections(shared / "detections" / "fastbev.json", scenes, *root), scenes)
    assert result.annotations > 100 and 0.0 < result.per_annotation < 1.0
