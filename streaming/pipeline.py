"""`Pipeline`: receive, decode, detect, track, publish, each stage in a thread of its own, with short queues between.

A stage that falls behind lets go of the oldest work, so that what comes out is of now; what has been tracked is
published. With `every_step` stages wait for each other instead: all is tracked, and boxes are those of its own time.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detection.data.sample import FrameSample
from scenes import Boxes3D, Camera, InputError
from streaming.assembly import Assembler, Step
from streaming.channel import Channel
from streaming.detectors import StreamDetector
from streaming.events import RgbImage, Shot, Source
from streaming.journal import Journal
from streaming.latency import WHOLE, StageStatistics, Statistics
from streaming.output import Sink, TrackedStep
from streaming.state import LiveState, read_state, write_state
from tracking import Calibration, Tracker, TrackerConfig
from visualization.views import shown_size_px

_QUEUES: Final = {"decode": 2, "detect": 1, "track": 2, "publish": 2}
"""Steps that wait before each stage. What falls behind is the detector as a rule: its next step is the newest."""
_WAITED_FOR: Final = "publish"
"""What has been tracked is published: this stage is waited for, and what falls behind for that is dropped before."""

_RECEIVE: Final = "receive"
_STAGES: Final = tuple(_QUEUES)
_POLL_S: Final = 0.1


@dataclass(frozen=True)
class PipelineOptions:
    """How a pipeline runs.

    Attributes:
        speed: how fast a recording is played, as a multiple of its own time.
        every_step: wait rather than drop; recordings are then played as fast as they can be.
        state: file that is read at the start, where there is one, and written while it runs; None for none.
        state_every_s: how often.
    """

    speed: float = 1.0
    every_step: bool = False
    state: Path | None = None
    state_every_s: float = 1.0


@dataclass(frozen=True, eq=False)
class _Work:
    """A step on its way through the stages, with what they have made of it.

    Attributes:
        released_s: host time at which its last image was there.
        images: by camera.
        prepared: what the detector takes.
        boxes: what it found. memory: what it remembers after it.
        tracked: for the sinks.
    """

    step: Step
    released_s: float
    images: Mapping[str, RgbImage]
    prepared: Any = None
    boxes: Boxes3D | None = None
    memory: Mapping[str, NDArray[Any]] | None = None
    tracked: TrackedStep | None = None


class Pipeline:
    """From a source to tracks.

    Args:
        source: of the images.
        assembler: puts them together.
        detector: finds boxes. It is reset.
        journal: told of all that goes wrong.
        config: settings of the tracker; None for the defaults of the detector's classes.
        calibration: what is known of the detector; None to learn it on the way.
        options: see `PipelineOptions`.

    Raises:
        InputError: the state cannot be used.
    """

    def __init__(
        self,
        source: Source,
        assembler: Assembler,
        detector: StreamDetector,
        journal: Journal,
        config: TrackerConfig | None = None,
        calibration: Calibration | None = None,
        options: PipelineOptions | None = None,
    ) -> None:
        self._source = source
        self._assembler = assembler
        self._detector = detector
        self._sinks: Sequence[Sink] = ()
        self._journal = journal
        self._config = config or TrackerConfig.of(detector.taxonomy)
        self._calibration = calibration
        self._options = options or PipelineOptions()
        self._speed = 1.0 if source.is_live else self._options.speed
        waits = self._options.every_step
        self._channels: dict[str, Channel[_Work]] = {
            name: Channel(size, waits or name == _WAITED_FOR) for name, size in _QUEUES.items()
        }
        self._statistics = {name: StageStatistics() for name in (*_STAGES, WHOLE)}
        self._readers = ThreadPoolExecutor(thread_name_prefix="read")
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._tracker = Tracker(self._config, calibration)
        self._numbered = 0
        self._highest = 0
        self._scene: str | None = None
        self._detected_scene: str | None = None
        self._resume_after: tuple[str, str] | None = None
        self._latest: LiveState | None = None
        self._saved_s = -np.inf
        detector.reset()
        if self._options.state is not None and self._options.state.exists():
            self._resume(self._options.state)

    @property
    def statistics(self) -> Statistics:
        """What has been done so far."""
        return Statistics(self._statistics, dict(self._journal.counts))

    def stop(self) -> None:
        """End the run after the steps that are on their way; from any thread."""
        self._stopped.set()

    @property
    def dropped(self) -> int:
        """Steps that were dropped so far."""
        return self.statistics.dropped

    def run(self, sinks: Sequence[Sink]) -> Statistics:
        """Run once, until the source ends or `stop` is called; SIGTERM and Ctrl+C stop it in the main thread.

        Args:
            sinks: take what is tracked.

        Raises:
            InputError: the source cannot be read any more.
            OSError: a sink or the state cannot be written.
        """
        self._sinks = sinks
        work = {"decode": self._decode, "detect": self._detect, "track": self._track, "publish": self._publish}
        jobs: dict[str, Callable[[], None]] = {_RECEIVE: self._receive}
        jobs |= {stage: partial(self._work, stage, work[stage]) for stage in _STAGES}
        threads = [threading.Thread(target=self._guarded, args=(name, job), name=name) for name, job in jobs.items()]
        with _stopping(self.stop), self._readers:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_S)
        try:
            if self._latest is not None:
                self._save(self._latest)
        finally:
            if self._failure is not None:
                raise self._failure
        return self.statistics

    def _guarded(self, name: str, job: Callable[[], None]) -> None:
        """Run the job of a thread; where it fails, the whole run ends: at once, or where the source does at its end."""
        try:
            job()
        except BaseException as error:
            self._failure = self._failure or error
            self.stop()
            if name == _RECEIVE:
                self._channels[_STAGES[0]].close()
                return
            for channel in self._channels.values():
                channel.abort()

    def _resume(self, path: Path) -> None:
        """Go on where the run was that wrote a state."""
        state = read_state(path)
        try:
            self._tracker = Tracker.from_state(state.tracker, self._config)
            self._detector.load_state(state.memory)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        self._numbered, self._highest = state.numbered, state.highest
        self._scene = self._detected_scene = state.scene
        self._latest = state
        if not self._source.is_live:
            self._resume_after = (state.scene, state.token)

    # Receiving: events become steps, which are released at their time.

    def _receive(self) -> None:
        is_paced = not (self._source.is_live or self._options.every_step)
        pace = _Pace(self._speed) if is_paced else None
        self._journal.is_muted = self._resume_after is not None
        for step in self._steps():
            if self._resume_after is not None:
                if (step.scene, step.frame.token) == self._resume_after:
                    self._resume_after = None
                    self._journal.is_muted = False
                continue
            released_s = time.monotonic() if pace is None else pace.wait(step, self._stopped)
            self._hand_on("decode", _Work(step, released_s, {}))
            if self._stopped.is_set():
                break
        if self._resume_after is not None and not self._stopped.is_set():
            raise InputError(f"{self._options.state}: the state of another recording: no step {self._resume_after[1]}")
        self._channels["decode"].close()

    def _steps(self) -> Iterator[Step]:
        for event in self._source.events(self._stopped):
            yield from self._assembler.add(event)
        yield from self._assembler.finish()

    def _hand_on(self, stage: str, work: _Work) -> None:
        dropped = self._channels[stage].put(work)
        if dropped is not None:
            self._statistics[stage].dropped += 1
            text = f"falls behind: the step of {dropped.step.frame.timestamp_us * 1e-6:.3f} s is dropped"
            self._journal.fault("dropped step", stage, text)

    def _work(self, stage: str, do: Callable[[_Work], _Work]) -> None:
        """Do what a stage does with the steps that come, and hand them on; at its end it closes the next channel."""
        following = dict(pairwise(_STAGES)).get(stage)
        for work in self._channels[stage]:
            began_s = time.monotonic()
            done = do(work)
            self._statistics[stage].durations.add(time.monotonic() - began_s)
            if following is not None:
                self._hand_on(following, done)
        if following is not None:
            self._channels[following].close()

    # Decoding: images, and what the detector takes of them.

    def _decode(self, work: _Work) -> _Work:
        step = work.step
        read = dict(zip(step.shots, self._readers.map(self._read, step.shots.values()), strict=True))
        images = {name: image for name, image in read.items() if image is not None}
        complete = {camera.name: images.get(camera.name, _nothing(camera)) for camera in step.frame.cameras}
        sample = FrameSample.from_frame(step.frame, step.scene, complete)
        # Whether the step continues its scene is what the detector remembers: it is reset between scenes.
        return replace(work, images=images, prepared=self._detector.prepare([sample], [True]))

    def _read(self, shot: Shot) -> RgbImage | None:
        try:
            return shot.read()
        except InputError as error:
            self._journal.fault("broken image", shot.camera.name, f"{error}; the step goes on without it")
            return None

    # Detecting and tracking.

    def _detect(self, work: _Work) -> _Work:
        if work.step.scene != self._detected_scene:
            self._detector.reset()
            self._detected_scene = work.step.scene
        (boxes,) = self._detector.step(work.prepared)
        memory = None if self._options.state is None else self._detector.state()
        return replace(work, prepared=None, boxes=boxes, memory=memory)

    def _track(self, work: _Work) -> _Work:
        assert work.boxes is not None
        step = work.step
        if step.scene != self._scene:
            self._begin_scene(step.scene)
        self._tracker.assign(work.boxes, step.frame.timestamp_us, step.frame.global_from_ego)
        seen = self._named(self._tracker.report())
        latency_s = time.monotonic() - work.released_s
        at_us, boxes = step.frame.timestamp_us, seen
        if not self._options.every_step:
            at_us += step.waited_us + round(1e6 * latency_s * self._speed)
            boxes = self._named(self._tracker.report(at_us))
        tracked = TrackedStep(step.scene, step.frame, work.images, seen, boxes, at_us, latency_s)
        if work.memory is not None:
            self._remember(step, work.memory)
        return replace(work, boxes=None, memory=None, tracked=tracked)

    def _begin_scene(self, scene: str) -> None:
        if self._scene is not None:
            self._tracker = Tracker(self._config, self._calibration)
        self._scene, self._numbered = scene, self._highest

    def _named(self, boxes: Boxes3D) -> Boxes3D:
        """Boxes with identities that are unique over all scenes."""
        assert boxes.track_id is not None  # the tracker names every box
        numbers = boxes.track_id.astype(np.int64) + self._numbered
        self._highest = max(self._highest, *numbers.tolist()) if len(numbers) else self._highest
        return boxes.replace(track_id=numbers.astype(np.str_))

    def _remember(self, step: Step, memory: Mapping[str, NDArray[Any]]) -> None:
        """Save the state where that is due; the last one is saved at the end."""
        self._latest = LiveState(
            step.scene, step.frame.token, self._numbered, self._highest, self._tracker.state(), memory
        )
        if time.monotonic() - self._saved_s >= self._options.state_every_s:
            self._save(self._latest)

    def _save(self, state: LiveState) -> None:
        assert self._options.state is not None
        write_state(self._options.state, state)
        self._saved_s = time.monotonic()

    def _publish(self, work: _Work) -> _Work:
        assert work.tracked is not None
        for sink in self._sinks:
            sink.publish(work.tracked)
        self._statistics[WHOLE].durations.add(time.monotonic() - work.released_s)
        return work


class _Pace:
    """Releases the steps of a recording as fast as they were recorded, or faster.

    Args:
        speed: multiple of their own time.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._scene: str | None = None
        self._start_s = 0.0
        self._start_us = 0

    def wait(self, step: Step, stopped: threading.Event) -> float:
        """Wait for the time of a step. Returns the host time at which its last image was there."""
        now_s = time.monotonic()
        if step.scene != self._scene:
            self._scene, self._start_s, self._start_us = step.scene, now_s, step.closed_us
        due_s = self._start_s + 1e-6 * (step.closed_us - self._start_us) / self._speed
        stopped.wait(max(0.0, due_s - now_s))
        return due_s


def _nothing(camera: Camera) -> RgbImage:
    """What a detector sees of a camera without an image."""
    width_px, height_px = shown_size_px(camera)
    return np.zeros((height_px, width_px, 3), dtype=np.uint8)


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """While it lasts, Ctrl+C and SIGTERM stop a run in good order; signals come to the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, lambda *_: stop()) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
