"""A source that plays the city with faults: images that are missing, late, broken or there twice, dead cameras, clocks.

Faults follow one another in a fixed order, with quiet between, so that each can be told from what the pipeline says.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import cv2
import numpy as np

from scenes import NUSCENES, InputError, Taxonomy
from scenes.image_files import is_cut_off
from streaming.events import Event, RgbImage, Shot, Start
from streaming.soak.city import EXPOSURE_US, RATE_HZ, START_US, SoakCity, city_jpeg

STEP_US: Final = 1_000_000 // RATE_HZ
_DELIVERY_US: Final = 20_000
_LATE_US: Final = 350_000
QUIET: Final = 40
"""Steps between two faults."""


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: of it.
        steps: how long it lasts.
        named: what the journal counts of one of it, at least.
        all_cameras: whether it befalls all of them.
        clock_us: by how much clocks are wrong while it lasts.
    """

    name: str
    steps: int
    named: dict[str, int]
    all_cameras: bool = False
    clock_us: int = 0


FAULTS: Final = (
    FaultKind("missing image", 1, {"missing image": 1}),
    FaultKind("late image", 1, {"missing image": 1, "late image": 1}),
    FaultKind("repeated image", 1, {"late image": 1}),
    FaultKind("broken image", 1, {}),  # named where it is decoded: `SoakSource.broken` counts
    FaultKind("dead camera", 30, {"missing image": 2, "camera lost": 1, "camera back": 1}),
    FaultKind("silence", 20, {"silence": 1}, all_cameras=True),
    FaultKind("clock an hour ahead", 30, {"clock jump": 12}, all_cameras=True, clock_us=3_600_000_000),
    FaultKind("clock two minutes back", 30, {"clock jump": 12}, all_cameras=True, clock_us=-120_000_000),
    FaultKind("clock of one camera ahead", 30, {"clock jump": 2}, clock_us=5_000_000),
    FaultKind("slow detector", 1, {"dropped step": 1}, all_cameras=True),
)


@dataclass(frozen=True)
class Fault:
    """A fault in the steps from `first` to `last`; of one camera where it is not of all."""

    kind: FaultKind
    first: int
    camera: str

    @property
    def last(self) -> int:
        return self.first + self.kind.steps - 1

    def befalls(self, camera: str) -> bool:
        """Whether it concerns a camera."""
        return self.kind.all_cameras or camera == self.camera


class FaultSchedule:
    """Faults in turn, as many as end a while before the last step.

    Args:
        steps: of the run.
        without: names of kinds that are left out.
        quiet: steps between two faults.
    """

    def __init__(self, steps: int, without: tuple[str, ...] = (), quiet: int = QUIET) -> None:
        kinds = [kind for kind in FAULTS if kind.name not in without]
        names = list(EXPOSURE_US)
        self.faults: list[Fault] = []
        first = quiet
        for number in count():
            fault = Fault(kinds[number % len(kinds)], first, names[number % len(names)])
            if fault.last + quiet >= steps:
                break
            self.faults.append(fault)
            first = fault.last + quiet
        self._of_step = {step: fault for fault in self.faults for step in range(fault.first, fault.last + 1)}

    def at(self, step: int) -> Fault | None:
        """The fault of a step."""
        return self._of_step.get(step)

    def named(self) -> Counter[str]:
        """What the journal has to count at least."""
        total: Counter[str] = Counter()
        for fault in self.faults:
            total.update(fault.kind.named)
        return total


@dataclass(frozen=True)
class SoakSource:
    """The city's steps as images of its cameras, with faults.

    Attributes:
        city: to drive through.
        steps: of the run.
        schedule: of the faults.
        broken: how many broken images have been looked at; the steps of others were dropped before.
    """

    city: SoakCity
    steps: int
    schedule: FaultSchedule
    broken: Counter[str] = field(default_factory=Counter)
    name: str = "soak"
    is_live: bool = False

    @property
    def taxonomy(self) -> Taxonomy | None:
        return NUSCENES

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        yield Start("soak", tuple(self.city.camera(name, -1, 0) for name in EXPOSURE_US))
        images = {name: city_jpeg(number) for number, name in enumerate(EXPOSURE_US)}
        waiting: list[tuple[int, int, Shot]] = []
        order = count()
        for index in range(self.steps):
            if stopped.is_set():
                return
            for shot in self._shots(index, images):
                heapq.heappush(waiting, (shot.arrival_us, next(order), shot))
            # What arrives later than the next step's first image has to wait for it.
            reach_us = START_US + (index + 1) * STEP_US + min(EXPOSURE_US.values()) + _DELIVERY_US
            while waiting and waiting[0][0] < reach_us:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _shots(self, index: int, images: dict[str, bytes]) -> Iterator[Shot]:
        fault = self.schedule.at(index)
        for name, content in images.items():
            kind = fault.kind if fault is not None and fault.befalls(name) else None
            if kind is not None and kind.name in ("missing image", "dead camera", "silence"):
                continue
            taken_us = START_US + index * STEP_US + EXPOSURE_US[name]
            stamp_us = taken_us + (0 if kind is None else kind.clock_us)
            camera = self.city.camera(name, index, stamp_us)
            is_broken = kind is not None and kind.name == "broken image"
            late_us = _LATE_US if kind is not None and kind.name == "late image" else 0
            shot = Shot(
                camera, taken_us + _DELIVERY_US + late_us, _Reader(content[:-40] if is_broken else content, self.broken)
            )
            yield shot
            if kind is not None and kind.name == "repeated image":
                yield Shot(camera, shot.arrival_us + 1, shot.read)


@dataclass(frozen=True)
class _Reader:
    """Decodes an image, or counts that it is broken."""

    content: bytes
    broken: Counter[str]

    def __call__(self) -> RgbImage:
        if is_cut_off(self.content):
            self.broken["broken image"] += 1
            raise InputError("the image is cut off")
        image = cv2.imdecode(np.frombuffer(self.content, dtype=np.uint8), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(image[..., ::-1])
