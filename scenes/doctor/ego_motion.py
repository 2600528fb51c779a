"""The ego poses: driven like a vehicle, facing ahead, and fitting a world that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.findings import Example, Finding, Severity
from scenes.geometry import FloatArray

HARDEST_MPS2: Final = 15.0
"""One and a half g: more than tyres can brake, turn or accelerate with."""
_NOISE_M: Final = 0.3
"""Half of what satellite navigation scatters; localisation against a map is better."""
_FASTEST_TURN_RADPS: Final = 3.0
_NOISE_RAD: Final = 0.1
_DRIVEN_M: Final = 10.0
"""A scene shorter than that says nothing of the direction of travel."""
_FARTHEST_BOX_M: Final = 300.0
"""Beyond the range of lidars and of annotators."""


class _Drive(NamedTuple):
    """The ego poses of one scene in the order of time: recordings (N,), times (N,), positions (N, 3)."""

    rows: IntArray
    time_s: FloatArray
    position_m: FloatArray


def check_ego_jumps(root: DataRoot) -> Iterator[Finding]:
    """Poses that no vehicle gets to between its neighbours, and turns that none makes."""
    jumps: list[tuple[int, float]] = []
    turns: list[tuple[int, float]] = []
    total = 0
    for drive in _drives(root):
        total += len(drive.rows)
        jumps += [(int(drive.rows[at]), float(off)) for at, off in _jumps(drive)]
        turned = _turned_rad(root, drive)
        too_far = np.flatnonzero(turned > _NOISE_RAD + _FASTEST_TURN_RADPS * np.diff(drive.time_s)).tolist()
        turns += [(int(drive.rows[at + 1]), float(turned[at])) for at in too_far]
    if jumps:
        row, off = max(jumps, key=lambda jump: jump[1])
        yield Finding(
            "ego-jump",
            Severity.ERROR,
            len(jumps),
            total,
            f"the ego pose jumps: no vehicle gets there and back with {HARDEST_MPS2:.0f} m/s²",
            _pose_example(root, row, f"{off:.2f} m beside the line between its neighbours in time"),
            "Smooth the odometry, mind lost fixes, and see that all sensors take poses from one trajectory.",
        )
    if turns:
        row, angle = max(turns, key=lambda turn: turn[1])
        yield Finding(
            "ego-turn",
            Severity.ERROR,
            len(turns),
            total,
            f"the ego vehicle turns faster than {_FASTEST_TURN_RADPS:.0f} rad/s",
            _pose_example(root, row, f"turned by {np.rad2deg(angle):.0f} degrees since the pose before"),
            "See whether headings wrap around, change sign, or come from two sources.",
        )


def _jumps(drive: _Drive) -> Iterator[tuple[int, float]]:
    """Where a pose lies farther from the line between its neighbours than the hardest acceleration allows."""
    if len(drive.rows) < 3:
        return
    off, most = deviations_m(drive.time_s, drive.position_m)
    for at in np.flatnonzero(off > _NOISE_M + most).tolist():
        yield at + 1, off[at]


def deviations_m(time_s: FloatArray, position_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far points (N, 3) lie from the line between their neighbours in time, and how far they may.

    A body with the acceleration a, at most, is within a d1 d2 / 2 of where the straight way from its place d1 before to
    that d2 after would have it.

    Returns:
        two arrays (N - 2,) in metres.
    """
    before, after = np.diff(time_s)[:-1], np.diff(time_s)[1:]
    share = (before / (before + after))[:, None]
    straight = (1.0 - share) * position_m[:-2] + share * position_m[2:]
    off: FloatArray = np.linalg.norm(position_m[1:-1] - straight, axis=1)
    most: FloatArray = 0.5 * HARDEST_MPS2 * before * after
    return off, most


