"""Resizes, crops, mirrors and turns images, with the matrices and the 2D annotations that belong to them.

Image points are continuous (`CameraView`), so the affine map of the matrices is the one by which pixels are resampled:
a scale takes 0 to 0 and the width to the scaled width, a mirror takes u to width - u.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.data.cropping import scaled_and_cropped
from detection.data.frame_record import CameraAnnotations
from detection.data.sample import CameraView, FrameSample, drawn_between
from detection.registry import TRANSFORMS
from scenes.geometry import FloatArray

_SMALLEST_BOX_PX = 2.0
"""Boxes of which less is left after the crop are dropped."""


@dataclass(frozen=True)
class CropDraw:
    """What one frame draws, the same for all its cameras."""

    zoom: float
    left: float  # of the room that the crop has, the share on its left
    bottom: float  # share of the scaled height that is cut off below
    mirrored: bool
    angle_rad: float


@TRANSFORMS.register_module()
class ResizeCropFlipRotate:
    """Scales images to the network's size, cuts away above, and in training zooms, shifts, mirrors and turns them.

    The scale is the smallest at which an image fills the output, times a zoom. What the image does not cover is black.

    Args:
        output_size: height and width of the network's images, pixels.
        zoom_range: lowest and highest zoom. Published as a scale of the 1600 pixel wide images of nuScenes.
        bottom_crop_range: lowest and highest share of the scaled height to cut off below; without `training` the mean.
        flip: whether to mirror half of the frames.
        rotation_range_rad: lowest and highest angle about the middle of the output, clockwise as seen.
        training: whether to draw; else zoom 1, the middle, unmirrored, upright.
        hide_covered: whether to drop 2D boxes that nearer ones cover completely.
    """

    def __init__(
        self,
        output_size: tuple[int, int],
        *,
        training: bool,
        zoom_range: tuple[float, float] = (1.0, 1.0),
        bottom_crop_range: tuple[float, float] = (0.0, 0.0),
        flip: bool = False,
        rotation_range_rad: tuple[float, float] = (0.0, 0.0),
        hide_covered: bool = True,
    ) -> None:
        self._height, self._width = output_size
        self._training = training
        self._zoom_range = zoom_range
        self._bottom_crop_range = bottom_crop_range
        self._flip = flip
        self._rotation_range_rad = rotation_range_rad
        self._hide_covered = hide_covered

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        draw = self._drawn(random) if self._training else self._still
        return sample.with_views([self.transformed(view, draw) for view in sample.views])

    @property
    def _still(self) -> CropDraw:
        return CropDraw(1.0, 0.5, float(np.mean(self._bottom_crop_range)), False, 0.0)

    def _drawn(self, random: np.random.Generator) -> CropDraw:
        return CropDraw(
            zoom=drawn_between(self._zoom_range, random),
            left=random.uniform(),
            bottom=drawn_between(self._bottom_crop_range, random),
            mirrored=self._flip and bool(random.integers(2)),
            angle_rad=drawn_between(self._rotation_range_rad, random),
        )

    def transformed(self, view: CameraView, draw: CropDraw) -> CameraView:
        """A view with a loaded image, after what was drawn."""
        image = view.image
        assert image is not None and image.dtype == np.uint8
        height, width = image.shape[:2]
        scale = draw.zoom * max(self._height / height, self._width / width)
        left = int(draw.left * max(0.0, scale * width - self._width))
        top = int((1.0 - draw.bottom) * scale * height) - self._height
        pixels = scaled_and_cropped(image, scale, left, top, (self._height, self._width))
        after_from_before = np.array([[scale, 0.0, -left], [0.0, scale, -top], [0.0, 0.0, 1.0]])
        if draw.mirrored:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
            after_from_before = np.array([[-1.0, 0, self._width], [0, 1, 0], [0, 0, 1]]) @ after_from_before
        if draw.angle_rad:
            turn = self._turn(draw.angle_rad)
            pixels = _resampled(pixels, turn)
            after_from_before = turn @ after_from_before
        image_from_camera = np.eye(4)
        image_from_camera[:3, :3] = after_from_before @ view.image_from_camera[:3, :3]
        annotations = view.annotations and self._moved(view.annotations, after_from_before)
        return replace(view, image=pixels, image_from_camera=image_from_camera, annotations=annotations)

    def _turn(self, angle_rad: float) -> FloatArray:
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        middle = np.array([self._width, self._height]) / 2
        turn = np.eye(3)
        turn[:2, :2] = [[cos, -sin], [sin, cos]]
        turn[:2, 2] = middle - turn[:2, :2] @ middle
        return turn

    def _moved(self, annotations: CameraAnnotations, after_from_before: FloatArray) -> CameraAnnotations:
        left, top, right, bottom = annotations.boxes_px.T
        corners = np.stack([[left, top], [right, top], [right, bottom], [left, bottom]]).transpose(2, 0, 1)  # (M, 4, 2)
        moved = corners @ after_from_before[:2, :2].T + after_from_before[:2, 2]
        size = np.array([self._width, self._height], dtype=np.float64)
        boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).clip(0.0, np.tile(size, 2))
        centers = annotations.centers_px @ after_from_before[:2, :2].T + after_from_before[:2, 2]
        moved_annotations = CameraAnnotations(
            boxes_px=boxes,
            labels=annotations.labels,
            centers_px=centers.clip(0.0, size),
            depths_m=annotations.depths_m,
        )
        left_over = (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST_BOX_PX).all(axis=1)
        moved_annotations = moved_annotations.select(left_over)
        if self._hide_covered:
            return moved_annotations.select(self._uncovered(moved_annotations))
        return moved_annotations

    def _uncovered(self, annotations: CameraAnnotations) -> NDArray[np.int64]:
        """Indices of the boxes that show at least one pixel when all are painted over one another, far ones first."""
        canvas = np.full((self._height, self._width), len(annotations.labels), dtype=np.int64)
        inner = np.concatenate([np.ceil(annotations.boxes_px[:, :2]), np.floor(annotations.boxes_px[:, 2:])], axis=1)
        for index in np.argsort(-annotations.depths_m, kind="stable"):
            left, top, right, bottom = inner[index].astype(int)
            canvas[top:bottom, left:right] = index
        pixels = np.bincount(canvas.ravel(), minlength=len(annotations.labels))[: len(annotations.labels)]
        return np.flatnonzero(pixels)


def _resampled(image: NDArray[np.uint8], after_from_before: FloatArray) -> NDArray[np.uint8]:
    """The image under an affine map, black where nothing maps to."""
    height, width = image.shape[:2]
    half_pixel = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    # OpenCV puts the centre of the first pixel, here (0.5, 0.5), at (0, 0).
    between_centers = np.linalg.inv(half_pixel) @ after_from_before @ half_pixel
    warped = cv2.warpAffine(image, between_centers[:2], (width, height), flags=cv2.INTER_CUBIC)
    return cast("NDArray[np.uint8]", warped)
