"""From images to tracks: what the offline tools give, in real time, across restarts, and when work comes too fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from detection import Detector
from detection.running.detector import detect
from scenes import Boxes3D, InputError, Scene, read_split_detections, read_tracks, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION
from streaming.assembly import Assembler
from streaming.detectors import StreamDetector
from streaming.events import Event, Source
from streaming.journal import Journal
from streaming.output import Sink, TrackedStep
from streaming.pipeline import Pipeline, PipelineOptions
from streaming.soak.city import RATE_HZ, START_US, SimulatedStreamDetector, SoakCity
from streaming.soak.faults import FaultSchedule, SoakSource
from streaming.sources.data_root import DataRootSource
from tracking import track_results

from .conftest import FRAMES, WEIGHTS, Collected

EVERY_STEP = PipelineOptions(every_step=True)


def run(
    source: Source,
    detector: StreamDetector,
    sinks: list[Sink],
    options: PipelineOptions = EVERY_STEP,
    journal: Journal | None = None,
) -> Pipeline:
    journal = journal or Journal()
    pipeline = Pipeline(source, Assembler(journal), detector, journal, options=options)
    pipeline.run(sinks)
    return pipeline


def by_token(steps: list[TrackedStep]) -> dict[str, Boxes3D]:
    return {step.frame.token: step.boxes for step in steps}


def assert_same(found: dict[str, Boxes3D], expected: dict[str, Boxes3D]) -> None:
    assert list(found) == list(expected)
    for token, boxes in expected.items():
        assert found[token].track_id.tolist() == boxes.track_id.tolist()
        for name in ("center_m", "size_wlh_m", "rotation", "velocity_mps", "score"):
            assert getattr(found[token], name) == pytest.approx(getattr(boxes, name), abs=1e-9), (token, name)


@pytest.fixture(scope="module")
def source(city: Path, scenes: list[Scene]) -> DataRootSource:
    return DataRootSource(str(city), scenes)


@pytest.fixture(scope="module")
def unbroken(source: DataRootSource, detector: Detector) -> dict[str, Boxes3D]:
    sink = Collected()
    run(source, detector, [sink])
    return by_token(sink.steps)


def test_what_is_not_dropped_is_tracked_as_the_tools_do(
    config: Config, city: Path, scenes: list[Scene], unbroken: dict[str, Boxes3D], tmp_path: Path
) -> None:
    """`streamtrack test` and `streamtrack track` by way of their files, online."""
    found = detect(config, WEIGHTS, device="cpu")
    assert found is not None
    write_detections(tmp_path / "detections.json", found)
    read = read_split_detections(tmp_path / "detections.json", scenes, city, VERSION, VAL_SPLIT)
    write_tracks(tmp_path / "tracks.json", track_results(read, scenes))
    expected = read_tracks(tmp_path / "tracks.json").boxes
    assert sum(map(len, expected.values())) > 50
    assert_same(unbroken, {token: expected[token] for scene in scenes for token in scene.sample_tokens})


@pytest.mark.parametrize("steps", [1, 4])
def test_a_restart_goes_on_as_if_nothing_had_been(
    source: DataRootSource, detector: Detector, unbroken: dict[str, Boxes3D], tmp_path: Path, steps: int
) -> None:
    """In the first scene, and in the second, whose identities count on; the file of the state is all there is."""
    options = PipelineOptions(every_step=True, state=tmp_path / "state.npz")
    first, second, third = Collected(), Collected(), Collected()
    whole, cut = source.scenes[: steps // FRAMES], source.scenes[steps // FRAMES]
    beginning = [*whole, replace(cut, frames=cut.frames[: steps % FRAMES])]
    run(DataRootSource(source.name, beginning), detector, [first], options)
    assert len(first.steps) == steps
    run(source, detector, [second], options)
    assert_same(by_token([*first.steps, *second.steps]), unbroken)
    run(source, detector, [third], options)
    assert not third.steps  # all has been seen


def test_states_of_others_are_refused(
    source: DataRootSource, detector: Detector, tmp_path: Path, soak_city: SoakCity
) -> None:
    options = PipelineOptions(every_step=True, state=tmp_path / "state.npz")
    soak_source = SoakSource(soak_city, 5, FaultSchedule(5))
    run(soak_source, SimulatedStreamDetector(soak_city), [], options)
    content = (tmp_path / "state.npz").read_bytes()
    with pytest.raises(InputError, match=r"state.npz: memory: a state has"):
        run(source, detector, [], options)
    with pytest.raises(InputError, match=r"the state of another recording: no step"):
        run(SoakSource(soak_city, 2, FaultSchedule(2)), SimulatedStreamDetector(soak_city), [], options)
    assert (tmp_path / "state.npz").read_bytes() == content


@pytest.fixture(scope="module")
def soak_city() -> SoakCity:
    return SoakCity.of(6.0, seed=2)


@pytest.fixture
def soak_source(soak_city: SoakCity) -> SoakSource:
    return SoakSource(soak_city, 60, FaultSchedule(60))


def test_a_pipeline_that_falls_behind_drops_the_oldest(
    soak_city: SoakCity, soak_source: SoakSource, collected: Collected
) -> None:
    slow = SimulatedStreamDetector(soak_city, lambda _: time.sleep(0.05))
    journal = Journal()
    pipeline = run(soak_source, slow, [collected], PipelineOptions(speed=6.0), journal)
    dropped = pipeline.statistics.stages["detect"].dropped
    assert dropped > 10 and journal.counts["dropped step"] == pipeline.dropped
    assert len(collected.steps) + pipeline.dropped == 60
    times = [step.frame.timestamp_us for step in collected.steps]
    assert times == sorted(set(times))
    assert times[-1] > START_US + 5_800_000  # the newest is there
    # Steps wait in two short queues, each for no longer than a few steps take.
    assert max(step.latency_s for step in collected.steps) < 1.0


def test_boxes_are_where_objects_are_when_they_come_out(
    soak_city: SoakCity, soak_source: SoakSource, collected: Collected
) -> None:
    detector = SimulatedStreamDetector(soak_city, lambda _: time.sleep(0.02))
    run(soak_source, detector, [collected], PipelineOptions(speed=2.0))
    moved = 0
    for step in collected.steps:
        ahead_s = 1e-6 * (step.at_us - step.frame.timestamp_us)
        assert ahead_s >= 2.0 * step.latency_s > 0.04  # at twice the speed of time
        assert step.boxes.track_id.tolist() == step.seen.track_id.tolist()
        way_m = step.boxes.center_m - step.seen.center_m
        assert way_m[:, :2] == pytest.approx(ahead_s * step.seen.velocity_mps, rel=0.2, abs=0.05 * max(1.0, ahead_s))
        moved += int((np.linalg.norm(way_m, axis=1) > 0.1).sum())
    assert moved > 20


def test_missing_and_broken_images_cost_no_step(
    source: DataRootSource, city: Path, detector: Detector, collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = source.scenes[0].frames[1].cameras[2].image_path
    content = broken.read_bytes()
    try:
        broken.write_bytes(content[:500])
        journal = Journal()
        run(source, detector, [collected], journal=journal)
    finally:
        broken.write_bytes(content)
    assert len(collected.steps) == 2 * FRAMES
    assert journal.counts == {"broken image": 1}
    assert str(broken) in journal.lines[0]
    assert len(collected.steps[1].images) == 5


class Full:
    """A sink on a disk without room."""

    def publish(self, step: TrackedStep) -> None:
        raise OSError(28, "No space left on device", "tracks.jsonl")

    def close(self) -> None:
        pass


def test_a_sink_that_fails_ends_the_run(soak_city: SoakCity, soak_source: SoakSource) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"):
        run(soak_source, SimulatedStreamDetector(soak_city), [Full()])
    assert threading.active_count() <= before


class Breaking:
    """A source that cannot be read to its end."""

    name, taxonomy, is_live = "breaking", None, False

    def __init__(self, source: Source) -> None:
        self._source = source

    def events(self, stopped: threading.Event) -> Iterator[Event]:
        for number, event in enumerate(self._source.events(stopped)):
            if number > 6 * RATE_HZ:  # the scene's start, and ten steps of six cameras
                raise InputError("drive.mcap: is cut off")
            yield event


def test_a_source_that_breaks_ends_the_run_and_keeps_the_state(
    soak_city: SoakCity, soak_source: SoakSource, collected: Collected, tmp_path: Path
) -> None:
    """What had come by then is tracked, and a run on a whole recording goes on behind it."""
    options = PipelineOptions(every_step=True, state=tmp_path / "state.npz")
    with pytest.raises(InputError, match="is cut off"):
        run(Breaking(soak_source), SimulatedStreamDetector(soak_city), [collected], options)
    assert len(collected.steps) == 10
    run(soak_source, SimulatedStreamDetector(soak_city), [collected], options)
    times = [step.frame.timestamp_us for step in collected.steps]
    assert len(times) == 60 and times == sorted(set(times))
