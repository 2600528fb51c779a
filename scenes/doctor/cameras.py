"""Intrinsics and extrinsics: lenses that fit their images, cameras that look where their names say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.data_root import BoolArray, DataRoot, IntArray
from scenes.doctor.findings import Example, Finding, Severity
from scenes.errors import InputError
from scenes.geometry import FloatArray
from scenes.image_size import image_size_px

_DOWN, _AHEAD = 1, 2
"""Of a camera's axes, the columns of its rotation, the one down its image and the optical axis."""

_INNER: Final = (0.25, 0.75)
"""Lenses sit over the middle of a sensor; cropping moves the principal point, but hardly out of the inner half."""
_OTHER_SCALE: Final = 1.15
"""A principal point that is off by the same factor both ways by more than that is one of another image size."""
_FIELD_OF_VIEW_DEG: Final = (5.0, 150.0)
"""From a telephoto lens to where a pinhole's image would grow beyond any sensor."""
_LARGEST_VEHICLE_M: Final = 30.0
"""No vehicle on a road carries a camera farther from its origin."""
_DIRECTIONS: Final = {
    "FRONT": (1.0, 0.0),
    "BACK": (-1.0, 0.0),
    "REAR": (-1.0, 0.0),
    "LEFT": (0.0, 1.0),
    "RIGHT": (0.0, -1.0),
}
"""Where cameras of these names look in the ego frame, x ahead and y to the left."""


def check_intrinsics(root: DataRoot) -> Iterator[Finding]:
    """Matrices that are none of a pinhole camera."""
    used = _used_cameras(root)
    bad = [index for index in used.tolist() if not _is_pinhole(root.intrinsic(index))]
    if bad:
        row = root.calibrations_table[root.calibrations.tokens[bad[0]]]
        yield Finding(
            "intrinsic-invalid",
            Severity.ERROR,
            len(bad),
            len(used),
            "camera_intrinsic is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with positive focal lengths",
            _calibration_example(root, bad[0], f"camera_intrinsic {row.camera_intrinsic}"),
            "Write the 3x3 pinhole matrix of the undistorted image, row by row, in pixels.",
        )


def check_intrinsics_fit_images(root: DataRoot) -> Iterator[Finding]:
    """Intrinsics that belong to images of another size."""
    outside: list[tuple[int, str]] = []
    scaled: list[tuple[int, str]] = []
    aside: list[tuple[int, str]] = []
    angles: list[tuple[int, str]] = []
    used = _used_cameras(root)
    for index in used.tolist():
        matrix, size = root.intrinsic(index), _image_size(root, index)
        if matrix is None or size is None or not _is_pinhole(matrix):
            continue
        center = matrix[:2, 2] / size
        text = f"principal point {matrix[0, 2]:.0f}, {matrix[1, 2]:.0f} in an image of {size[0]:.0f}x{size[1]:.0f}"
        angle = float(np.rad2deg(2.0 * np.arctan2(0.5 * size[0], matrix[0, 0])))
        if (center < 0).any() or (center > 1).any():
            outside.append((index, text))
        elif _is_scaled(center):
            scaled.append((index, text))
        elif (center < _INNER[0]).any() or (center > _INNER[1]).any():
            aside.append((index, text))
        elif not _FIELD_OF_VIEW_DEG[0] <= angle <= _FIELD_OF_VIEW_DEG[1]:
            angles.append((index, f"fx {matrix[0, 0]:.0f} at {size[0]:.0f} pixels: {angle:.0f} degrees"))
    advice = "Scale fx, cx with the width and fy, cy with the height at every resize; cropping shifts cx, cy."
    for severity, cases, what in (
        (Severity.ERROR, outside, "the principal point lies outside of the image: intrinsics of another image size"),
        (
            Severity.ERROR,
            scaled,
            "the principal point is off the middle by one factor both ways: intrinsics of another image size",
        ),
        (Severity.WARNING, aside, "the principal point lies far from the middle of the image"),
        (Severity.WARNING, angles, "focal length and image width make an angle of view that no pinhole lens has"),
    ):
        if cases:
            index, text = cases[0]
            name = "angle-of-view" if cases is angles else "intrinsic-other-size"
            example = _calibration_example(root, index, text)
            yield Finding(name, severity, len(cases), len(used), what, example, advice)


