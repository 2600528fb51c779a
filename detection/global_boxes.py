"""From a detector's boxes in the lidar frame to `Boxes3D` in global coordinates, as result files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from detection.frames import FrameBatch
from detection.models.box_coder import Detections
from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, Boxes3D, InputError

_MOVING_MPS: Final = 0.2
# Attribute of an object that moves and of one that does not; the speed rule that camera detectors are scored with
# (mmdet3d's nuScenes data set).
_ATTRIBUTES: Final = {
    "car": ("vehicle.moving", "vehicle.parked"),
    "truck": ("vehicle.moving", "vehicle.parked"),
    "construction_vehicle": ("vehicle.moving", "vehicle.parked"),
    "bus": ("vehicle.moving", "vehicle.stopped"),
    "trailer": ("vehicle.moving", "vehicle.parked"),
    "barrier": ("", ""),
    "motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
    "traffic_cone": ("", ""),
}
_ATTRIBUTE_OF_LABEL: Final = np.array([_ATTRIBUTES[name] for name in DETECTION_CLASSES])


def global_boxes(
    detections: Sequence[Detections], frame: FrameBatch, classes: Sequence[str] = DETECTION_CLASSES
) -> list[Boxes3D]:
    """The detections of each stream of a time step, in global coordinates.

    Args:
        detections: of B streams, in the lidar frame.
        frame: the time step that they were found in.
        classes: what the detector's labels index.

    Returns:
        B `Boxes3D` with velocity, attribute, score and, of a detector that names its queries, `query_id`; best first.

    Raises:
        InputError: a class is none of nuScenes' ten.
    """
    labels = labels_of_classes(classes)
    poses = frame.global_from_lidar.detach().cpu().numpy().astype(np.float64)
    return [_lidar_boxes(found, labels).transform(_rigid(pose)) for found, pose in zip(detections, poses, strict=True)]


def boxes_by_sample(
    detections: Sequence[Detections], batch: Mapping[str, Any], classes: Sequence[str] = DETECTION_CLASSES
) -> dict[str, Boxes3D]:
    """The detections of the last time step of a batch by sample token; see `global_boxes`.

    Args:
        detections: of B streams, in the lidar frame.
        batch: `{"frames": time steps}`, as the data loader gives it.
        classes: what the detector's labels index.
    """
    frame: FrameBatch = batch["frames"][-1]
    return dict(zip(frame.sample_tokens, global_boxes(detections, frame, classes), strict=True))


def labels_of_classes(classes: Sequence[str]) -> NDArray[np.int64]:
    """For each class of a detector its index in `scenes.DETECTION_CLASSES`.

    Raises:
        InputError: a class is none of nuScenes' ten.
    """
    foreign = [name for name in classes if name not in LABEL_OF_CLASS]
    if foreign:
        raise InputError(f"class '{foreign[0]}' cannot be written: nuScenes has {', '.join(DETECTION_CLASSES)}")
    return np.array([LABEL_OF_CLASS[name] for name in classes], dtype=np.int64)


def _lidar_boxes(found: Detections, labels: NDArray[np.int64]) -> Boxes3D:
    """The boxes of one stream in its lidar frame, best first."""
    order = found.scores.argsort(descending=True, stable=True)
    boxes = found.boxes[order].detach().cpu().double().numpy()
    label = labels[found.labels[order].cpu().numpy()]
    length_width_height, yaw_rad, velocity_mps = boxes[:, 3:6], boxes[:, 6], boxes[:, 7:9]
    moves = np.linalg.norm(velocity_mps, axis=1) > _MOVING_MPS
    return Boxes3D(
        center_m=boxes[:, :3],
        size_wlh_m=length_width_height[:, [1, 0, 2]],
        rotation=_quaternions(yaw_rad),
        velocity_mps=velocity_mps,
        label=label,
        score=found.scores[order].detach().cpu().double().numpy(),
        query_id=None if found.query_ids is None else found.query_ids[order].cpu().numpy(),
        attribute=_ATTRIBUTE_OF_LABEL[label, np.where(moves, 0, 1)],
    )


def _quaternions(yaw_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) wxyz turns about z."""
    still = np.zeros_like(yaw_rad)
    return np.column_stack([np.cos(yaw_rad / 2), still, still, np.sin(yaw_rad / 2)])


def _rigid(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose whose rotation has lost the rounding of float32."""
    rigid = pose.copy()
    rigid[:3, :3] = Rotation.from_matrix(pose[:3, :3]).as_matrix()
    return rigid
