"""`FrameBatch`: what a detector sees of one time step, for every stream of a batch, and what it should have found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from detection.poses import inverse_poses
from detection.records import moved, on_device, pinned


@dataclass(frozen=True, eq=False)
class CameraTargets:
    """The annotated objects that one camera sees, in pixels of the network's input image.

    Attributes:
        boxes_px: (M, 4) float32, left, top, right, bottom.
        labels: (M,) int64 class indices.
        centers_px: (M, 2) float32, the projected centres of the 3D boxes.
        depths_m: (M,) float32, depth of these centres along the optical axis.
    """

    boxes_px: Tensor
    labels: Tensor
    centers_px: Tensor
    depths_m: Tensor

    def to(self, device: torch.device | str) -> CameraTargets:
        """The same targets on another device."""
        return moved(self, device)

    def pin_memory(self) -> CameraTargets:
        """A copy that a GPU takes by itself, see `detection.records.moved`."""
        return pinned(self)


@dataclass(frozen=True, eq=False)
class FrameTargets:
    """The annotated boxes of one frame of one stream.

    Attributes:
        boxes: (N, 9) float32 in the lidar frame: gravity centre x, y, z in metres; size along the box's own x, y, z
            axes (length, width, height) in metres; yaw in radians, anticlockwise about z, 0 along x; velocity x, y in
            m/s, NaN where it is not known.
        labels: (N,) int64 class indices.
        cameras: what each camera sees of them, in the order of the images.
    """

    boxes: Tensor
    labels: Tensor
    cameras: tuple[CameraTargets, ...]

    def to(self, device: torch.device | str) -> FrameTargets:
        """The same targets on another device."""
        return replace(moved(self, device), cameras=tuple(camera.to(device) for camera in self.cameras))

    def pin_memory(self) -> FrameTargets:
        """A copy that a GPU takes by itself, see `detection.records.moved`."""
        return replace(pinned(self), cameras=tuple(camera.pin_memory() for camera in self.cameras))


@dataclass(frozen=True, eq=False)
class ImageNormalization:
    """What becomes of the bytes of images on the device: (byte - mean) * scale, and 0 where an image is padded.

    Images travel as bytes, a quarter of what float32 takes.

    Attributes:
        mean, scale: (3,) float32 of the channels, in the order of the images.
        sizes_px: (B, N, 2) int64, height and width of each image without its padding; None where none is padded.
    """

    mean: Tensor
    scale: Tensor
    sizes_px: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """(B, N, 3, H, W) float32 from uint8."""
        normalized = images.float().sub_(self.mean[:, None, None]).mul_(self.scale[:, None, None])
        if self.sizes_px is None:
            return normalized
        height, width = self.sizes_px[..., None, None, :].unbind(-1)  # (B, N, 1, 1)
        rows, columns = (torch.arange(count, device=images.device) for count in images.shape[-2:])
        inside = (rows[:, None] < height) & (columns < width)
        return normalized.where(inside.unsqueeze(2), 0.0)


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """One time step of B streams with N cameras each.

    The lidar frame is the frame of the boxes: LIDAR_TOP in nuScenes, the ego frame in a recording without a lidar.
    Matrices act on column vectors: `a_from_b @ p_b = p_a`.

    Attributes:
        images: (B, N, 3, H, W) float32, normalised, padded; or uint8 with a `normalization`, as data sets give them.
        image_from_lidar: (B, N, 4, 4) float32, lidar points to homogeneous pixels (u d, v d, d, 1) of `images`.
        image_from_camera: (B, N, 4, 4) float32, the intrinsics after resize and crop.
        camera_from_lidar: (B, N, 4, 4) float32.
        global_from_lidar: (B, 4, 4) float64 pose of the frame; float32 has a step of half a metre at a UTM northing.
        timestamp_s: (B,) float64; float32 has a step of 128 s at today's unix time.
        continues_scene: (B,) bool, whether this frame follows the one that its stream showed before.
        scene_tokens, sample_tokens: B each.
        targets: B annotated frames; None where there are no annotations.
        normalization: of uint8 images, see `normalized`; None for float32 ones.
    """

    images: Tensor
    image_from_lidar: Tensor
    image_from_camera: Tensor
    camera_from_lidar: Tensor
    global_from_lidar: Tensor
    timestamp_s: Tensor
    continues_scene: Tensor
    scene_tokens: tuple[str, ...]
    sample_tokens: tuple[str, ...]
    targets: tuple[FrameTargets, ...] | None = None
    normalization: ImageNormalization | None = None

    def to(self, device: torch.device | str) -> FrameBatch:
        """The same frames on another device."""
        targets = None if self.targets is None else tuple(target.to(device) for target in self.targets)
        normalization = None if self.normalization is None else moved(self.normalization, device)
        return replace(moved(self, device), targets=targets, normalization=normalization)

    def pin_memory(self) -> FrameBatch:
        """A copy that a GPU takes by itself, see `detection.records.moved`; data loaders ask for it."""
        targets = None if self.targets is None else tuple(target.pin_memory() for target in self.targets)
        normalization = None if self.normalization is None else pinned(self.normalization)
        return replace(pinned(self), targets=targets, normalization=normalization)

    def normalized(self) -> FrameBatch:
        """The same frames as networks see them, with float32 images; computed where the frames lie."""
        if self.normalization is None:
            return self
        return replace(self, images=self.normalization(self.images), normalization=None)

    def select(self, streams: Sequence[int]) -> FrameBatch:
        """Some of the streams of normalised frames, in the order given."""
        assert self.normalization is None, "networks see normalised frames"
        chosen = list(streams)
        index = on_device(torch.tensor(chosen, dtype=torch.int64), self.images.device)
        kept: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                kept[field.name] = tuple(value[stream] for stream in chosen)
            elif value is not None:
                kept[field.name] = value[index]
        return FrameBatch(**kept)

    @property
    def lidar_from_image(self) -> Tensor:
        """(B, N, 4, 4) float32, the inverse of `image_from_lidar`."""
        return inverse_poses(self.image_from_lidar)

    @property
    def lidar_from_global(self) -> Tensor:
        """(B, 4, 4) float64, the inverse of `global_from_lidar`."""
        return inverse_poses(self.global_from_lidar.double())

    @property
    def image_size_px(self) -> tuple[int, int]:
        """Height and width of the padded images."""
        height, width = self.images.shape[-2:]
        return height, width
