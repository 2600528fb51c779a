"""Times: their unit, their order, gaps, and cameras out of step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.findings import Example, Finding, Severity
from scenes.doctor.time_units import MICROSECOND_S, UNITS, tick_s
from scenes.geometry import FloatArray

_GAP: Final = 2.5
"""So many usual steps: at least one frame is missing, and what is missing was not half of a jitter."""
_JITTER: Final = 0.25
"""Half the range of the middle half of all steps, as a share of the usual one: frames a quarter of a step off."""
_LONGEST_STEP_S: Final = 1.5
"""Beyond it the devkit gives annotations no velocity (`NuScenes.box_velocity`)."""
_SWEEP_S: Final = 0.1
"""A lidar at 10 Hz takes so long for a turn: cameras that it triggers lie within it."""
_OTHER_RATE: Final = 1.5


def check_time_units(root: DataRoot) -> Iterator[Finding]:
    """Timestamps that are no microseconds."""
    samples, recordings, poses = root.samples, root.recordings, root.poses
    rows = np.flatnonzero(recordings.pose >= 0)
    of_pose = tick_s(poses.stamp[recordings.pose[rows]], _series(root, rows))
    for table, tick, token, sample in (
        ("sample", samples.tick_s, next(iter(samples.tokens), ""), 0),
        ("sample_data", recordings.tick_s, next(iter(recordings.tokens), ""), next(iter(recordings.sample), 0)),
        ("ego_pose", of_pose, next(iter(poses.tokens), ""), 0),
    ):
        if tick != MICROSECOND_S:
            yield Finding(
                "time-unit",
                Severity.ERROR,
                1,
                0,
                f"{table}.json: timestamps are in {UNITS[tick]}, where microseconds are read",
                Example(token, table, f"{UNITS[tick]}", samples.tokens[sample] if samples.tokens else ""),
                f"Multiply the timestamps of {table}.json by {tick / MICROSECOND_S:g} and write whole numbers.",
            )


def check_sample_order(root: DataRoot) -> Iterator[Finding]:
    """Key frames that do not come after those before them in their chain."""
    table = root.samples_table
    late = [
        (row, following)
        for row in table.values()
        if (following := table.get(row.next)) is not None
        and following is not row
        and not row.timestamp < following.timestamp
    ]
    if late:
        row, following = late[0]
        yield Finding(
            "time-order",
            Severity.ERROR,
            len(late),
            len(table),
            "sample.json: a key frame is not later than the one before it",
            Example(following.token, "sample", f"{following.timestamp:.0f} after {row.timestamp:.0f}", row.token),
            "Sort the frames of each scene by time before prev and next are written; drop repeated ones.",
        )


def check_steps(root: DataRoot) -> Iterator[Finding]:
    """Gaps, jitter, and rates of frames that other scenes do not have."""
    gaps: list[tuple[int, float, float]] = []
    uneven: list[tuple[int, float, float]] = []
    medians: dict[int, float] = {}
    for frames in root.frames_of_scenes():
        steps = np.diff(root.samples.time_s[frames])
        if len(steps) < 3 or not np.isfinite(steps).all():
            continue
        median = float(np.median(steps))
        medians[int(frames[0])] = median
        gaps += [(int(frames[at]), float(steps[at]), median) for at in np.flatnonzero(steps > _GAP * median).tolist()]
        jitter = 0.5 * float(np.subtract(*np.percentile(steps, [75, 25])))
        if jitter > _JITTER * median:
            uneven.append((int(frames[0]), jitter, median))
    if gaps:
        frame, step, median = max(gaps, key=lambda gap: gap[1] / gap[2])
        yield Finding(
            "time-gap",
            Severity.WARNING,
            len(gaps),
            len(root.samples.tokens),
            "frames are missing within a scene: tracks have to coast, and velocities are means over the gap",
            _sample_example(root, frame, f"the next follows after {step:.2f} s instead of {median:.2f} s"),
            "See whether the recording dropped frames; cut the scene in two at a long gap.",
        )
    if uneven:
        frame, jitter, median = max(uneven, key=lambda one: one[1] / one[2])
        yield Finding(
            "time-jitter",
            Severity.WARNING,
            len(uneven),
            len(medians),
            "steps between the frames of a scene differ widely",
            _sample_example(root, frame, f"usually {median:.3f} s, half of them off by some {jitter:.3f} s"),
            "Use times of exposure, not of arrival or of writing, and choose key frames at an even rate.",
        )
    yield from _rates(root, medians)


def _rates(root: DataRoot, medians: dict[int, float]) -> Iterator[Finding]:
    if not medians:
        return
    usual = float(np.median(list(medians.values())))
    slow = [(frame, step) for frame, step in medians.items() if step > _LONGEST_STEP_S]
    other = [(frame, step) for frame, step in medians.items() if not usual / _OTHER_RATE <= step <= usual * _OTHER_RATE]
    if slow:
        yield Finding(
            "frame-rate-low",
            Severity.WARNING,
            len(slow),
            len(medians),
            f"key frames lie more than {_LONGEST_STEP_S} s apart, beyond which annotations get no velocity",
            _sample_example(root, slow[0][0], f"{slow[0][1]:.2f} s a frame"),
            "Choose more key frames, two a second or more.",
        )
    if other:
        yield Finding(
            "frame-rate-differs",
            Severity.WARNING,
            len(other),
            len(medians),
            "scenes have key frames at different rates: a detector with memory learns one of them",
            _sample_example(root, other[0][0], f"{1 / other[0][1]:.2f} frames a second, elsewhere {1 / usual:.2f}"),
            "Write all scenes with one rate of key frames.",
        )


def check_sensors_in_step(root: DataRoot) -> Iterator[Finding]:
    """Recordings that are nearer to another key frame than to their own; cameras far from the lidar's turn."""
    recordings = root.recordings
    apart = recordings.time_s - root.samples.time_s[recordings.sample]
    half_step = 0.5 * _step_at_samples(root)[recordings.sample]
    astray = np.flatnonzero(np.abs(apart) > np.maximum(half_step, 1e-3))
    if len(astray):
        worst = int(astray[np.argmax(np.abs(apart[astray]))])
        yield Finding(
            "sensor-out-of-step",
            Severity.ERROR,
            len(astray),
            len(recordings.tokens),
            "a recording lies farther from its key frame than half a step: it belongs to another frame",
            _recording_example(root, worst, f"{apart[worst]:+.3f} s from its key frame"),
            "Match recordings to key frames by time, after clocks were synchronised; mind the time zone.",
        )
    constant = _constant_offsets(root, apart, half_step)
    if constant:
        row, offset = max(constant, key=lambda one: abs(one[1]))
        yield Finding(
            "camera-late",
            Severity.WARNING,
            len(constant),
            0,
            f"a camera is always more than {_SWEEP_S} s before or after its key frames",
            _recording_example(root, row, f"{offset:+.3f} s in the median of its scene"),
            "Look for the delay between exposure and timestamp; boxes of moving things lie beside them otherwise.",
        )


