"""From a detector's boxes in the lidar frame to `Boxes3D` in global coordinates, as result files hold them.

An exported detector needs it on machines without torch: tensors are asked, torch is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenes import NUSCENES, Boxes3D, ObjectClass, Taxonomy

if TYPE_CHECKING:
    from detection.frames import FrameBatch
    from detection.models.box_coder import Detections

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
_OF_MOTION: Final = (
    ("vehicle.moving", "cycle.with_rider", "pedestrian.moving"),
    ("vehicle.parked", "vehicle.stopped", "cycle.without_rider", "pedestrian.standing"),
)


def attributes_of_labels(taxonomy: Taxonomy) -> NDArray[np.str_]:
    """(C, 2) the attribute of each class for what moves and for what does not, "" without one."""
    return np.array([_attributes_of(class_) for class_ in taxonomy.classes], dtype=np.str_)


def _attributes_of(class_: ObjectClass) -> tuple[str, ...]:
    usual = _ATTRIBUTES.get(class_.name, ("", ""))
    if all(name in ("", *class_.attributes) for name in usual) and any(usual):
        return usual
    return tuple(next((name for name in names if name in class_.attributes), "") for names in _OF_MOTION)


def global_boxes(
    detections: Sequence[Detections],
    frame: FrameBatch,
    classes: Sequence[str] | None = None,
    taxonomy: Taxonomy = NUSCENES,
) -> list[Boxes3D]:
    """The detections of each stream of a time step, in global coordinates.

    Args:
        detections: of B streams, in the lidar frame.
        frame: the time step that they were found in.
        classes: what the detector's labels index; None for those of the taxonomy in their order.
        taxonomy: the classes of the data root, which the labels of the boxes mean.

    Returns:
        B `Boxes3D` with velocity, attribute, score and, of a detector that names its queries, `query_id`; best first.

    Raises:
        InputError: a class is none of the taxonomy's.
    """
    labels = taxonomy.labels(taxonomy.names if classes is None else classes)
    attributes = attributes_of_labels(taxonomy)
    poses = frame.global_from_lidar.detach().cpu().numpy().astype(np.float64)
    return [
        _lidar_boxes(found, labels, attributes).transform(rigid(pose))
        for found, pose in zip(detections, poses, strict=True)
    ]


def boxes_by_sample(
    detections: Sequence[Detections],
    batch: Mapping[str, Any],
    classes: Sequence[str] | None = None,
    taxonomy: Taxonomy = NUSCENES,
) -> dict[str, Boxes3D]:
    """The detections of the last time step of a batch by sample token; see `global_boxes`.

    Args:
        detections: of B streams, in the lidar frame.
        batch: `{"frames": time steps}`, as the data loader gives it.
        classes, taxonomy: see `global_boxes`.
    """
    frame: FrameBatch = batch["frames"][-1]
    return dict(zip(frame.sample_tokens, global_boxes(detections, frame, classes, taxonomy), strict=True))


def boxes_from_numbers(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    query_ids: NDArray[np.int64] | None,
    attribute_of_label: NDArray[np.str_],
) -> Boxes3D:
    """Boxes of one stream, in the frame that they are in.

    Args:
        boxes: (N, 9) as in `FrameTargets.boxes`.
        scores: (N,), the best first.
        labels: (N,) of the taxonomy.
        query_ids: (N,) or None.
        attribute_of_label: see `attributes_of_labels`.
    """
    length_width_height, yaw_rad, velocity_mps = boxes[:, 3:6], boxes[:, 6], boxes[:, 7:9]
    moves = np.linalg.norm(velocity_mps, axis=1) > _MOVING_MPS
    return Boxes3D(
        center_m=boxes[:, :3],
        size_wlh_m=length_width_height[:, [1, 0, 2]],
        rotation=_quaternions(yaw_rad),
        velocity_mps=velocity_mps,
        label=labels,
        score=scores,
        query_id=query_ids,
        attribute=attribute_of_label[labels, np.where(moves, 0, 1)],
    )


def _lidar_boxes(found: Detections, labels: NDArray[np.int64], attribute_of_label: NDArray[np.str_]) -> Boxes3D:
    """The boxes of one stream in its lidar frame, best first."""
    order = found.scores.argsort(descending=True, stable=True)
    return boxes_from_numbers(
        found.boxes[order].detach().cpu().double().numpy(),
        found.scores[order].detach().cpu().double().numpy(),
        labels[found.labels[order].cpu().numpy()],
        None if found.query_ids is None else found.query_ids[order].cpu().numpy(),
        attribute_of_label,
    )


def _quaternions(yaw_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) wxyz turns about z."""
    still = np.zeros_like(yaw_rad)
    return np.column_stack([np.cos(yaw_rad / 2), still, still, np.sin(yaw_rad / 2)])


def rigid(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose whose rotation has lost the rounding of float32."""
    rigid = pose.copy()
    rigid[:3, :3] = Rotation.from_matrix(pose[:3, :3]).as_matrix()
    return rigid
