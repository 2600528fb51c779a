"""`Scene`, `Frame`, `Camera`, `Annotations`: one drive, one key frame, and what was recorded in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.errors import InputError
from scenes.geometry import FloatArray, invert_pose, transform_points
from scenes.image_size import image_size_px
from scenes.taxonomy import NUSCENES, Taxonomy


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera image of a key frame.

    Attributes:
        name: channel, such as `CAM_FRONT`.
        timestamp_us: time of exposure.
        image_path: where the image should lie; it may be missing on disk.
        stated_size_px: width and height of the image as the tables state them; None where they do not.
        intrinsic: (3, 3) pinhole matrix, pixels.
        ego_from_camera: (4, 4) mounting; camera axes are x right, y down, z forward.
        global_from_ego: (4, 4) ego pose at the time of exposure, which is not the key frame's.
    """

    name: str
    timestamp_us: int
    image_path: Path
    stated_size_px: tuple[int, int] | None
    intrinsic: FloatArray
    ego_from_camera: FloatArray
    global_from_ego: FloatArray

    @cached_property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the image, to which `intrinsic` belongs.

        Where the tables do not state them, the header of the image is read when they are first asked for.

        Raises:
            InputError: the tables do not state them, and there is no such image.
        """
        if self.stated_size_px is not None:
            return self.stated_size_px
        try:
            return image_size_px(self.image_path)
        except InputError as error:
            raise InputError(f"{error}; the tables do not state the image's size either") from None

    @property
    def width_px(self) -> int:
        """Width of the image, see `size_px`."""
        return self.size_px[0]

    @property
    def height_px(self) -> int:
        """Height of the image, see `size_px`."""
        return self.size_px[1]

    @cached_property
    def camera_from_global(self) -> FloatArray:
        """(4, 4) pose from global to camera coordinates."""
        return invert_pose(self.global_from_ego @ self.ego_from_camera)

    def project(self, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Image positions of global points.

        Args:
            points_m: (N, 3) in global coordinates.

        Returns:
            pixels (N, 2) and depths (N,) in metres along the optical axis. Pixels mean something only
            where the depth is positive.
        """
        in_camera = transform_points(self.camera_from_global, points_m)
        depth_m = in_camera[:, 2]
        homogeneous = in_camera @ self.intrinsic.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = homogeneous[:, :2] / depth_m[:, None]
        return pixels, depth_m


@dataclass(frozen=True, eq=False)
class Annotations:
    """The annotated boxes of one key frame.

    Attributes:
        boxes: N boxes of the data root's classes in global coordinates; `track_id` is the instance token, the
            velocity follows the devkit's `box_velocity`, the score is 1.
        num_lidar_pts, num_radar_pts: (N,) points inside a box.
        visibility: (N,) 1 (0-40% visible) to 4 (80-100%), 0 where it is not given.
        bike_racks: racks, whose bicycles and motorcycles the evaluation ignores; label `NO_CLASS`.
    """

    boxes: Boxes3D
    num_lidar_pts: NDArray[np.int64]
    num_radar_pts: NDArray[np.int64]
    visibility: NDArray[np.int64]
    bike_racks: Boxes3D


@dataclass(frozen=True, eq=False)
class Frame:
    """One key frame.

    Attributes:
        token: nuScenes sample token.
        timestamp_us: time of the key frame.
        global_from_ego: (4, 4) ego pose at the LIDAR_TOP sweep, or at the camera nearest in time in a
            recording without LIDAR_TOP.
        ego_from_lidar: (4, 4) mounting of LIDAR_TOP; None in a recording without it.
        cameras: in the order of the tables.
        annotations: None where the data root has none (a test split).
    """

    token: str
    timestamp_us: int
    global_from_ego: FloatArray
    ego_from_lidar: FloatArray | None
    cameras: tuple[Camera, ...]
    annotations: Annotations | None


@dataclass(frozen=True, eq=False)
class Scene:
    """One drive: its key frames in the order of time.

    Attributes:
        token, name, description: as in the scene table; the name (`scene-0103`) is what splits list.
        location: where the log was recorded (`boston-seaport`).
        frames: the key frames.
        taxonomy: the classes of the data root: what the labels of its boxes mean.
    """

    token: str
    name: str
    description: str
    location: str
    frames: tuple[Frame, ...]
    taxonomy: Taxonomy = NUSCENES

    @property
    def sample_tokens(self) -> tuple[str, ...]:
        """The tokens of the key frames, in order."""
        return tuple(frame.token for frame in self.frames)


def taxonomy_of(scenes: Iterable[Scene]) -> Taxonomy:
    """The classes that all of some scenes have; nuScenes' where there are no scenes.

    Raises:
        InputError: they have different ones.
    """
    found = [scene.taxonomy for scene in scenes]
    for other in found[1:]:
        if other is not found[0] and other != found[0]:
            raise InputError(f"scenes with different classes: {found[0]} and {other}")
    return found[0] if found else NUSCENES
