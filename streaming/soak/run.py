"""Runs the soak: the pipeline over the city with faults and restarts, beside a tracker that nothing befalls."""

from __future__ import annotations

import os
import queue
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from streaming.assembly import Assembler
from streaming.journal import Journal
from streaming.latency import Statistics
from streaming.output import TrackedStep
from streaming.pipeline import Pipeline, PipelineOptions
from streaming.soak.city import EXPOSURE_US, RATE_HZ, RIG, START_US, SimulatedStreamDetector, SoakCity
from streaming.soak.faults import QUIET, STEP_US, FaultSchedule, SoakSource
from tracking import Tracker, TrackerConfig

_STALL_STEPS: Final = 6
"""For so many steps a slow detector takes: more than fit into the queues before it."""
_SAME_M: Final = 1e-3
"""Boxes that lie closer are in the same place."""
_SAMPLES: Final = 20
"""How often memory is looked at."""


@dataclass(frozen=True)
class SoakReport:
    """What came of it.

    Attributes:
        steps: that the city has. published: that came out.
        dropped: that were let go of, by stage.
        injected: faults by name; what the journal should count of them at least, and what it counted.
        lost: identities at which the pipeline and the undisturbed tracker differ, summed over steps.
        identities: that were seen.
        restarts: of the pipeline, from its state.
        memory_mb: resident memory through the run.
        statistics: of the last part of the run, after the last restart.
        wall_s: how long it took.
    """

    steps: int
    published: int
    dropped: Mapping[str, int]
    injected: Mapping[str, int]
    expected: Mapping[str, int]
    counted: Mapping[str, int]
    lost: int
    identities: int
    restarts: int
    memory_mb: list[float]
    statistics: Statistics
    wall_s: float

    @property
    def unnamed(self) -> dict[str, int]:
        """Faults that the journal should have counted and has not."""
        missing = {kind: number - self.counted.get(kind, 0) for kind, number in self.expected.items()}
        return {kind: number for kind, number in missing.items() if number > 0}


class _Comparison:
    """A sink that tracks the same boxes at their true times, and compares identities and places.

    It does so in a thread of its own: what takes time before the sinks is the pipeline's work, not the comparison's.

    Args:
        city: that was driven through.
        steps_between_samples: how often memory is looked at.
    """

    def __init__(self, city: SoakCity, steps_between_samples: int) -> None:
        self.published = 0
        self.lost = 0
        self.identities: set[str] = set()
        self.memory_mb: list[float] = []
        self._city = city
        self._tracker = Tracker(TrackerConfig())
        self._every = steps_between_samples
        self._steps: queue.SimpleQueue[TrackedStep | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._compare_all)
        self._thread.start()

    def publish(self, step: TrackedStep) -> None:
        self._steps.put(step)

    def close(self) -> None:
        self._steps.put(None)
        self._thread.join()

    def _compare_all(self) -> None:
        while (step := self._steps.get()) is not None:
            self._compare(step)
            if self.published % self._every == 0:
                self.memory_mb.append(resident_mb())
            self.published += 1

    def _compare(self, step: TrackedStep) -> None:
        came = {camera.name: camera.image_path.name for camera in step.frame.cameras}
        came = {name: index for name, index in came.items() if index != RIG}
        index = int(next(iter(came.values())))
        names = sorted(came, key=lambda name: EXPOSURE_US[name])
        true_us = START_US + index * STEP_US + EXPOSURE_US[names[(len(names) - 1) // 2]]
        blind = [camera.name for camera in step.frame.cameras if camera.name not in step.images]
        self._tracker.assign(self._city.detections(index, blind), true_us, step.frame.global_from_ego)
        expected = self._tracker.report(true_us + step.at_us - step.frame.timestamp_us)
        assert step.boxes.track_id is not None and expected.track_id is not None  # trackers name every box
        own, other = set(step.boxes.track_id.tolist()), set(expected.track_id.tolist())
        self.identities |= own
        if own != other:
            self.lost += len(own ^ other)
        else:
            self.lost += int((np.abs(step.boxes.center_m - expected.center_m) > _SAME_M).any(axis=1).sum())


def soak(
    minutes: float,
    speed: float = 1.0,
    restarts: int = 3,
    seed: int = 0,
    every_step: bool = False,
    quiet: int = QUIET,
    progress: Callable[[int, int], None] | None = None,
) -> SoakReport:
    """Run the pipeline for some time of the city.

    Args:
        minutes: of data, at 10 Hz.
        speed: how much faster than real time it is played.
        restarts: how often the run is stopped and started anew from its state.
        seed: of the city, its detector and the faults.
        every_step: wait rather than drop: then no detector is slowed down, and the run is the same every time.
        quiet: steps between two faults.
        progress: called with the steps published and all of them.
    """
    started_s = time.monotonic()
    steps = round(60 * minutes * RATE_HZ)
    city = SoakCity.of(60 * minutes, seed)
    schedule = FaultSchedule(steps, ("slow detector",) if every_step else (), quiet)
    journal = Journal()
    comparison = _Comparison(city, max(1, steps // _SAMPLES))
    dropped: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    stops = [round(steps * (number + 1) / (restarts + 1)) for number in range(restarts)] + [steps]
    with closing(comparison), tempfile.TemporaryDirectory() as folder:
        for stop in stops:
            slow = None if every_step else partial(_slow_down, schedule, speed)
            detector = SimulatedStreamDetector(city, slow)
            options = PipelineOptions(speed, every_step, Path(folder) / "state.npz")
            source = SoakSource(city, steps, schedule, broken)
            pipeline = Pipeline(source, Assembler(journal), detector, journal, options=options)
            ending = _Ending(pipeline, stop, steps, progress)
            statistics = pipeline.run([comparison, ending])
            dropped.update({name: stage.dropped for name, stage in statistics.stages.items()})
            if ending.reached < min(stop, steps - _STALL_STEPS):
                break  # somebody has stopped it
    return SoakReport(
        steps=steps,
        published=comparison.published,
        dropped={name: number for name, number in dropped.items() if number},
        injected=Counter(fault.kind.name for fault in schedule.faults),
        expected=schedule.named() + broken,
        counted=dict(journal.counts),
        lost=comparison.lost,
        identities=len(comparison.identities),
        restarts=restarts,
        memory_mb=comparison.memory_mb,
        statistics=statistics,
        wall_s=time.monotonic() - started_s,
    )


@dataclass
class _Ending:
    """A sink that stops the pipeline at a step, and reports how far it is."""

    pipeline: Pipeline
    stop: int
    steps: int
    progress: Callable[[int, int], None] | None
    reached: int = 0

    def publish(self, step: TrackedStep) -> None:
        index = self.reached = (step.frame.timestamp_us - START_US) // STEP_US + 1
        if index >= self.stop:
            self.pipeline.stop()
        if self.progress is not None:
            self.progress(index, self.steps)

    def close(self) -> None:
        pass


def _slow_down(schedule: FaultSchedule, speed: float, index: int) -> None:
    """Take long over a step that the schedule says so of."""
    fault = schedule.at(index)
    if fault is not None and fault.kind.name == "slow detector":
        time.sleep(_STALL_STEPS / RATE_HZ / speed)


def resident_mb() -> float:
    """Memory of this process that is in use, as Linux counts it; NaN elsewhere."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return float("nan")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