def _constant_offsets(root: DataRoot, apart: FloatArray, half_step: FloatArray) -> list[tuple[int, float]]:
    """For each camera of a scene that is late as a rule, though nearest to its own key frame: a row and by how much."""
    recordings = root.recordings
    rows: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for row in recordings.cameras.tolist():
        rows[int(root.samples.scene[recordings.sample[row]]), str(recordings.channel[row])].append(row)
    found = []
    for group in rows.values():
        offset = float(np.median(apart[group]))
        if _SWEEP_S < abs(offset) <= float(np.median(half_step[group])):
            found.append((group[0], offset))
    return found


def check_frozen_times(root: DataRoot) -> Iterator[Finding]:
    """A sensor with one time in several key frames."""
    recordings = root.recordings
    order = np.lexsort([recordings.time_s, recordings.channel, root.samples.scene[recordings.sample]])
    same = (
        (np.diff(recordings.time_s[order]) == 0)
        & (recordings.channel[order][1:] == recordings.channel[order][:-1])
        & (np.diff(root.samples.scene[recordings.sample[order]]) == 0)
        & (np.diff(recordings.sample[order]) != 0)
    )
    again = order[1:][same]
    if len(again):
        row = int(again[0])
        yield Finding(
            "time-repeated",
            Severity.WARNING,
            len(again),
            len(recordings.tokens),
            "a sensor has the same time in two key frames: it hung, or one recording stands for two",
            _recording_example(root, row, f"{recordings.time_s[row]:.6f} s"),
            "Drop the frames in which the sensor gave nothing new.",
        )


def check_pose_times(root: DataRoot) -> Iterator[Finding]:
    """Ego poses of another moment than the recordings that name them."""
    recordings, poses = root.recordings, root.poses
    rows = np.flatnonzero(recordings.pose >= 0)
    rows = rows[np.isfinite(poses.stamp[recordings.pose[rows]])]
    if not len(rows):
        return
    stamps = poses.stamp[recordings.pose[rows]]
    apart = tick_s(stamps, _series(root, rows)) * stamps - recordings.time_s[rows]
    half_step = 0.5 * _step_at_samples(root)[recordings.sample[rows]]
    astray = np.flatnonzero(np.abs(apart) > np.minimum(half_step, _SWEEP_S))
    if len(astray):
        worst = int(astray[np.argmax(np.abs(apart[astray]))])
        yield Finding(
            "pose-of-other-time",
            Severity.ERROR,
            len(astray),
            len(rows),
            "a recording names an ego pose of another moment",
            _recording_example(root, int(rows[worst]), f"pose {apart[worst]:+.3f} s from the recording"),
            "Interpolate the ego pose to the time of each recording and give it a row of its own.",
        )


def _step_at_samples(root: DataRoot) -> FloatArray:
    """(S,) the usual step of each key frame's scene; infinite in scenes of one frame."""
    usual = np.full(len(root.samples.tokens), np.inf)
    for frames in root.frames_of_scenes():
        steps = np.diff(root.samples.time_s[frames])
        steps = steps[steps > 0]
        if len(steps):
            usual[frames] = np.median(steps)
    return usual


def _series(root: DataRoot, rows: IntArray) -> list[tuple[int, str]]:
    """For each recording the scene and the sensor."""
    scenes = root.samples.scene[root.recordings.sample[rows]].tolist()
    return list(zip(scenes, root.recordings.channel[rows].tolist(), strict=True))


def _sample_example(root: DataRoot, frame: int, text: str) -> Example:
    name = root.scene_name(int(root.samples.scene[frame]))
    return Example(root.samples.tokens[frame], "sample", f"{name}: {text}", root.samples.tokens[frame])


def _recording_example(root: DataRoot, row: int, text: str) -> Example:
    recordings = root.recordings
    channel = str(recordings.channel[row])
    sample = root.samples.tokens[recordings.sample[row]]
    shows = channel if recordings.is_camera[row] else ""
    return Example(recordings.tokens[row], "sample_data", f"{channel}: {text}", sample, shows)
