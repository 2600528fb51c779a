"""The ground on which the bird's-eye view is drawn: distance rings and the ego vehicle."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from visualization.annotators import draw_lines, tint_polygon
from visualization.colors import Image, rgb
from visualization.text import draw_text, text_size_px
from visualization.views import BirdsEyeView

GROUND_COLOR: Final = "#10141b"
_RING_COLOR: Final = "#2b3340"
_RING_TEXT_COLOR: Final = "#8793a5"
_EGO_COLOR: Final = "#e8edf4"
RING_SPACING_M: Final = 10.0

# The measuring car: a Renault Zoe, 4.08 m x 1.73 m; the ego frame's origin lies under the rear axle.
_EGO_REAR_M, _EGO_FRONT_M, _EGO_HALF_WIDTH_M = -0.75, 3.33, 0.87
EGO_OUTLINE_M: Final = np.array(
    [
        [_EGO_FRONT_M, _EGO_HALF_WIDTH_M],
        [_EGO_FRONT_M, -_EGO_HALF_WIDTH_M],
        [_EGO_REAR_M, -_EGO_HALF_WIDTH_M],
        [_EGO_REAR_M, _EGO_HALF_WIDTH_M],
    ]
)
"""(4, 2) corners of the measuring car in ego coordinates."""


def birds_eye_canvas(view: BirdsEyeView) -> Image:
    """An empty bird's-eye view: rings every ten metres with their distance, and the ego vehicle."""
    image = np.empty((view.height_px, view.width_px, 3), dtype=np.uint8)
    image[:] = rgb(GROUND_COLOR)
    _draw_rings(image, view)
    _draw_ego(image, view)
    return image


def _draw_rings(image: Image, view: BirdsEyeView) -> None:
    middle = view.pixels_from_ego(np.zeros((1, 2)))[0]
    reach_m = float(np.hypot(view.width_px, view.height_px)) / (2.0 * view.pixels_per_m)
    text_px = max(9, view.height_px // 60)
    for radius_m in np.arange(RING_SPACING_M, reach_m, RING_SPACING_M):
        center = tuple(np.round(middle * 16).astype(int).tolist())
        radius = round(radius_m * view.pixels_per_m * 16)
        cv2.circle(image, center, radius, rgb(_RING_COLOR).tolist(), 1, cv2.LINE_AA, 4)
        # On the diagonal, away from the road ahead and behind.
        column, row = view.pixels_from_ego(radius_m * np.array([[np.sqrt(0.5), -np.sqrt(0.5)]]))[0]
        text = f"{radius_m:.0f} m"
        width, height = text_size_px(text, text_px)
        draw_text(image, text, round(column - width / 2), round(row - height / 2), text_px, rgb(_RING_TEXT_COLOR))


def _draw_ego(image: Image, view: BirdsEyeView) -> None:
    corners = view.pixels_from_ego(EGO_OUTLINE_M)
    tint_polygon(image, corners, rgb(_EGO_COLOR), 0.35)
    draw_lines(image, np.stack([corners, np.roll(corners, -1, axis=0)], axis=1), rgb(_EGO_COLOR), 1)
    nose = view.pixels_from_ego(np.array([[1.6, _EGO_HALF_WIDTH_M], [_EGO_FRONT_M, 0.0], [1.6, -_EGO_HALF_WIDTH_M]]))
    draw_lines(image, np.stack([nose[:-1], nose[1:]], axis=1), rgb(_EGO_COLOR), 1)
