"""What the page that follows a run is told: each frame as a scene's page knows it, one message a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from scenes import NO_QUERY, Boxes3D, Camera, Frame, Taxonomy
from visualization.colors import Image, identity_color
from visualization.confidence import DEFAULT_SCORE
from visualization.images import encode_jpeg
from visualization.page_data import box_rows, class_data, frame_data
from visualization.player import PageOptions, data_uri, live_page
from visualization.views import shown_size_px

_NO_PATHS: Final[Mapping[str, Any]] = {"annotations": [], "detections": None, "judged": False, "operating_points": {}}


@dataclass(frozen=True)
class LiveStatus:
    """How a run does.

    Attributes:
        latency_ms: from image to track.
        dropped: steps so far.
        lines: what was last said of faults.
    """

    latency_ms: float
    dropped: int
    lines: Sequence[str]


class LivePage:
    """Makes the page of a run, and the messages that it lives by.

    Args:
        title: of the page.
        taxonomy: the classes of the boxes.
        first: the first frame: times count from it, positions from its ego.
        session: tells this run from others.
        options: how images are shown.
    """

    def __init__(
        self, title: str, taxonomy: Taxonomy, first: Frame, session: str, options: PageOptions | None = None
    ) -> None:
        self._title = title
        self._taxonomy = taxonomy
        self._start_us = first.timestamp_us
        self._origin_m = first.global_from_ego[:3, 3].copy()
        self._session = session
        self._options = options or PageOptions()

    def message(self, frame: Frame, boxes: Boxes3D, images: Mapping[str, Image], status: LiveStatus) -> dict[str, Any]:
        """What the page is told of a frame.

        Args:
            frame: time, pose and cameras.
            boxes: tracks in global coordinates, with `track_id`.
            images: by camera, those that there are.
            status: how the run does.
        """

        def source(_: int, camera: Camera) -> str | None:
            return self._image(camera, images.get(camera.name))

        return {
            "session": self._session,
            "frame": frame_data(0, frame, self._start_us, self._origin_m, source),
            "tracks": self._paths(boxes),
            "status": {"latency_ms": status.latency_ms, "dropped": status.dropped, "lines": list(status.lines)},
        }

    def page(self, message: Mapping[str, Any]) -> bytes:
        """The page as it begins, with the newest message."""
        data = {
            "scene": {"name": self._title, "location": "", "description": ""},
            "session": self._session,
            **class_data(self._taxonomy),
            **_NO_PATHS,
            "frames": [message["frame"]],
            "tracks": message["tracks"],
        }
        return live_page(data)

    def _paths(self, boxes: Boxes3D) -> list[dict[str, Any]]:
        """A path of one box for each, as `scene.js` reads them."""
        assert boxes.track_id is not None  # tracks
        queries = np.full(len(boxes), NO_QUERY) if boxes.query_id is None else boxes.query_id
        rows = box_rows(boxes, self._origin_m)
        columns = zip(boxes.track_id.tolist(), boxes.label.tolist(), rows, queries.tolist(), strict=True)
        return [
            {
                "id": identity,
                "label": label,
                "color": identity_color(identity),
                "score": row[-1],
                "judged": (row[-1] or 0.0) >= DEFAULT_SCORE,
                "frames": [0],
                "boxes": [row],
                "gaps": [],
                "queries": [None if query == NO_QUERY else query],
                "matches": [None],
                "false_positives": [],
                "switches": [],
                "misses": [],
            }
            for identity, label, row, query in columns
        ]

    def _image(self, camera: Camera, image: Image | None) -> str | None:
        if image is None:
            return None
        width = self._options.image_width_px
        width_px, height_px = shown_size_px(camera)
        size = (width, max(1, round(width * height_px / width_px)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return data_uri(encode_jpeg(small, self._options.image_quality))
