"""The sensors of the ego vehicle: six cameras and a lidar, mounted as on a nuScenes car (rounded numbers)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from scipy.spatial.transform import Rotation

from scenes.city.mix import RigSpread
from scenes.geometry import FloatArray, pose_matrix

_NATIVE_WIDTH_PX: Final = 1600
_NATIVE_HEIGHT_PX: Final = 900


@dataclass(frozen=True)
class CameraMount:
    """One camera.

    Attributes:
        channel: its name.
        translation_m: position in the ego frame.
        yaw_deg, pitch_deg, roll_deg: direction of the optical axis, left and up positive, and the turn about it.
        focal_px, center_px: pinhole parameters at 1600 x 900.
        exposure_ms: time of exposure relative to the lidar sweep.
    """

    channel: str
    translation_m: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    focal_px: float
    center_px: tuple[float, float]
    exposure_ms: float

    def intrinsic(self, width_px: int, height_px: int) -> FloatArray:
        """(3, 3) pinhole matrix for an image of the given size."""
        scale = np.array([width_px / _NATIVE_WIDTH_PX, height_px / _NATIVE_HEIGHT_PX])
        focal, center = self.focal_px * scale, np.array(self.center_px) * scale
        return np.array([[focal[0], 0.0, center[0]], [0.0, focal[1], center[1]], [0.0, 0.0, 1.0]])

    def rotation_wxyz(self) -> FloatArray:
        """(4,) orientation of the camera (x right, y down, z forward) in the ego frame."""
        turned = Rotation.from_euler("ZYX", [self.yaw_deg, -self.pitch_deg, self.roll_deg], degrees=True)
        ego_from_optical = turned * Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        rotation: FloatArray = ego_from_optical.as_quat(scalar_first=True)
        return rotation

    @cached_property
    def ego_from_camera(self) -> FloatArray:
        """(4, 4) pose in the ego frame."""
        return pose_matrix(self.translation_m, self.rotation_wxyz().tolist())


CAMERAS: Final = (
    CameraMount("CAM_FRONT", (1.70, 0.01, 1.51), 0.3, 0.2, 0.1, 1262.0, (816.0, 491.0), -35.0),
    CameraMount("CAM_FRONT_RIGHT", (1.55, -0.49, 1.50), -56.5, -0.4, 0.1, 1260.0, (808.0, 494.0), -27.0),
    CameraMount("CAM_BACK_RIGHT", (1.02, -0.48, 1.56), -110.9, -0.5, -0.2, 1258.0, (808.0, 500.0), -19.5),
    CameraMount("CAM_BACK", (0.03, 0.00, 1.57), 179.8, 0.6, 0.0, 808.0, (830.0, 482.0), -10.0),
    CameraMount("CAM_BACK_LEFT", (1.04, 0.48, 1.58), 108.6, -0.3, 0.2, 1257.0, (796.0, 492.0), -0.5),
    CameraMount("CAM_FRONT_LEFT", (1.53, 0.49, 1.51), 55.2, 0.3, -0.1, 1270.0, (826.0, 480.0), -42.5),
)

LIDAR_TRANSLATION_M: Final = (0.95, 0.0, 1.84)
LIDAR_YAW_DEG: Final = -90.0
"""The lidar's x axis points to the right of the vehicle, its y axis forward."""


def draw_rig(spread: RigSpread, rng: np.random.Generator) -> tuple[CameraMount, ...]:
    """The usual cameras, each mounted a little elsewhere, all of them higher or lower and with other lenses."""
    lift = rng.uniform(*spread.height_m)
    zoom = rng.uniform(*spread.focal)
    return tuple(
        replace(
            mount,
            translation_m=(mount.translation_m[0], mount.translation_m[1], round(mount.translation_m[2] + lift, 3)),
            yaw_deg=mount.yaw_deg + rng.uniform(-spread.yaw_deg, spread.yaw_deg),
            pitch_deg=mount.pitch_deg + rng.uniform(-spread.pitch_deg, spread.pitch_deg),
            roll_deg=mount.roll_deg + rng.uniform(-spread.roll_deg, spread.roll_deg),
            focal_px=zoom * mount.focal_px,
            center_px=(
                mount.center_px[0] + rng.uniform(-spread.center_px, spread.center_px),
                mount.center_px[1] + rng.uniform(-spread.center_px, spread.center_px),
            ),
        )
        for mount in CAMERAS
    )


def lidar_rotation_wxyz() -> FloatArray:
    """(4,) orientation of the lidar in the ego frame."""
    rotation: FloatArray = Rotation.from_euler("Z", LIDAR_YAW_DEG, degrees=True).as_quat(scalar_first=True)
    return rotation
