"""Quaternions: unit length, and w x y z rather than x y z w."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.data_root import BoolArray, DataRoot, rotation_matrices
from scenes.doctor.findings import Example, Finding, Severity
from scenes.geometry import FloatArray
from scenes.result_format import UNIT_TOLERANCE

_FAR_FROM_UNIT: Final = 0.05
"""Rounding does not come to that; a sum or mean of quaternions does."""
_STEEPEST: Final = float(np.cos(np.deg2rad(45.0)))
"""Neither vehicles nor what stands on a road leans farther."""
_MANY: Final = 0.2
"""So many that lean are no accidents."""


def check_quaternion_norms(root: DataRoot) -> Iterator[Finding]:
    """Quaternions that are not of unit length."""
    for table, tokens, rotation in (
        ("ego_pose", root.poses.tokens, root.poses.rotation),
        ("calibrated_sensor", root.calibrations.tokens, root.calibrations.rotation),
        ("sample_annotation", root.boxes.tokens, root.boxes.rotation),
    ):
        apart = np.abs(np.linalg.norm(rotation, axis=1) - 1.0)
        bad = np.flatnonzero(apart > UNIT_TOLERANCE)
        if len(bad):
            worst = int(bad[np.argmax(apart[bad])])
            yield Finding(
                "quaternion-norm",
                Severity.ERROR if apart[worst] > _FAR_FROM_UNIT else Severity.WARNING,
                len(bad),
                len(tokens),
                f"{table}.json: quaternions that are not of unit length",
                Example(tokens[worst], table, f"norm {np.linalg.norm(rotation[worst]):.4g}"),
                "Divide each by its norm; if it is far from 1, look at how rotations were averaged or typed in.",
            )


def check_quaternion_order(root: DataRoot) -> Iterator[Finding]:
    """Vehicles and boxes that lie on their side, and stand when the numbers are read as x y z w."""
    poses, boxes = root.poses, root.boxes
    for table, tokens, rotation, usable in (
        ("ego_pose", poses.tokens, poses.rotation, poses.usable),
        ("sample_annotation", boxes.tokens, boxes.rotation, boxes.usable),
    ):
        rows = np.flatnonzero(usable)
        if not len(rows):
            continue
        lying = rows[~_stands(rotation[rows])]
        if not len(lying):
            continue
        helps = _stands(np.roll(rotation[rows], 1, axis=1)).mean() > 1.0 - 0.5 * _MANY
        if len(lying) > _MANY * len(rows) and helps:
            yield Finding(
                "quaternion-order",
                Severity.ERROR,
                len(lying),
                len(rows),
                f"{table}.json: bodies lie on their side, and stand when the quaternion is read as x, y, z, w",
                _example(root, table, tokens, rotation, int(lying[0])),
                "Write quaternions as w, x, y, z.",
            )
        else:
            yield Finding(
                "body-leans",
                Severity.ERROR if table == "ego_pose" else Severity.WARNING,
                len(lying),
                len(rows),
                f"{table}.json: bodies lean by more than 45 degrees",
                _example(root, table, tokens, rotation, int(lying[0])),
                "Look at these rotations: axes other than x ahead, y left, z up, or a rotation of another frame.",
            )


def check_camera_quaternion_order(root: DataRoot) -> Iterator[Finding]:
    """Cameras that are all upright only when their quaternions are read as x y z w."""
    calibrations, recordings = root.calibrations, root.recordings
    used = np.unique(recordings.calibration[recordings.cameras])
    used = used[(used >= 0)]
    used = used[calibrations.usable[used]]
    if len(used) and _looks_level(calibrations.rotation[used]).mean() < 0.5:
        other = np.roll(calibrations.rotation[used], 1, axis=1)
        if _looks_level(other).all():
            yield Finding(
                "quaternion-order",
                Severity.ERROR,
                len(used),
                len(used),
                "calibrated_sensor.json: most cameras lie, and all are upright when quaternions are read as x, y, z, w",
                _camera_example(root, int(used[0])),
                "Write quaternions as w, x, y, z.",
            )


def _stands(rotation: FloatArray) -> BoolArray:
    """(N,) whether the body's z axis points up, within 45 degrees."""
    usable = np.ones(len(rotation), dtype=np.bool_)
    stands: BoolArray = rotation_matrices(rotation, usable)[:, 2, 2] > _STEEPEST
    return stands


def _looks_level(rotation: FloatArray) -> BoolArray:
    """(N,) whether a camera's y axis points down and its optical axis to the horizon, each within 45 degrees."""
    up = rotation_matrices(rotation, np.ones(len(rotation), dtype=np.bool_))[:, 2]
    level: BoolArray = (up[:, 1] < -_STEEPEST) & (np.abs(up[:, 2]) < _STEEPEST)
    return level


def _example(root: DataRoot, table: str, tokens: list[str], rotation: FloatArray, index: int) -> Example:
    text = f"rotation {np.round(rotation[index], 3).tolist()}"
    if table == "ego_pose":
        row = int(root.recording_of_pose[index])
        sample = root.samples.tokens[root.recordings.sample[row]] if row >= 0 else ""
        return Example(tokens[index], table, text, sample)
    sample = root.samples.tokens[root.boxes.sample[index]]
    return Example(tokens[index], table, text, sample, annotation_tokens=(tokens[index],))


def _camera_example(root: DataRoot, calibration: int) -> Example:
    recordings = root.recordings
    row = int(root.recording_of_calibration[calibration])
    text = f"{recordings.channel[row]}: rotation {np.round(root.calibrations.rotation[calibration], 3).tolist()}"
    sample = root.samples.tokens[recordings.sample[row]]
    return Example(
        root.calibrations.tokens[calibration], "calibrated_sensor", text, sample, str(recordings.channel[row])
    )
