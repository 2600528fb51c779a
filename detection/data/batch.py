"""From a `FrameSample` after its transforms to the tensors of a `FrameBatch`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from detection.data.frame_record import CameraAnnotations
from detection.data.sample import FrameSample
from detection.frames import CameraTargets, FrameBatch, FrameTargets, ImageNormalization
from scenes.geometry import FloatArray


def frame_batch(sample: FrameSample, continues_scene: bool) -> FrameBatch:
    """A frame as a batch of one stream.

    Raises:
        ValueError: the pipeline has not normalised the images.
    """
    images, normalization = _images(sample)
    image_from_camera = np.stack([view.image_from_camera for view in sample.views])
    camera_from_lidar = np.stack([view.camera_from_lidar for view in sample.views])
    return FrameBatch(
        images=images,
        image_from_lidar=_float32(image_from_camera @ camera_from_lidar)[None],
        image_from_camera=_float32(image_from_camera)[None],
        camera_from_lidar=_float32(camera_from_lidar)[None],
        global_from_lidar=torch.from_numpy(np.asarray(sample.global_from_lidar, dtype=np.float64))[None],
        timestamp_s=torch.tensor([sample.timestamp_us * 1e-6], dtype=torch.float64),
        continues_scene=torch.tensor([continues_scene]),
        scene_tokens=(sample.scene_token,),
        sample_tokens=(sample.sample_token,),
        targets=None if sample.boxes is None else (_targets(sample),),
        normalization=normalization,
    )


def _images(sample: FrameSample) -> tuple[torch.Tensor, ImageNormalization]:
    """(1, N, 3, H, W) uint8, and how they are normalised."""
    images = [view.image for view in sample.views if view.image is not None]
    if sample.normalization is None or len(images) < len(sample.views):
        raise ValueError("the pipeline has to load the images and end with NormalizeImages")
    sizes = [image.shape[1:] for image in images]
    if sample.padded_size_px is None or {sample.padded_size_px} == set(sizes):
        return torch.from_numpy(np.stack(images))[None], sample.normalization
    padded = np.zeros((len(images), 3, *sample.padded_size_px), dtype=np.uint8)
    for canvas, image in zip(padded, images, strict=True):
        canvas[:, : image.shape[1], : image.shape[2]] = image
    return torch.from_numpy(padded)[None], replace(sample.normalization, sizes_px=torch.tensor(sizes)[None])


def _targets(sample: FrameSample) -> FrameTargets:
    assert sample.boxes is not None and sample.labels is not None
    return FrameTargets(
        boxes=_float32(sample.boxes),
        labels=torch.from_numpy(sample.labels.astype(np.int64)),
        cameras=tuple(_camera_targets(view.annotations) for view in sample.views),
    )


def _camera_targets(annotations: CameraAnnotations | None) -> CameraTargets:
    if annotations is None:
        none = np.zeros(0)
        annotations = CameraAnnotations(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros((0, 2)), none)
    return CameraTargets(
        boxes_px=_float32(annotations.boxes_px),
        labels=torch.from_numpy(annotations.labels.astype(np.int64)),
        centers_px=_float32(annotations.centers_px),
        depths_m=_float32(annotations.depths_m),
    )


def _float32(array: FloatArray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))
