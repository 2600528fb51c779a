"""`FrameSample`: a frame on its way through the transforms, from its record to what a `FrameBatch` is made of.

Arrays alone: a machine that runs an exported detector has no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from detection.data.frame_record import CameraAnnotations, FrameRecord, IntArray
from detection.data.image_reading import RgbImage, read_image
from detection.data.infos import in_published_order
from scenes import Frame
from scenes.geometry import FloatArray

if TYPE_CHECKING:
    from detection.frames import ImageNormalization


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera of a frame: its image, and how lidar points come to lie in it.

    Image points are continuous: the pixel in column c and row r covers [c, c + 1) x [r, r + 1).

    Attributes:
        name, image_path, size_px: as in `CameraRecord`; the size is that of the file.
        image: (H, W, 3) uint8 RGB, after `NormalizeImages` (3, H, W) in the network's order; None until it is loaded.
        image_from_camera: (4, 4) from camera coordinates to homogeneous points of `image` (u d, v d, d, 1).
        camera_from_lidar: (4, 4).
        annotations: what is annotated in the image; None without annotations.
    """

    name: str
    image_path: Path
    size_px: tuple[int, int] | None
    image: NDArray[np.uint8] | None
    image_from_camera: FloatArray
    camera_from_lidar: FloatArray
    annotations: CameraAnnotations | None


@dataclass(frozen=True, eq=False)
class FrameSample:
    """One frame of one stream.

    Attributes:
        sample_token, scene_token, timestamp_us, boxes, labels: as in `FrameRecord`.
        global_from_lidar: (4, 4). After an augmentation of the lidar frame its inverse is part of it, so that a point
            of the world keeps its global position; with a scale it is no rigid pose any more.
        views: the cameras in the order in which the network sees them.
        focus_px: (2,) point of the only view's image that a crop has to show; None for no such point.
        normalization: of all images, computed on the device; None before `NormalizeImages`.
        padded_size_px: height and width to which all images are padded; None for no padding.
    """

    sample_token: str
    scene_token: str
    timestamp_us: int
    global_from_lidar: FloatArray
    views: tuple[CameraView, ...]
    boxes: FloatArray | None
    labels: IntArray | None
    focus_px: FloatArray | None = None
    normalization: ImageNormalization | None = None
    padded_size_px: tuple[int, int] | None = None

    @classmethod
    def from_record(cls, record: FrameRecord, annotated: bool = True) -> FrameSample:
        """The sample before the first transform, with or without its annotations."""
        views = tuple(
            CameraView(
                name=camera.name,
                image_path=camera.image_path,
                size_px=camera.size_px,
                image=None,
                image_from_camera=camera.image_from_camera,
                camera_from_lidar=camera.camera_from_lidar,
                annotations=camera.annotations if annotated else None,
            )
            for camera in record.cameras
        )
        return cls(
            sample_token=record.sample_token,
            scene_token=record.scene_token,
            timestamp_us=record.timestamp_us,
            global_from_lidar=record.global_from_lidar,
            views=views,
            boxes=record.boxes if annotated else None,
            labels=record.labels if annotated else None,
        )

    @classmethod
    def from_frame(cls, frame: Frame, scene_token: str, images: Mapping[str, RgbImage] | None = None) -> FrameSample:
        """The sample of a key frame, with its images and without annotations.

        Args:
            frame: as `scenes.read_scenes` gives it.
            scene_token: of its scene.
            images: by camera, those of a live stream; None to read them from their files.

        Raises:
            InputError: an image is missing or broken.
        """
        ego_from_lidar = np.eye(4) if frame.ego_from_lidar is None else frame.ego_from_lidar
        global_from_lidar = frame.global_from_ego @ ego_from_lidar
        cameras = {camera.name: camera for camera in frame.cameras}
        views = tuple(
            CameraView(
                name=name,
                image_path=cameras[name].image_path,
                size_px=None,
                image=read_image(cameras[name].image_path) if images is None else images[name],
                image_from_camera=_homogeneous(cameras[name].intrinsic),
                camera_from_lidar=cameras[name].camera_from_global @ global_from_lidar,
                annotations=None,
            )
            for name in in_published_order(cameras)
        )
        return cls(frame.token, scene_token, frame.timestamp_us, global_from_lidar, views, None, None)

    def with_views(self, views: Sequence[CameraView]) -> FrameSample:
        """The same frame with other views."""
        return replace(self, views=tuple(views))


class Transform(Protocol):
    """One step of a pipeline: a frame in, a frame out.

    All randomness comes from `random`, so that a frame looks the same whichever worker prepares it.
    """

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample: ...


def drawn_between(low_and_high: tuple[float, float], random: np.random.Generator) -> float:
    """A number drawn evenly from a range."""
    low, high = low_and_high
    return random.uniform(low, high)


def _homogeneous(intrinsic: FloatArray) -> FloatArray:
    """(4, 4) of a pinhole matrix (3, 3)."""
    image_from_camera = np.eye(4)
    image_from_camera[:3, :3] = intrinsic
    return image_from_camera
