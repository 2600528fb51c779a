"""Crops of single cameras for training: where things are, which is around the horizon, and at any scale."""

from __future__ import annotations

import numpy as np

from detection.data.sample import CameraView, FrameSample, drawn_between
from detection.data.transforms.resize_crop import CropDraw, ResizeCropFlipRotate
from detection.registry import TRANSFORMS
from scenes import InputError
from scenes.geometry import FloatArray

_MARGIN = 1 / 12  # of a crop's sides, which its focus keeps away from


@TRANSFORMS.register_module()
class CropAroundHorizon:
    """Cuts a rectangle out of each scaled image that shows the horizon, and the focus of the sample if it has one.

    Args:
        output_size: height and width of the crop, pixels.
        scale_range: lowest and highest scale of the image.
        horizon_range: highest and lowest place of the horizon, as shares of the crop's height from above.
    """

    def __init__(
        self,
        output_size: tuple[int, int],
        scale_range: tuple[float, float] = (1.0, 1.0),
        horizon_range: tuple[float, float] = (0.2, 0.5),
    ) -> None:
        if not 0 < scale_range[0] <= scale_range[1]:
            raise InputError(f"CropAroundHorizon: scale_range is {scale_range}, expected two numbers above 0, in order")
        self._size_px = np.array([output_size[1], output_size[0]], dtype=np.float64)
        self._scale_range = scale_range
        self._horizon_range = horizon_range
        self._cut = ResizeCropFlipRotate(output_size, training=True)

    def __call__(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        return sample.with_views([self._cropped(view, sample.focus_px, random) for view in sample.views])

    def _cropped(self, view: CameraView, focus_px: FloatArray | None, random: np.random.Generator) -> CameraView:
        assert view.image is not None
        scale = drawn_between(self._scale_range, random)
        image_px = scale * np.array([view.image.shape[1], view.image.shape[0]], dtype=np.float64)
        left = random.uniform(0.0, 1.0) * (image_px[0] - self._size_px[0])
        top = scale * _horizon_row_px(view) - drawn_between(self._horizon_range, random) * self._size_px[1]
        corner = np.array([left, top])
        if focus_px is not None:
            focus, margin = scale * focus_px, _MARGIN * self._size_px
            corner[0] = random.uniform(focus[0] - self._size_px[0] + margin[0], focus[0] - margin[0])
            corner = corner.clip(focus - self._size_px + margin, focus - margin)
        room = np.maximum(image_px - self._size_px, 0.0)
        corner = corner.clip(0.0, room)
        shares = corner / np.maximum(room, 1.0)
        return self._cut.transformed(
            view,
            CropDraw(
                zoom=scale / float((self._size_px / np.array(view.image.shape[1::-1])).max()),
                left=float(shares[0]),
                bottom=float((image_px[1] - self._size_px[1] - corner[1]) / image_px[1]),
                mirrored=False,
                angle_rad=0.0,
            ),
        )


def _horizon_row_px(view: CameraView) -> float:
    """Row of the image's middle column in which the plane of the lidar's z axis through the camera is seen."""
    up = view.camera_from_lidar[:3, 2]
    ahead = np.array([0.0, -up[2] / up[1], 1.0])  # level, in the camera's own vertical plane
    return float(view.image_from_camera[1, :3] @ ahead)