def check_camera_axes(root: DataRoot) -> Iterator[Finding]:
    """Cameras that lie on their side, stand on their head or look at the sky."""
    calibrations = root.calibrations
    used = _used_cameras(root)
    used = used[calibrations.usable[used]]
    fallen = used[~_is_upright(root, used)]
    if len(fallen):
        index = int(fallen[0])
        axis = calibrations.turn[index][:, _AHEAD]
        yield Finding(
            "camera-not-upright",
            Severity.ERROR,
            len(fallen),
            len(used),
            "the image's y axis does not point down in the ego frame: extrinsics inverted, of other axes, or turned",
            _calibration_example(root, index, f"optical axis {_shown(axis)} in the ego frame"),
            "Write ego from camera (not camera from ego), with camera axes x right, y down, z ahead, and w x y z.",
        )


def check_camera_directions(root: DataRoot) -> Iterator[Finding]:
    """Cameras that look elsewhere than their names say; left and right exchanged."""
    calibrations = root.calibrations
    used = _used_cameras(root)
    used = used[calibrations.usable[used]]
    used = used[_is_upright(root, used)]
    named = [(index, direction) for index in used.tolist() if (direction := _named_direction(root, index)) is not None]
    wrong = [(index, direction) for index, direction in named if not _looks(root, index, direction)]
    mirror = np.array([1.0, -1.0])
    sided = [(index, direction) for index, direction in named if direction[1]]
    mirrored = [one for one in sided if one in wrong and _looks(root, one[0], one[1] * mirror)]
    if len(mirrored) >= 2 and 2 * len(mirrored) > len(sided):
        index = mirrored[0][0]
        yield Finding(
            "left-handed",
            Severity.ERROR,
            len(mirrored),
            len(sided),
            "cameras of the left look to the right and those of the right to the left: the ego frame is left-handed",
            _direction_example(root, index),
            "Use x ahead, y to the left, z up: negate y of translations and turn the other way about x and z.",
        )
        wrong = [one for one in wrong if one not in mirrored]
    if wrong:
        yield Finding(
            "camera-direction",
            Severity.ERROR,
            len(wrong),
            len(named),
            "a camera does not look where its name says, in an ego frame of x ahead and y to the left",
            _direction_example(root, wrong[0][0]),
            "See whether extrinsics are exchanged between cameras, inverted, or in another vehicle frame.",
        )


def check_mounting_units(root: DataRoot) -> Iterator[Finding]:
    """Sensors farther from the origin of their vehicle than a vehicle is long."""
    calibrations = root.calibrations
    distance = np.linalg.norm(calibrations.translation_m, axis=1)
    far = np.flatnonzero(calibrations.usable & (distance > _LARGEST_VEHICLE_M))
    if len(far):
        index = int(far[0])
        unit = "millimetres" if np.median(distance[far]) > 10 * _LARGEST_VEHICLE_M else "centimetres"
        yield Finding(
            "mounting-units",
            Severity.ERROR,
            len(far),
            len(calibrations.tokens),
            f"a sensor is more than {_LARGEST_VEHICLE_M:.0f} m from its vehicle's origin: {unit}, or a global position",
            _calibration_example(root, index, f"translation {_shown(calibrations.translation_m[index])}"),
            "Write calibrated_sensor.translation in metres, in the ego frame.",
        )


