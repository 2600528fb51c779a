"""Boxes of the lidar frame become the boxes of a result file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.frames import FrameBatch
from detection.global_boxes import global_boxes
from detection.models.box_coder import Detections
from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, InputError, ObjectClass, Taxonomy
from scenes.geometry import pose_matrix


def _frame(*poses: np.ndarray) -> FrameBatch:
    count = len(poses)
    cameras = torch.eye(4).expand(count, 1, 4, 4)
    return FrameBatch(
        images=torch.zeros(count, 1, 3, 2, 2),
        image_from_lidar=cameras,
        image_from_camera=cameras,
        camera_from_lidar=cameras,
        global_from_lidar=torch.from_numpy(np.stack(poses)).float(),
        timestamp_s=torch.zeros(count, dtype=torch.float64),
        continues_scene=torch.zeros(count, dtype=torch.bool),
        scene_tokens=("scene",) * count,
        sample_tokens=tuple(f"sample{index}" for index in range(count)),
    )


def _found(boxes: list[list[float]], labels: list[int], named: bool = True) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes).reshape(-1, 9),
        scores=torch.linspace(0.2, 0.8, count),
        labels=torch.tensor(labels, dtype=torch.int64),
        query_ids=torch.arange(100, 100 + count) if named else None,
    )


def _turned(yaw_rad: float, x: float, y: float) -> np.ndarray:
    return pose_matrix([x, y, 1.5], [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)])


def test_a_box_in_global_coordinates() -> None:
    """A car 10 m ahead (lidar y) of an ego that looks along global x; it drives along the ego's x axis."""
    pose = _turned(-np.pi / 2, 600.0, 1600.0)
    (boxes,) = global_boxes([_found([[0, 10, -1, 4.5, 1.9, 1.7, 0.0, 3, 0]], [0])], _frame(pose))
    assert boxes.center_m == pytest.approx(np.array([[610.0, 1600.0, 0.5]]), abs=1e-4)
    assert boxes.size_wlh_m == pytest.approx(np.array([[1.9, 4.5, 1.7]]), abs=1e-6)
    assert boxes.yaw_rad == pytest.approx([-np.pi / 2], abs=1e-6)
    assert boxes.velocity_mps == pytest.approx(np.array([[0.0, -3.0]]), abs=1e-5)
    assert boxes.query_id.tolist() == [100]
    assert boxes.attribute.tolist() == ["vehicle.moving"]


@given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1), st.floats(-2000, 2000))
def test_yaw_and_speed_survive_any_pose(yaw_rad: float, turn_rad: float, x: float) -> None:
    found = _found([[5, -3, 0, 4, 2, 1.5, yaw_rad, 2.0, -1.0]], [1])
    (boxes,) = global_boxes([found], _frame(_turned(turn_rad, x, 0.0)))
    difference = boxes.yaw_rad - yaw_rad - turn_rad
    assert np.cos(difference) == pytest.approx([1.0], abs=1e-5)
    assert np.linalg.norm(boxes.velocity_mps) == pytest.approx(np.sqrt(5), rel=1e-5)
    assert np.linalg.norm(boxes.rotation) == pytest.approx(1.0, abs=1e-9)


def test_streams_keep_apart_and_the_best_comes_first() -> None:
    two = _found([[1, 0, 0, 1, 1, 1, 0, 0, 0], [2, 0, 0, 1, 1, 1, 0, 0, 0]], [8, 9])
    poses = (np.eye(4), _turned(0.0, 100.0, 0.0))
    first, second = global_boxes([two, _found([], [])], _frame(*poses))
    assert len(second) == 0
    assert first.center_m[:, 0].tolist() == [2.0, 1.0]
    assert first.score.tolist() == sorted(first.score.tolist(), reverse=True)
    assert first.query_id.tolist() == [101, 100]


def test_a_detector_without_names() -> None:
    (boxes,) = global_boxes([_found([[1, 0, 0, 1, 1, 1, 0, 0, 0]], [0], named=False)], _frame(np.eye(4)))
    assert boxes.query_id is None


@pytest.mark.parametrize(
    ("name", "moving", "still"),
    [
        ("car", "vehicle.moving", "vehicle.parked"),
        ("bus", "vehicle.moving", "vehicle.stopped"),
        ("bicycle", "cycle.with_rider", "cycle.without_rider"),
        ("pedestrian", "pedestrian.moving", "pedestrian.standing"),
        ("barrier", "", ""),
    ],
)
def test_attributes_follow_the_speed(name: str, moving: str, still: str) -> None:
    label = LABEL_OF_CLASS[name]
    found = _found([[0] * 7 + [0.15, 0.1], [0] * 7 + [0.2, 0.1]], [label, label])
    (boxes,) = global_boxes([found], _frame(np.eye(4)))
    assert boxes.attribute.tolist() == [moving, still]


def test_classes_in_another_order() -> None:
    found = _found([[0.0] * 9, [0.0] * 9], [0, 1])
    (boxes,) = global_boxes([found], _frame(np.eye(4)), ("pedestrian", "car"))
    assert [DETECTION_CLASSES[label] for label in boxes.label] == ["car", "pedestrian"]
    with pytest.raises(InputError, match="nuScenes: class 'tram' is none of the known ones"):
        global_boxes([found], _frame(np.eye(4)), ("car", "tram"))


def test_classes_of_ones_own() -> None:
    """Labels count the taxonomy's classes, and attributes are those that a class can have."""
    walker = ObjectClass("walker", 60.0, ("walker",), attributes=("pedestrian.standing", "pedestrian.moving"))
    taxonomy = Taxonomy((ObjectClass("car", 80.0, ("car",)), walker))
    found = _found([[0] * 7 + [2.0, 0.0], [0] * 9, [0] * 7 + [2.0, 0.0], [0] * 9], [0, 0, 1, 1])
    (boxes,) = global_boxes([found], _frame(np.eye(4)), ("walker", "car"), taxonomy)
    assert boxes.label.tolist() == [0, 0, 1, 1]
    assert boxes.attribute.tolist() == ["", "", "pedestrian.standing", "pedestrian.moving"]
    with pytest.raises(InputError, match="class 'cart' is none of the known ones \\(nearest: car\\)"):
        global_boxes([found], _frame(np.eye(4)), ("cart",), taxonomy)
