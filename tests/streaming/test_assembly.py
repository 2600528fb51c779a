"""Images become steps: whole ones, and what is left of them where images are missing, late, or there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import Camera
from streaming.assembly import Assembler, Step
from streaming.events import Event, Moment, RgbImage, Shot, Start, Tick
from streaming.journal import Journal

NAMES = ("FRONT", "LEFT", "RIGHT")
STEP_US = 100_000
START_US = 10**15


def camera(name: str, time_us: int = 0, place_m: float = 0.0) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = place_m
    return Camera(name, time_us, Path(name), (4, 3), np.eye(3), np.eye(4), pose)


def nothing() -> RgbImage:
    return np.zeros((3, 4, 3), dtype=np.uint8)


def shot(name: str, index: int, late_us: int = 0) -> Shot:
    """An image of a camera; cameras expose 10 ms one after the other."""
    time_us = START_US + index * STEP_US + 10_000 * NAMES.index(name)
    return Shot(camera(name, time_us, float(index)), time_us + 20_000 + late_us, nothing)


def assembled(
    events: Iterable[Event], journal: Journal | None = None, **settings: float
) -> tuple[list[Step], Counter[str]]:
    journal = journal or Journal()
    assembler = Assembler(journal, **settings)
    steps = list(assembler.add(Start("drive", tuple(map(camera, NAMES)))))
    for event in sorted(events, key=lambda event: event.arrival_us):
        steps += assembler.add(event)
    return [*steps, *assembler.finish()], journal.counts


def drive(frames: int, without: Iterable[tuple[str, int]] = ()) -> list[Shot]:
    gone = set(without)
    return [shot(name, index) for index in range(frames) for name in NAMES if (name, index) not in gone]


def test_one_image_of_each_camera_is_a_step() -> None:
    steps, faults = assembled(drive(5))
    assert [sorted(step.shots) for step in steps] == [sorted(NAMES)] * 5
    # The middle one gives time and pose; the wait is that for the last.
    assert [step.frame.timestamp_us for step in steps] == [START_US + index * STEP_US + 10_000 for index in range(5)]
    assert [step.frame.global_from_ego[0, 3] for step in steps] == list(range(5))
    assert {step.waited_us for step in steps} == {10_000}
    assert [camera.name for camera in steps[0].frame.cameras] == list(NAMES)
    assert not faults


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_image_costs_its_step_nothing_else(name: str) -> None:
    """The next image of that camera, which comes before the step has waited long, is of the next step."""
    steps, faults = assembled(drive(9, [(name, 4)]))
    assert [step.missing for step in steps] == [()] * 4 + [(name,)] + [()] * 4
    assert all(len(moments(step)) == 1 for step in steps)
    assert faults == {"missing image": 1}
    absent = {camera.name: camera for camera in steps[4].frame.cameras}[name]
    assert absent.global_from_ego[0, 3] == 4.0  # it stands where the car is


def moments(step: Step) -> set[float]:
    """The steps of the drive that images are of."""
    return {shot.camera.global_from_ego[0, 3] for shot in step.shots.values()}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_that_comes_after_those_of_the_next_step_is_late(name: str) -> None:
    late = shot(name, 4, late_us=STEP_US + 15_000)
    steps, faults = assembled([*drive(9, [(name, 4)]), late])
    assert [step.missing for step in steps] == [()] * 4 + [(name,)] + [()] * 4
    assert all(len(moments(step)) == 1 for step in steps)
    assert faults == {"missing image": 1, "late image": 1}


def test_a_stream_that_begins_in_the_middle_of_a_step() -> None:
    """Steps are cut where cameras pause, which costs a step that is not whole."""
    steps, _ = assembled(drive(20)[1:])
    assert sum(bool(step.missing) for step in steps) <= 2
    assert all(len(moments(step)) == 1 and not step.missing for step in steps[4:])


def test_a_rate_may_change_at_any_time() -> None:
    """A webcam gives fewer images in the dark."""
    gaps_us = [100_000] * 9 + [200_000] * 9 + [50_000] * 9 + [33_000] * 9
    times_us = [START_US + sum(gaps_us[:index]) for index in range(len(gaps_us))]
    for names in (NAMES[:1], NAMES):
        shots = [
            Shot(camera(name, time_us + 2_000 * index), time_us + 2_000 * index + 20_000, nothing)
            for time_us in times_us
            for index, name in enumerate(names)
        ]
        assembler = Assembler(journal := Journal())
        events = [Start("drive", tuple(map(camera, names))), *shots]
        steps = [step for event in events for step in assembler.add(event)]
        assert len(steps) == len(times_us) and not any(step.missing for step in steps)
        assert not journal.counts


def test_cameras_whose_clocks_run_apart_stay_together() -> None:
    """One that takes 1% longer between images drifts by a step in a hundred."""
    slower = [
        replace(taken, camera=replace(taken.camera, timestamp_us=taken.camera.timestamp_us + late_us), arrival_us=at_us)
        for taken in drive(300)
        for late_us in [round(0.01 * (taken.camera.timestamp_us - START_US)) * (taken.camera.name == "LEFT")]
        for at_us in [taken.arrival_us + late_us]
    ]
    steps = assembled(slower)[0][:290]  # then it is the only one left
    assert sum(bool(step.missing) for step in steps) <= 6
    for step in steps:
        times = [shot.camera.timestamp_us for shot in step.shots.values()]
        assert max(times) - min(times) <= 0.8 * STEP_US


def test_a_step_does_not_wait_for_ever() -> None:
    events = [*drive(3, [("RIGHT", 2)]), Tick(START_US + 2 * STEP_US + 20_000 + 150_000)]
    journal = Journal()
    assembler = Assembler(journal)
    list(assembler.add(Start("drive", tuple(map(camera, NAMES)))))
    steps = [step for event in events for step in assembler.add(event)]
    assert len(steps) == 3
    assert steps[-1].waited_us == 150_000


def test_a_late_image_is_left_out() -> None:
    late = shot("LEFT", 2, late_us=300_000)
    steps, faults = assembled([*drive(8, [("LEFT", 2)]), late])
    assert [step.missing for step in steps] == [(), (), ("LEFT",), (), (), (), (), ()]
    assert faults == {"missing image": 1, "late image": 1}


def test_an_image_that_comes_twice_counts_once() -> None:
    again = replace(shot("FRONT", 2), arrival_us=shot("FRONT", 2).arrival_us + 1)
    steps, faults = assembled([*drive(5), again])
    assert [step.missing for step in steps] == [()] * 5
    assert faults == {"late image": 1}


@pytest.mark.parametrize("name", NAMES)
def test_a_camera_dies_and_comes_back(name: str) -> None:
    """It is waited for no longer, and no step is put together of two moments when it is back."""
    journal = Journal()
    steps, faults = assembled(drive(40, [(name, index) for index in range(10, 25)]), journal)
    assert len(steps) == 40
    assert [step.missing for step in steps[10:25]] == [(name,)] * 15
    # One that exposes after the others comes when its first step is closed: the next one waits for it.
    assert all(not step.missing for step in [*steps[:10], *steps[26:]])
    assert faults["missing image"] == 2 and faults["camera lost"] == faults["camera back"] == 1
    for step in steps:
        times = [shot.camera.timestamp_us for shot in step.shots.values()]
        assert max(times) - min(times) <= 20_000
    assert f"{name}: is back" in "\n".join(journal.lines)


def test_silence_is_told() -> None:
    steps, faults = assembled(drive(60, [(name, index) for name in NAMES for index in range(20, 45)]))
    assert len(steps) == 35
    assert faults == {"silence": 1}


def test_all_clocks_jump() -> None:
    moved = [
        replace(taken, camera=replace(taken.camera, timestamp_us=taken.camera.timestamp_us + 3_600_000_000))
        if taken.arrival_us > START_US + 10 * STEP_US
        else taken
        for taken in drive(20)
    ]
    steps, faults = assembled(moved)
    assert [step.frame.timestamp_us for step in steps] == [START_US + index * STEP_US + 10_000 for index in range(20)]
    assert faults == {"clock jump": 3}


def test_rate_leaves_images_out() -> None:
    steps, faults = assembled(drive(20), rate_hz=5.0)
    assert [step.frame.global_from_ego[0, 3] for step in steps] == list(range(0, 20, 2))
    assert not faults


def test_key_frames_keep_their_time_and_token() -> None:
    moments = [Moment(f"sample-{index}", START_US + index * 500_000, np.eye(4)) for index in range(3)]
    shots = [
        Shot(camera(name, moment.timestamp_us - 40_000), moment.timestamp_us, nothing, moment)
        for moment in moments
        for name in NAMES
    ]
    steps, faults = assembled(shots)
    assert [step.frame.token for step in steps] == ["sample-0", "sample-1", "sample-2"]
    assert [step.frame.timestamp_us for step in steps] == [moment.timestamp_us for moment in moments]
    assert not faults


def test_key_frames_are_whole_where_nothing_is_waited_for() -> None:
    """Their images are there at one time; those that are not are not waited for."""
    moments = [Moment(f"sample-{index}", START_US + index * 500_000, np.eye(4)) for index in range(3)]
    shots = [
        Shot(camera(name, moment.timestamp_us), moment.timestamp_us, nothing, moment)
        for moment in moments
        for name in NAMES
    ]
    steps, faults = assembled(shots, wait_s=0.0)
    assert [sorted(step.shots) for step in steps] == [sorted(NAMES)] * 3
    assert not faults
    shots[5] = replace(shots[5], arrival_us=shots[5].arrival_us + 1)
    steps, faults = assembled(shots, wait_s=0.0)
    assert [step.missing for step in steps] == [(), ("RIGHT",), ()]
    assert faults == {"missing image": 1, "late image": 1}


def test_a_scene_begins() -> None:
    assembler = Assembler(Journal())
    first, second = (Start(name, tuple(map(camera, NAMES))) for name in ("one", "two"))
    events = [first, shot("FRONT", 5), shot("LEFT", 5), second, *(shot(name, 1) for name in NAMES)]
    steps = [step for event in events for step in assembler.add(event)]
    assert [(step.scene, len(step.shots)) for step in steps] == [("one", 2), ("two", 3)]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 15), st.sampled_from([0, 0, 0, 0, 5_000, 60_000, 400_000])),
        max_size=60,
    )
)
def test_whatever_comes(drawn: list[tuple[str, int, int]]) -> None:
    """Times rise, and no image is used twice or vanishes without a word."""
    shots = [shot(*entry) for entry in drawn]
    steps, faults = assembled(shots)
    assert all(a.frame.timestamp_us < b.frame.timestamp_us for a, b in pairwise(steps))
    used = [id(taken) for step in steps for taken in step.shots.values()]
    assert len(used) == len(set(used))
    assert len(shots) - len(used) <= faults["late image"] + len(NAMES) * faults["repeated time"]
    for step in steps:
        assert {taken.camera.name for taken in step.shots.values()} == set(step.shots)
        assert len(step.frame.cameras) == len(NAMES)
