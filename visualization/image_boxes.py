"""Draws boxes in single images, such as those of a 2D detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from scenes.files import write_atomically
from scenes.geometry import FloatArray
from visualization.annotators import draw_lines, draw_plate, draw_rim, free_plate
from visualization.colors import Image, class_color, rgb

_SIZES_OF_LETTERS_PX = (9, 40)
_HEIGHTS_OF_A_LETTER = 55  # that an image has
_LETTERS_OF_A_LINE = 7  # thickness of lines, as a share of the letters
_JPEG_QUALITY = 92
_SUFFIXES_KEPT = (".jpg", ".jpeg", ".png")


def draw_image_boxes(image: Image, edges_px: FloatArray, labels: Sequence[int], texts: Sequence[str]) -> Image:
    """A copy of an image with boxes, each with its text; a text that would cover another one is left out.

    Args:
        image: (H, W, 3) RGB.
        edges_px: (N, 4) left, top, right, bottom; the most important box first.
        labels: N class indices, which give the colours.
        texts: N texts.
    """
    drawn = image.copy()
    size_px = int(np.clip(max(image.shape[:2]) // _HEIGHTS_OF_A_LETTER, *_SIZES_OF_LETTERS_PX))
    thickness_px = max(1, size_px // _LETTERS_OF_A_LINE)
    colors = [rgb(class_color(label)) for label in labels]
    outlines = [_outline(edges) for edges in edges_px]
    for outline, color in zip(outlines[::-1], colors[::-1], strict=True):
        draw_rim(drawn, outline, thickness_px)
        draw_lines(drawn, outline, color, thickness_px)
    taken = np.zeros((0, 4), dtype=np.int64)
    for outline, color, text in zip(outlines, colors, texts, strict=True):
        plate = free_plate(text, outline.reshape(-1, 2), taken, drawn.shape, size_px)
        if plate is not None:
            taken = np.vstack([taken, plate])
            draw_plate(drawn, text, plate, color, size_px)
    return drawn


def even_sided(image: Image) -> Image:
    """An image whose last row and column are there twice if its sides are odd: H.264 wants even ones."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def write_image(folder: Path, name: str, image: Image) -> Path:
    """Write an image under its name, whole or not at all; as JPEG unless it is a PNG. Returns where."""
    suffix = Path(name).suffix.lower()
    path = folder / (name if suffix in _SUFFIXES_KEPT else f"{name}.jpg")
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix != ".png" else []
    content = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1]
    write_atomically(path, content.tobytes())
    return path


def _outline(edges_px: FloatArray) -> FloatArray:
    """(1, 5, 2) the closed line around a box."""
    left, top, right, bottom = edges_px
    return np.array([[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]])
