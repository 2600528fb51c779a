"""Augmentation of the lidar frame: the world turned, scaled or mirrored before the network's eyes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detection.data.sample import FrameSample, drawn_between
from detection.registry import TRANSFORMS
from scenes.geometry import FloatArray, wrap_angle


@TRANSFORMS.register_module()
class RotateScaleFlipLidarFrame:
    """Turns the lidar frame about z, scales it, and mirrors it.

    Boxes move along, and `camera_from_lidar` and `global_from_lidar` take up the inverse: images stay as they are, a
    point of the world keeps its pixel and its global position. Each frame draws its own numbers, as in the published
    training; the memory of a stream is kept in global coordinates and does not notice.

    Args:
        rotation_range_rad: lowest and highest angle, anticlockwise.
        scale_range: lowest and highest scale.
        flip: whether to mirror x and y, each with probability one half.
    """

    def __init__(
        self,
        rotation_range_rad: tuple[float, float] = (-0.3925, 0.3925),
        scale_range: tuple[float, float] = (0.95, 1.05),
        flip: bool = False,
    ) -> None:
        self._rotation_range_rad = rotation_range_rad
        self._scale_range = scale_range
        self._flip = flip

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        angle_rad = drawn_between(self._rotation_range_rad, random)
        scale = drawn_between(self._scale_range, random)
        signs = random.choice([-1.0, 1.0], size=2) if self._flip else np.ones(2)
        turned = _turn(angle_rad)
        moved_from_lidar = np.eye(4)
        moved_from_lidar[:2, :2] = scale * signs[:, None] * turned
        moved_from_lidar[2, 2] = scale
        lidar_from_moved = np.linalg.inv(moved_from_lidar)
        return replace(
            sample,
            boxes=None if sample.boxes is None else _moved_boxes(sample.boxes, signs[:, None] * turned, scale),
            global_from_lidar=sample.global_from_lidar @ lidar_from_moved,
            views=tuple(
                replace(view, camera_from_lidar=view.camera_from_lidar @ lidar_from_moved) for view in sample.views
            ),
        )


def _turn(angle_rad: float) -> FloatArray:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin], [sin, cos]])


def _moved_boxes(boxes: FloatArray, turn: FloatArray, scale: float) -> FloatArray:
    """Boxes (N, 9) after an orthogonal (2, 2) `turn` of the plane and a scale."""
    moved = boxes.copy()
    moved[:, :2] = scale * boxes[:, :2] @ turn.T
    moved[:, 2:6] *= scale
    heading = np.stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6])], axis=1) @ turn.T
    moved[:, 6] = wrap_angle(np.arctan2(heading[:, 1], heading[:, 0]))
    moved[:, 7:9] = scale * boxes[:, 7:9] @ turn.T
    return moved
