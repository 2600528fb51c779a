"""`Assembler`: puts the images of several cameras together to steps, whatever comes late, twice or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from scenes import Camera, Frame
from scenes.geometry import FloatArray
from streaming.clock import StreamClock
from streaming.events import Event, Shot, Start, Tick
from streaming.journal import Journal
from streaming.rhythm import Rhythm

LONGEST_WAIT_S: Final = 0.15
"""How long the first image of a step waits for the others: what Autoware's node allows between its cameras."""

_LOST_AFTER: Final = 3
"""Steps in a row without an image after which a camera is not waited for any more."""

_SILENCE_US: Final = 1_000_000

_REMEMBERED: Final = 64
"""Steps of a data root whose late images are known as such."""


@dataclass(frozen=True, eq=False)
class Step:
    """One time step of a scene.

    Attributes:
        scene: its token.
        frame: time and pose, and the cameras of the rig, of which some may have no image.
        shots: by camera, those that came.
        closed_us: arrival of the last of them, or the end of the wait.
        waited_us: for how long the image that gave the step its time has been there since.
    """

    scene: str
    frame: Frame
    shots: Mapping[str, Shot]
    closed_us: int
    waited_us: int

    @property
    def missing(self) -> tuple[str, ...]:
        """Cameras without an image."""
        return tuple(camera.name for camera in self.frame.cameras if camera.name not in self.shots)


@dataclass
class _Open:
    """A step that still waits for images: those that came, and their steady times."""

    began_us: int
    key: str | None
    time_us: int
    shots: dict[str, Shot] = field(default_factory=dict)
    times_us: dict[str, int] = field(default_factory=dict)


