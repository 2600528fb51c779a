"""Camera images from disk, at the size in which they are shown; a grey frame where there is none."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import PIL.Image

from scenes import Camera, InputError, Scene
from scenes.image_files import LARGEST_IMAGE_PIXELS, is_cut_off, read_image_file
from visualization.colors import Image
from visualization.text import draw_text, text_size_px

_GREY: Final = 70
_MESSAGE_COLOR: Final = np.array([190, 196, 205], dtype=np.uint8)
_SHRINKING_DECODERS: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)

_BROKEN: Final = (OSError, InputError, SyntaxError, ValueError, cv2.error)
"""Pillow's and OpenCV's ways to report broken content, and a size that nothing tells."""


def has_images(scene: Scene) -> bool:
    """Whether any camera image of the scene lies on disk."""
    return any(camera.image_path.is_file() for frame in scene.frames for camera in frame.cameras)


def read_image(camera: Camera, width_px: int, height_px: int) -> Image | None:
    """The camera's image at the size asked for; None where it is missing or broken."""
    try:
        content = read_image_file(camera.image_path)
        if is_cut_off(content) or _has_too_many_pixels(content):
            return None
        decoded = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), _decoder_flag(camera, width_px))
    except _BROKEN:
        return None
    if decoded is None:
        return None
    resized = cv2.resize(decoded, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def grey_image(path: Path, width_px: int, height_px: int) -> Image:
    """What stands in for an image that cannot be read: a grey frame with the file's name."""
    image = np.full((height_px, width_px, 3), _GREY, dtype=np.uint8)
    size_px = max(9, height_px // 32)
    reason = "broken image:" if path.is_file() else "no image:"
    for line, text in enumerate((path.name, reason)):
        width, height = text_size_px(text, size_px)
        # A long name is cut at its front: its end tells camera and time. It stands low, where few boxes are.
        draw_text(
            image, text, min(8, width_px - width - 8), height_px - (line + 1) * height - 4, size_px, _MESSAGE_COLOR
        )
    return image


def encode_jpeg(image: Image, quality: int) -> bytes:
    """The image as the content of a JPEG file; quality from 1 to 100."""
    flipped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content: bytes = cv2.imencode(".jpg", flipped, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return content


def _has_too_many_pixels(content: bytes) -> bool:
    """As the header says; OpenCV would take gigabytes of memory before it looked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(BytesIO(content)) as header:
                return bool(header.width * header.height > LARGEST_IMAGE_PIXELS)
        except PIL.Image.DecompressionBombError:
            return True


def _decoder_flag(camera: Camera, width_px: int) -> int:
    """JPEG decoders halve an image several times faster than they decode it whole."""
    for factor, flag in _SHRINKING_DECODERS:
        if camera.width_px >= factor * width_px:
            return int(flag)
    return int(cv2.IMREAD_COLOR)
