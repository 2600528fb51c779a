"""Rerun: a recording in a file, or a viewer that runs. Needs the extra `rerun`."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from scenes import Boxes3D, Taxonomy
from scenes.files import atomic_path
from streaming.output import TrackedStep
from streaming.sinks.files import check_writable
from visualization.colors import color_by_identity
from visualization.mosaic import sorted_cameras
from visualization.rerun_frames import APPLICATION, FrameLogger, logged_size_px, rerun_module

_TAIL_US: Final = 4_000_000


class RerunSink:
    """Logs the world, the cameras and the tracks with their tails.

    Args:
        target: a file, which takes its place when the run ends, or the address of a viewer, `rerun+http://...`.
        taxonomy: the classes of the boxes.

    Raises:
        InputError: rerun-sdk is not installed.
        OSError: the file cannot be written.
    """

    def __init__(self, target: str, taxonomy: Taxonomy) -> None:
        self._rerun: Any = rerun_module()
        self._taxonomy = taxonomy
        self._recording = self._rerun.RecordingStream(APPLICATION)
        self._open = ExitStack()
        self._path = None if "://" in target else Path(target)
        if self._path is None:
            self._recording.connect_grpc(target)
        else:
            check_writable(self._path)
        self._frames: FrameLogger | None = None
        self._start_us = 0
        self._history: deque[tuple[int, Boxes3D]] = deque()

    def publish(self, step: TrackedStep) -> None:
        if self._frames is None:
            if self._path is not None:
                self._recording.save(self._open.enter_context(atomic_path(self._path)))
            origin_m = step.frame.global_from_ego[:3, 3].copy()
            self._frames = FrameLogger(self._rerun, self._recording, origin_m, self._taxonomy.names)
            self._frames.begin("live", [camera.name for camera in sorted_cameras(step.frame.cameras)])
            self._start_us = step.frame.timestamp_us
        self._recording.set_time("time", duration=1e-6 * (step.frame.timestamp_us - self._start_us))
        self._frames.log_ego(step.frame.global_from_ego)
        for camera in step.frame.cameras:
            image = step.images.get(camera.name)
            small = None if image is None else cv2.resize(image, logged_size_px(camera), interpolation=cv2.INTER_AREA)
            self._frames.log_camera(camera, None if small is None else np.asarray(small, dtype=np.uint8))
        self._history.append((step.frame.timestamp_us, step.seen))
        while self._history[0][0] < step.frame.timestamp_us - _TAIL_US:
            self._history.popleft()
        self._frames.log_boxes("world/tracks", step.seen, color_by_identity)
        self._frames.log_tails([boxes for _, boxes in self._history], step.seen, color_by_identity)

    def close(self) -> None:
        self._recording.flush(blocking=True)
        self._recording.disconnect()
        self._open.close()
