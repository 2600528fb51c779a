"""Rigid poses as 4x4 matrices and rotations as unit quaternions (w, x, y, z).

A pose is named `a_from_b` and maps points: `a_from_b @ p_b = p_a`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation, Slerp

FloatArray = NDArray[np.float64]


def pose_matrix(translation_m: Sequence[float], rotation_wxyz: Sequence[float]) -> FloatArray:
    """The (4, 4) pose `a_from_b` of a frame b whose origin and orientation are given in a.

    Args:
        translation_m: (3,) origin of b in a, metres.
        rotation_wxyz: (4,) orientation of b in a; need not be exactly unit.
    """
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(rotation_wxyz, scalar_first=True).as_matrix()
    pose[:3, 3] = translation_m
    return pose


def pose_matrices(translation_m: ArrayLike, rotation_wxyz: ArrayLike) -> FloatArray:
    """The (N, 4, 4) poses of N frames; arguments as for `pose_matrix`, (N, 3) and (N, 4)."""
    translation = np.asarray(translation_m, dtype=np.float64).reshape(-1, 3)
    poses = np.tile(np.eye(4), (len(translation), 1, 1))
    if len(translation):
        poses[:, :3, :3] = Rotation.from_quat(rotation_wxyz, scalar_first=True).as_matrix()
        poses[:, :3, 3] = translation
    return poses


def pose_heading_rad(pose: FloatArray) -> float:
    """The direction of a pose's (4, 4) x axis in the ground plane, from x towards y, in (-pi, pi]."""
    return float(np.arctan2(pose[1, 0], pose[0, 0]))


def invert_pose(pose: FloatArray) -> FloatArray:
    """`b_from_a` for a rigid (4, 4) pose `a_from_b`."""
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse


def interpolate_pose(before: FloatArray, after: FloatArray, share: float) -> FloatArray:
    """A rigid (4, 4) pose between two: straight in position, at constant speed in rotation."""
    turns = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([before[:3, :3], after[:3, :3]])))
    pose = np.eye(4)
    pose[:3, :3] = turns(share).as_matrix()
    pose[:3, 3] = (1.0 - share) * before[:3, 3] + share * after[:3, 3]
    return pose


def transform_points(pose: FloatArray, points_m: FloatArray) -> FloatArray:
    """Points (N, 3) of frame b in frame a, for a pose `a_from_b`."""
    moved: FloatArray = points_m @ pose[:3, :3].T + pose[:3, 3]
    return moved


def yaw_from_rotation(rotation_wxyz: FloatArray) -> FloatArray:
    """Heading of the body's x axis in the xy plane, radians in (-pi, pi].

    Args:
        rotation_wxyz: (N, 4) unit quaternions.

    Returns:
        (N,) yaw, equal to the devkit's `quaternion_yaw`.
    """
    w, x, y, z = np.asarray(rotation_wxyz, dtype=np.float64).T
    yaw: FloatArray = np.arctan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))
    return yaw


def rotation_from_yaw(yaw_rad: ArrayLike) -> FloatArray:
    """Unit quaternions (N, 4) wxyz of turns by `yaw_rad` (N,) about the z axis."""
    half = 0.5 * np.atleast_1d(np.asarray(yaw_rad, dtype=np.float64))
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, zero, np.sin(half)], axis=1)


def wrap_angle(angle_rad: ArrayLike) -> FloatArray:
    """The same angles in [-pi, pi)."""
    return (np.asarray(angle_rad, dtype=np.float64) + np.pi) % (2.0 * np.pi) - np.pi