def check_ego_heading(root: DataRoot) -> Iterator[Finding]:
    """Vehicles that drive backwards or sideways all the way."""
    wrong: list[tuple[int, float, float]] = []
    scenes = 0
    for drive in _drives(root):
        if len(drive.rows) < 2:
            continue
        step = np.diff(drive.position_m[:, :2], axis=0)
        length = np.linalg.norm(step, axis=1)
        if length.sum() < _DRIVEN_M:
            continue
        scenes += 1
        ahead = root.poses.turn[root.recordings.pose[drive.rows[:-1]]][:, :2, 0]
        left = np.column_stack([-ahead[:, 1], ahead[:, 0]])
        along, aside = float((step * ahead).sum() / length.sum()), float((step * left).sum() / length.sum())
        if along < 0.5:
            wrong.append((int(drive.rows[0]), along, aside))
    if wrong:
        row, along, aside = min(wrong, key=lambda one: one[1])
        yield Finding(
            "ego-heading",
            Severity.ERROR if 2 * len(wrong) > scenes else Severity.WARNING,
            len(wrong),
            scenes,
            "the ego vehicle does not drive where its x axis points",
            _pose_example(root, row, f"of each metre driven {along:+.2f} m ahead and {aside:+.2f} m to the left"),
            "Write global from ego with x ahead, y left, z up: not inverted, w x y z, yaw anticlockwise from x.",
        )


def check_boxes_near_ego(root: DataRoot) -> Iterator[Finding]:
    """Annotations beyond what any sensor of the vehicle reaches."""
    boxes = root.boxes
    rows = np.flatnonzero(boxes.usable & (root.frame_pose[boxes.sample] >= 0))
    if not len(rows):
        return
    ego = root.poses.translation_m[root.frame_pose[boxes.sample[rows]]]
    distance = np.linalg.norm(boxes.center_m[rows] - ego, axis=1)
    far = np.flatnonzero(distance > _FARTHEST_BOX_M)
    if len(far):
        worst = int(far[np.argmax(distance[far])])
        most = 2 * len(far) > len(rows)
        yield Finding(
            "boxes-far",
            Severity.ERROR if most else Severity.WARNING,
            len(far),
            len(rows),
            f"annotations lie more than {_FARTHEST_BOX_M:.0f} m from the ego vehicle",
            box_example(root, int(rows[worst]), f"{distance[worst]:.0f} m away"),
            "Write annotations in global coordinates, in metres, in the same frame as ego_pose.",
        )


def box_example(root: DataRoot, box: int, text: str) -> Example:
    """An annotation as an example."""
    boxes = root.boxes
    category = str(boxes.categories[box])
    return Example(
        boxes.tokens[box],
        "sample_annotation",
        f"{category}: {text}" if category else text,
        root.samples.tokens[boxes.sample[box]],
        annotation_tokens=(boxes.tokens[box],),
    )


def _drives(root: DataRoot) -> Iterator[_Drive]:
    """For each scene the usable poses of its recordings, one for each moment."""
    recordings, poses = root.recordings, root.poses
    known = np.flatnonzero((recordings.pose >= 0) & np.isfinite(recordings.time_s))
    known = known[poses.usable[recordings.pose[known]]]
    scene = root.samples.scene[recordings.sample[known]]
    order = np.lexsort([recordings.time_s[known], scene])
    known, scene = known[order], scene[order]
    new = np.ones(len(known), dtype=np.bool_)
    new[1:] = (np.diff(scene) != 0) | (np.diff(recordings.time_s[known]) > 0)
    known, scene = known[new], scene[new]
    if not len(known):
        return
    for rows in np.split(known, np.flatnonzero(np.diff(scene)) + 1):
        yield _Drive(rows, recordings.time_s[rows], poses.translation_m[recordings.pose[rows]])


def _turned_rad(root: DataRoot, drive: _Drive) -> FloatArray:
    """(N - 1,) by how much the vehicle turns from pose to pose."""
    if len(drive.rows) < 2:
        return np.zeros(0)
    turn = root.poses.turn[root.recordings.pose[drive.rows]]
    # The trace of the rotation from one to the next is 1 + 2 cos of its angle.
    trace = np.einsum("nij,nij->n", turn[:-1], turn[1:])
    turned: FloatArray = np.arccos(np.clip(0.5 * (trace - 1.0), -1.0, 1.0))
    return turned


def _pose_example(root: DataRoot, row: int, text: str) -> Example:
    recordings = root.recordings
    return Example(
        root.poses.tokens[recordings.pose[row]],
        "ego_pose",
        f"{recordings.channel[row]}: {text}",
        root.samples.tokens[recordings.sample[row]],
        str(recordings.channel[row]) if recordings.is_camera[row] else "",
    )
