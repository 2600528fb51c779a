"""The frames of a video, decoded one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


class VideoFrames:
    """A video file; frames are asked for in ascending order.

    Raises:
        InputError: no video, or one without frames.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        self._path = path
        self._capture: Any = None
        self._next = 0
        capture = cv2.VideoCapture(str(path))
        self.rate_hz: float = capture.get(cv2.CAP_PROP_FPS) or 0.0
        # The header's number of frames may be wrong: skipping through them tells.
        self.count = 0
        while capture.grab():
            self.count += 1
        self.size_px = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        capture.release()
        if not self.count:
            raise InputError(f"{path}: no video, or one without frames")

    def frame(self, index: int) -> NDArray[np.uint8]:
        """The pixels (H, W, 3) of a frame, blue, green, red.

        Raises:
            InputError: the frame cannot be decoded.
        """
        if self._capture is None or index < self._next:
            self._capture = cv2.VideoCapture(str(self._path))
            self._next = 0
        decoded = True
        while decoded and self._next < index:
            decoded = self._capture.grab()
            self._next += 1
        decoded, image = self._capture.read() if decoded else (False, None)
        self._next += 1
        if not decoded:
            raise InputError(f"{self._path}: frame {index} cannot be decoded")
        return np.asarray(image, dtype=np.uint8)
