"""A camera's lens: its pinhole matrix, and what takes the distortion out of images; nuScenes' tables have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray

DistortionModel = Literal["pinhole", "fisheye"]
COEFFICIENTS: Final = {"pinhole": (4, 5, 8, 12, 14), "fisheye": (4,)}
"""How many OpenCV's models take: k1, k2, p1, p2, k3, ...; of a fisheye k1, k2, k3, k4."""


@dataclass(frozen=True, eq=False)
class Lens:
    """A lens with distortion.

    Attributes:
        intrinsic: (3, 3) pinhole matrix, pixels; images keep it when they are undistorted.
        size_px: width and height.
        model: OpenCV's distortion model.
        coefficients: of the model.
    """

    intrinsic: FloatArray
    size_px: tuple[int, int]
    model: DistortionModel
    coefficients: Sequence[float]

    @cached_property
    def _maps(self) -> tuple[Any, Any]:
        undistort = cv2.fisheye.initUndistortRectifyMap if self.model == "fisheye" else cv2.initUndistortRectifyMap
        coefficients = np.array(self.coefficients, dtype=np.float64)
        maps = undistort(self.intrinsic, coefficients, np.eye(3), self.intrinsic, self.size_px, cv2.CV_32FC1)
        return maps[0], maps[1]

    def undistort(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image (H, W, 3) as the pinhole matrix alone would have made it; black where the lens saw nothing."""
        if image.shape[1::-1] != self.size_px:
            return image  # whoever places it refuses it
        return np.asarray(cv2.remap(image, *self._maps, cv2.INTER_LINEAR), dtype=np.uint8)
