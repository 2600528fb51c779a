"""Puts the frames of several streams side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import torch

from detection.frames import FrameBatch, ImageNormalization
from scenes import InputError

_TENSORS = (
    "images",
    "image_from_lidar",
    "image_from_camera",
    "camera_from_lidar",
    "global_from_lidar",
    "timestamp_s",
    "continues_scene",
)


def collate(windows: Sequence[Sequence[FrameBatch]]) -> dict[str, list[FrameBatch]]:
    """A batch of windows.

    Args:
        windows: B data set items, each T frames of a stream.

    Returns:
        `{"frames": [...]}`: T frames of B streams.

    Raises:
        InputError: windows differ in length, or frames in their number of cameras or image size.
    """
    lengths = {len(window) for window in windows}
    if len(lengths) > 1:
        raise InputError(f"windows of different length in a batch: {sorted(lengths)}")
    return {"frames": [_side_by_side(frames) for frames in zip(*windows, strict=True)]}


def _side_by_side(frames: Sequence[FrameBatch]) -> FrameBatch:
    if len(frames) == 1:
        return frames[0]
    shapes = {tuple(frame.images.shape[1:]): frame.sample_tokens[0] for frame in frames}
    if len(shapes) > 1:
        found = ", ".join(f"{_described(shape)} in sample '{token}'" for shape, token in shapes.items())
        raise InputError(f"frames of one batch differ: {found}")
    annotated = [frame.targets for frame in frames if frame.targets is not None]
    return FrameBatch(
        **{name: torch.cat([getattr(frame, name) for frame in frames]) for name in _TENSORS},
        scene_tokens=tuple(chain.from_iterable(frame.scene_tokens for frame in frames)),
        sample_tokens=tuple(chain.from_iterable(frame.sample_tokens for frame in frames)),
        targets=tuple(chain.from_iterable(annotated)) if len(annotated) == len(frames) else None,
        normalization=_together(frames),
    )


def _together(frames: Sequence[FrameBatch]) -> ImageNormalization | None:
    """How the images of all frames are normalised: alike, but for their paddings."""
    normalization = frames[0].normalization
    if normalization is None or all(frame.normalization.sizes_px is None for frame in frames if frame.normalization):
        return normalization
    return replace(normalization, sizes_px=torch.cat([_sizes_px(frame) for frame in frames]))


def _sizes_px(frame: FrameBatch) -> torch.Tensor:
    """(B, N, 2) of images without their padding."""
    if frame.normalization is not None and frame.normalization.sizes_px is not None:
        return frame.normalization.sizes_px
    return torch.tensor(frame.image_size_px).expand(*frame.images.shape[:2], 2)


def _described(shape: tuple[int, ...]) -> str:
    cameras, _, height, width = shape
    return f"{cameras} images of {width}x{height}"