def check_shared_mountings(root: DataRoot) -> Iterator[Finding]:
    """Several cameras at one place that look in one direction."""
    calibrations, recordings = root.calibrations, root.recordings
    cameras = recordings.cameras
    cameras = cameras[recordings.calibration[cameras] >= 0]
    same: list[tuple[int, str, str]] = []
    seen: dict[tuple[int, tuple[float, ...]], int] = {}
    for row in cameras.tolist():
        index = int(recordings.calibration[row])
        pose = (*calibrations.translation_m[index].tolist(), *calibrations.rotation[index].tolist())
        other = seen.setdefault((int(recordings.sample[row]), pose), row)
        if recordings.channel[other] != recordings.channel[row]:
            same.append((index, str(recordings.channel[other]), str(recordings.channel[row])))
    if same:
        index, first, second = same[0]
        yield Finding(
            "mounting-shared",
            Severity.ERROR,
            len(same),
            len(cameras),
            "two cameras of a frame have one and the same mounting",
            _calibration_example(root, index, f"{first} and {second}"),
            "Give each camera its own calibrated_sensor row; extrinsics were copied or left at their default.",
        )


def _used_cameras(root: DataRoot) -> IntArray:
    """Calibrations that cameras use."""
    used: IntArray = np.unique(root.recordings.calibration[root.recordings.cameras])
    return np.extract(used >= 0, used)


def _image_size(root: DataRoot, calibration: int) -> FloatArray | None:
    row = int(root.recording_of_calibration[calibration])
    stated: FloatArray = root.recordings.size_px[row].astype(np.float64)
    if stated.all():
        return stated
    path = root.image_path(row)
    try:
        return None if path is None else np.array(image_size_px(path), dtype=np.float64)
    except InputError:
        return None


def _is_pinhole(matrix: FloatArray | None) -> bool:
    if matrix is None:
        return False
    return bool(matrix[0, 0] > 0 and matrix[1, 1] > 0 and (matrix[2] == [0, 0, 1]).all() and matrix[1, 0] == 0)


def _is_scaled(center: FloatArray) -> bool:
    factor = 2.0 * center
    same = abs(factor[0] / factor[1] - 1.0) < 0.5 * (_OTHER_SCALE - 1.0)
    return bool(same and ((factor > _OTHER_SCALE).all() or (factor < 1.0 / _OTHER_SCALE).all()))


def _is_upright(root: DataRoot, indices: IntArray) -> BoolArray:
    """(N,) whether the image's y axis points down, within 60 degrees."""
    down = root.calibrations.turn[indices][..., _DOWN]
    upright: BoolArray = down[:, 2] < -0.5
    return upright


def _named_direction(root: DataRoot, calibration: int) -> FloatArray | None:
    """(2,) where the words in a camera's name point; None without any."""
    channel = str(root.recordings.channel[root.recording_of_calibration[calibration]]).upper()
    words = [word for word in re.split(r"[^A-Z]+", channel) if word in _DIRECTIONS]
    direction = np.sum([_DIRECTIONS[word] for word in words], axis=0) if words else np.zeros(2)
    length = float(np.linalg.norm(direction))
    return direction / length if length > 0.5 else None


def _looks(root: DataRoot, calibration: int, direction: FloatArray) -> bool:
    """Whether a camera looks in a direction: within 60 degrees of one word, a right angle of two."""
    axis = root.calibrations.turn[calibration][:2, _AHEAD]
    length = max(float(np.linalg.norm(axis)), 1e-9)
    return bool(axis @ direction / length > (0.5 if (direction == 0).any() else 0.0))


def _direction_example(root: DataRoot, index: int) -> Example:
    axis = root.calibrations.turn[index][:, _AHEAD]
    return _calibration_example(root, index, f"optical axis {_shown(axis)} in the ego frame")


def _calibration_example(root: DataRoot, index: int, text: str) -> Example:
    """A calibration with a key frame in which it is used."""
    recordings, row = root.recordings, int(root.recording_of_calibration[index])
    channel = str(recordings.channel[row]) if row >= 0 else ""
    sample = root.samples.tokens[recordings.sample[row]] if row >= 0 else ""
    is_camera = row >= 0 and bool(recordings.is_camera[row])
    return Example(
        root.calibrations.tokens[index],
        "calibrated_sensor",
        f"{channel}: {text}" if channel else text,
        sample,
        channel if is_camera else "",
    )


def _shown(vector: FloatArray) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in vector.tolist()) + ")"
