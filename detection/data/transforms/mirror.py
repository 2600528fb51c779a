"""The mirrored world: what is on the left comes to be on the right, in images, calibrations and boxes alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from detection.data.frame_record import CameraAnnotations
from detection.data.sample import CameraView, FrameSample
from detection.registry import TRANSFORMS
from scenes.geometry import FloatArray, wrap_angle

_MIRROR: Final = np.diag([-1.0, 1.0, 1.0, 1.0])
"""Of the x axes of cameras, of the lidar frame and of the global frame."""


@TRANSFORMS.register_module()
class MirrorWorld:
    """Mirrors a frame with a probability, after the crop and before normalisation.

    Unlike a flip of the image alone it leaves proper cameras, with positive focal lengths and rigid poses: a network
    that takes rays and turns from the calibration sees a world that could be. Each frame draws for itself, so that it
    is for networks without memory.

    Args:
        probability: of mirroring a frame.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self._probability = probability

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        return mirrored(sample) if random.uniform() < self._probability else sample


def mirrored(sample: FrameSample) -> FrameSample:
    """A frame with loaded images in the mirrored world; twice mirrored it is itself."""
    return replace(
        sample,
        global_from_lidar=_MIRROR @ sample.global_from_lidar @ _MIRROR,
        views=tuple(_mirrored_view(view) for view in sample.views),
        boxes=None if sample.boxes is None else _mirrored_boxes(sample.boxes),
    )


def _mirrored_boxes(boxes: FloatArray) -> FloatArray:
    """Boxes (N, 9) of the lidar frame."""
    moved = boxes.copy()
    moved[:, 0] *= -1
    moved[:, 6] = wrap_angle(np.pi - boxes[:, 6])
    moved[:, 7] *= -1
    return moved


def _mirrored_view(view: CameraView) -> CameraView:
    assert view.image is not None and view.image.dtype == np.uint8
    width = view.image.shape[1]
    image_mirror = np.eye(4)
    image_mirror[0, [0, 2]] = [-1.0, width]
    return replace(
        view,
        image=np.ascontiguousarray(view.image[:, ::-1]),
        image_from_camera=image_mirror @ view.image_from_camera @ _MIRROR,
        camera_from_lidar=_MIRROR @ view.camera_from_lidar @ _MIRROR,
        annotations=view.annotations and _mirrored_annotations(view.annotations, width),
    )


def _mirrored_annotations(annotations: CameraAnnotations, width: int) -> CameraAnnotations:
    left, top, right, bottom = annotations.boxes_px.T
    centers = annotations.centers_px.copy()
    centers[:, 0] = width - centers[:, 0]
    return replace(
        annotations, boxes_px=np.stack([width - right, top, width - left, bottom], axis=1), centers_px=centers
    )
