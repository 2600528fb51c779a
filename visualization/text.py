"""Text in pictures, in the font that matplotlib carries, so that every machine draws the same letters."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from visualization.colors import Image


def draw_text(image: Image, text: str, left_px: int, top_px: int, size_px: int, color: NDArray[np.uint8]) -> None:
    """Draw one line of text into `image`; what would lie outside is cut off."""
    mask = _text_mask(text, size_px)
    height, width = image.shape[:2]
    rows = slice(max(top_px, 0), max(min(top_px + mask.shape[0], height), 0))
    columns = slice(max(left_px, 0), max(min(left_px + mask.shape[1], width), 0))
    part = image[rows, columns]
    if not part.size:
        return
    first_row, first_column = rows.start - top_px, columns.start - left_px
    opacity = mask[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1], None]
    part[:] = (part + opacity * (color - part.astype(np.float32))).astype(np.uint8)


def text_size_px(text: str, size_px: int) -> tuple[int, int]:
    """Width and height that `draw_text` fills."""
    height, width = _text_mask(text, size_px).shape
    return width, height


@lru_cache(maxsize=8192)
def _text_mask(text: str, size_px: int) -> NDArray[np.float32]:
    """(H, W) opacity in [0, 1]; H depends on the size alone, so that lines of text align."""
    font = _font(size_px)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(text)))
    canvas = PillowImage.new("L", (width, ascent + descent))
    ImageDraw.Draw(canvas).text((0, 0), text, fill=255, font=font)
    return np.asarray(canvas, dtype=np.float32) / 255.0


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size_px)
