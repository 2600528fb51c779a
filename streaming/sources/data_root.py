"""Plays the key frames of a data root."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from detection.data.image_reading import read_image
from scenes import Scene, Taxonomy, taxonomy_of
from streaming.events import Event, Moment, Shot, Start


@dataclass(frozen=True)
class DataRootSource:
    """The scenes of a split, one after the other; images that are missing on disk are missing.

    Attributes:
        name: the data root.
        scenes: as `scenes.read_scenes` gives them.
    """

    name: str
    scenes: Sequence[Scene]
    is_live: bool = False

    @property
    def taxonomy(self) -> Taxonomy | None:
        return taxonomy_of(self.scenes)

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        for scene in self.scenes:
            first = scene.frames[0]
            yield Start(scene.token, first.cameras, first.ego_from_lidar)
            for frame in scene.frames:
                moment = Moment(frame.token, frame.timestamp_us, frame.global_from_ego)
                for camera in frame.cameras:
                    if stopped.is_set():
                        return
                    # A key frame is complete when it is written: none of its images is waited for.
                    yield Shot(camera, frame.timestamp_us, partial(read_image, camera.image_path), moment)