class Assembler:
    """Takes events in the order of their arrival and gives steps.

    A step is closed when all cameras that live have delivered, when one delivers an image of the next step, or when its
    first image has waited too long. Images of closed steps are late and left out. Where no token of a key frame says to
    which step an image belongs, `Rhythm` tells by its time. A camera that misses three steps in a row counts as lost,
    and is not waited for until it is back.

    Args:
        journal: told of all that is wrong.
        wait_s: see `LONGEST_WAIT_S`.
        rate_hz: take images no more often than about this from each camera; None for all.
    """

    def __init__(self, journal: Journal, wait_s: float = LONGEST_WAIT_S, rate_hz: float | None = None) -> None:
        self._journal = journal
        self._wait_us = round(1e6 * wait_s)
        self._least_gap_us = 0 if rate_hz is None else round(0.75e6 / rate_hz)
        self._begin(Start("", ()))

    def add(self, event: Event) -> Iterator[Step]:
        """The steps that an event completes."""
        if isinstance(event, Start):
            yield from self.finish()
            self._begin(event)
            return
        if self._open is not None and self._has_waited(self._open, event):
            yield from self._close(self._open.began_us + self._wait_us)
        if isinstance(event, Tick):
            return
        name = event.camera.name
        time_us = self._clock(name).at(event.camera.timestamp_us, event.arrival_us)
        if self._missed.get(name, 0) >= _LOST_AFTER:
            self._journal.fault("camera back", name, f"is back at {_seconds(event)}")
            self._missed[name] = 0
        if time_us is not None and not self._is_due(name, time_us):
            return
        if time_us is None or self._is_late(event, time_us):
            self._journal.fault("late image", name, f"an image of {_seconds(event)} is late; it is left out")
        else:
            yield from self._take(event, time_us)

    def finish(self) -> Iterator[Step]:
        """The step that is still open."""
        if self._open is not None:
            last = max(shot.arrival_us for shot in self._open.shots.values())
            yield from self._close(last)

    def _begin(self, start: Start) -> None:
        self._start = start
        self._rig = {camera.name: camera for camera in start.cameras}
        self._missed = dict.fromkeys(self._rig, 0)
        self._clocks: dict[str, StreamClock] = {}
        self._taken_us: dict[str, int] = {}
        self._closed: deque[str] = deque(maxlen=_REMEMBERED)
        self._open: _Open | None = None
        self._last_us: int | None = None
        self._first_us = 0
        self._reach_us: int | None = None
        self._delivered: frozenset[str] = frozenset()
        self._began_us: int | None = None
        self._rhythm = Rhythm()

    def _clock(self, who: str) -> StreamClock:
        if who not in self._clocks:
            self._clocks[who] = StreamClock(who, self._journal)
        return self._clocks[who]

    def _has_waited(self, opened: _Open, event: Shot | Tick) -> bool:
        """Whether a step has waited long enough when an event comes."""
        # The images of a key frame are there at one time, and one whole also where none is waited for.
        least_us = self._wait_us if opened.key is None else max(self._wait_us, 1)
        return event.arrival_us - opened.began_us >= least_us

    def _is_late(self, shot: Shot, time_us: int) -> bool:
        """Whether an image comes after newer ones of its camera, or belongs to a step that is closed."""
        taken_us = self._taken_us.get(shot.camera.name)
        if taken_us is not None and time_us <= taken_us:
            return True
        if shot.moment is not None:
            older = self._open is not None and time_us < min(self._open.times_us.values())
            older = older and not self._fits(shot, time_us)
            return older or shot.moment.token in self._closed
        if self._reach_us is None or shot.camera.name in self._delivered:
            return False  # it has given the last step its image, and this is a newer one
        steps = self._rhythm.steps_after(shot.camera.name, time_us, None if self._open is None else self._open.times_us)
        if self._open is not None:
            return time_us <= self._reach_us if steps is None else steps < 0
        # A camera that is back, and was not waited for: it would begin a step half of which is of the next.
        after_us = max(self._reach_us, self._first_us + 0.5 * self._rhythm.gap_us)
        return time_us <= after_us if steps is None else steps <= 0

    def _is_due(self, name: str, time_us: int) -> bool:
        """Whether an image is wanted of a camera, from which not more than at a rate are taken."""
        taken_us = self._taken_us.get(name)
        return taken_us is None or not taken_us < time_us < taken_us + self._least_gap_us

    def _fits(self, shot: Shot, time_us: int) -> bool:
        """Whether the open step takes an image."""
        if self._open is None or shot.camera.name in self._open.shots:
            return False
        if shot.moment is not None or self._open.key is not None:
            return shot.moment is not None and self._open.key == shot.moment.token
        steps = self._rhythm.steps_after(shot.camera.name, time_us, self._open.times_us)
        return steps is None or steps <= 0

    def _take(self, shot: Shot, time_us: int) -> Iterator[Step]:
        name = shot.camera.name
        if self._open is not None and not self._fits(shot, time_us):
            yield from self._close(shot.arrival_us)
        if self._open is None:
            self._note_silence(shot.arrival_us)
            key = None if shot.moment is None else shot.moment.token
            self._open = _Open(shot.arrival_us, key, time_us)
        self._open.shots[name] = shot
        self._open.times_us[name] = time_us
        self._taken_us[name] = time_us
        self._rig.setdefault(name, shot.camera)
        if all(camera in self._open.shots for camera, missed in self._missed.items() if missed < _LOST_AFTER):
            yield from self._close(shot.arrival_us)

    def _note_silence(self, arrival_us: int) -> None:
        """Tell of a time without any image that is long beside what usually passes between steps."""
        if self._began_us is not None:
            gap_us = arrival_us - self._began_us
            if gap_us > max(_SILENCE_US, 3 * self._rhythm.gap_us):
                text = f"no images for {gap_us * 1e-6:.1f} s"
                self._journal.fault("silence", "cameras", text)
        self._began_us = arrival_us

    def _close(self, closed_us: int) -> Iterator[Step]:
        assert self._open is not None
        opened, self._open = self._open, None
        time_us, middle = self._time_of(opened)
        self._count_missing(opened, time_us)
        if opened.key is not None:
            self._closed.append(opened.key)
        self._rhythm.learn(opened.times_us)
        self._first_us = min(opened.times_us.values())
        self._reach_us = max(self._reach_us or 0, *opened.times_us.values())
        self._delivered = frozenset(opened.shots)
        if self._last_us is not None and time_us <= self._last_us:
            text = f"time goes from {self._last_us * 1e-6:.3f} to {time_us * 1e-6:.3f} s; the step is left out"
            self._journal.fault("repeated time", "clock", text)
            return
        self._last_us = time_us
        token, pose = (
            (str(time_us), middle.camera.global_from_ego)
            if middle.moment is None
            else (middle.moment.token, middle.moment.global_from_ego)
        )
        cameras = tuple(self._camera(name, opened, time_us, pose) for name in self._rig)
        frame = Frame(token, time_us, pose, self._start.ego_from_lidar, cameras, None)
        yield Step(self._start.scene, frame, opened.shots, closed_us, max(0, closed_us - middle.arrival_us))

    def _time_of(self, opened: _Open) -> tuple[int, Shot]:
        """The steady time of a step, and the image that it is the time of, or of whose key frame."""
        names = sorted(opened.times_us, key=lambda name: opened.times_us[name])
        name = names[(len(names) - 1) // 2]
        middle = opened.shots[name]
        if middle.moment is None:
            return opened.times_us[name], middle
        # The clock of key frames is that of their cameras.
        return middle.moment.timestamp_us + opened.times_us[name] - middle.camera.timestamp_us, middle

    def _camera(self, name: str, opened: _Open, time_us: int, pose: FloatArray) -> Camera:
        """A camera as it took its image, or as it stands there without one."""
        if name in opened.shots:
            return opened.shots[name].camera
        return replace(self._rig[name], timestamp_us=time_us, global_from_ego=pose)

    def _count_missing(self, opened: _Open, time_us: int) -> None:
        for name in self._missed:
            if name in opened.shots:
                self._missed[name] = 0
                continue
            self._missed[name] += 1
            if self._missed[name] < _LOST_AFTER:
                text = f"no image at {time_us * 1e-6:.3f} s; the step goes on without it"
                self._journal.fault("missing image", name, text)
            elif self._missed[name] == _LOST_AFTER:
                self._rhythm.forget(name)
                text = f"no image in {_LOST_AFTER} steps up to {time_us * 1e-6:.3f} s; it is not waited for any more"
                self._journal.fault("camera lost", name, text)


def _seconds(shot: Shot) -> str:
    return f"{shot.camera.timestamp_us * 1e-6:.3f} s"
