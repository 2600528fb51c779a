"""Reads PandaSet sequences: cuboids and points in world coordinates, pickled by pandas, poses of every sensor.

There is no ego frame in the data: here it is that of the lidar's poses, turned so that x is ahead (theirs has y ahead,
x to the right). Source: pandaset-devkit (`pandaset.geometry`, `pandaset.annotations`) and its documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scenes.conversion.contents import ImageFile, PointArray, PointFile
from scenes.conversion.drive import (
    LIDAR_CHANNEL,
    Drive,
    DriveFrame,
    Labels,
    Recording,
    Sensor,
    is_orientation,
    label_boxes,
)
from scenes.conversion.safe_pickle import frame_columns, read_pickle
from scenes.errors import InputError
from scenes.geometry import FloatArray, invert_pose, pose_matrix, rotation_from_yaw
from scenes.image_size import image_size_px
from scenes.json_text import read_json
from scenes.taxonomy import NUSCENES, Taxonomy

CATEGORIES: Final = {
    "Car": "vehicle.car",
    "Pickup Truck": "vehicle.truck",
    "Medium-sized Truck": "vehicle.truck",
    "Semi-truck": "vehicle.truck",
    "Towed Object": "vehicle.trailer",
    "Motorcycle": "vehicle.motorcycle",
    "Motorized Scooter": "vehicle.motorcycle",
    "Bicycle": "vehicle.bicycle",
    "Bus": "vehicle.bus.rigid",
    "Other Vehicle - Construction Vehicle": "vehicle.construction",
    "Pedestrian": "human.pedestrian.adult",
    "Pedestrian with Object": "human.pedestrian.adult",
    "Personal Mobility Device": "human.pedestrian.personal_mobility",
    "Animals - Bird": "animal",
    "Animals - Other": "animal",
    "Cones": "movable_object.trafficcone",
    "Temporary Construction Barriers": "movable_object.barrier",
}
"""nuScenes categories of PandaSet's labels; signs, rolling containers, trams and uncommon vehicles have none."""

_MOTION: Final = {"Parked": "vehicle.parked", "Stopped": "vehicle.stopped", "Moving": "vehicle.moving"}
_BEHAVIOR: Final = {
    "Standing": "pedestrian.standing",
    "Walking": "pedestrian.moving",
    "Sitting": "pedestrian.sitting_lying_down",
    "Lying": "pedestrian.sitting_lying_down",
}
_RIDER: Final = {"With Rider": "cycle.with_rider", "Without Rider": "cycle.without_rider"}
_FRONT_LIDAR: Final = 1
"""`cuboids.sensor_id` of what was labelled in the front lidar's points."""
_CUBOID_NUMBERS: Final = (
    "position.x",
    "position.y",
    "position.z",
    "dimensions.x",
    "dimensions.y",
    "dimensions.z",
    "yaw",
)
_EGO_FROM_LIDAR_POSE: Final = pose_matrix((0.0, 0.0, 0.0), rotation_from_yaw(-0.5 * np.pi)[0].tolist())


class _Vector(msgspec.Struct):
    x: float
    y: float
    z: float


class _Heading(_Vector):
    w: float


class _Pose(msgspec.Struct):
    position: _Vector
    heading: _Heading

    def matrix(self, where: str) -> FloatArray:
        turn = self.heading
        quaternion = (turn.w, turn.x, turn.y, turn.z)
        if not is_orientation(quaternion):
            raise InputError(f"{where}: no unit quaternion: {quaternion}")
        return pose_matrix((self.position.x, self.position.y, self.position.z), quaternion)


class _Intrinsics(msgspec.Struct):
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class PandasetSource:
    """A folder of sequences, or one sequence."""

    path: Path
    format: str = "pandaset"
    version: str = "v1.0-pandaset"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return CATEGORIES

    def drives(self) -> list[str]:
        if (self.path / "lidar").is_dir():
            return [self.path.resolve().name]
        names = sorted(path.parent.name for path in self.path.glob("*/lidar") if path.is_dir())
        if not names:
            raise InputError(f"{self.path}: no sequence in it; one holds lidar, camera and annotations")
        return names

    def files(self, name: str) -> list[Path]:
        return [self._root(name)]

    def read(self, name: str) -> Drive:
        return _SequenceReader(self._root(name), name).drive()

    def _root(self, name: str) -> Path:
        return self.path if (self.path / "lidar").is_dir() else self.path / name


class _SequenceReader:
    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._times_us, lidar_poses = _timed_poses(root / "lidar")
        self._ego_poses = [pose @ invert_pose(_EGO_FROM_LIDAR_POSE) for pose in lidar_poses]

    def drive(self) -> Drive:
        cuboids = self._root / "annotations" / "cuboids"
        files = _frame_files(cuboids, len(self._times_us), (".pkl.gz", ".pkl")) if cuboids.is_dir() else None
        frames = [
            DriveFrame(time, f"{index:02d}", _labels(files[index]) if files else None)
            for index, time in enumerate(self._times_us)
        ]
        return Drive(
            self._name, [self._lidar(), *self._cameras()], frames, f"PandaSet sequence {self._name}", "california"
        )

    def _lidar(self) -> Sensor:
        paths = _frame_files(self._root / "lidar", len(self._times_us), (".pkl.gz", ".pkl"))
        recordings = [
            Recording(time, pose, PointFile(path, _SweepReader(invert_pose(pose))))
            for time, pose, path in zip(self._times_us, self._ego_poses, paths, strict=True)
        ]
        return Sensor(LIDAR_CHANNEL, "lidar", np.eye(4), recordings)

    def _cameras(self) -> list[Sensor]:
        folder = self._root / "camera"
        return [self._camera(path) for path in sorted(folder.glob("*")) if path.is_dir()]

    def _camera(self, folder: Path) -> Sensor:
        times_us, poses = _timed_poses(folder)
        if len(times_us) != len(self._times_us):
            raise InputError(f"{folder}: {len(times_us)} times, the lidar has {len(self._times_us)}")
        lens = _decoded(folder / "intrinsics.json", _Intrinsics)
        if min(lens.fx, lens.fy) <= 0:
            raise InputError(f"{folder / 'intrinsics.json'}: focal lengths {lens.fx}, {lens.fy}")
        # The mounting is not in the data. With the first frame's for all, the ego pose at each exposure follows from
        # the camera's pose, which is.
        ego_from_camera = invert_pose(self._ego_poses[0]) @ poses[0]
        paths = _frame_files(folder, len(times_us), (".jpg",))
        size_px = image_size_px(paths[0])
        recordings = [
            Recording(time, pose @ invert_pose(ego_from_camera), ImageFile(path, size_px))
            for time, pose, path in zip(times_us, poses, paths, strict=True)
        ]
        intrinsic = np.array([[lens.fx, 0.0, lens.cx], [0.0, lens.fy, lens.cy], [0.0, 0.0, 1.0]])
        return Sensor(folder.name, "camera", ego_from_camera, recordings, intrinsic, size_px)


def _labels(path: Path) -> Labels:
    """The cuboids of a frame."""
    columns = frame_columns(read_pickle(path), path)
    needed = ("uuid", "label", *_CUBOID_NUMBERS)
    if missing := [name for name in needed if name not in columns]:
        raise InputError(f"{path}: no column {missing[0]}")
    numbers = {name: _finite(columns[name], f"{path}, column {name}") for name in _CUBOID_NUMBERS}
    kept = np.flatnonzero(_labelled_once(columns))
    boxes = label_boxes(
        np.column_stack([numbers[f"position.{axis}"] for axis in "xyz"])[kept],
        np.column_stack([numbers[f"dimensions.{axis}"] for axis in "xyz"])[kept],
        # Theirs is the angle of a box whose length lies along y.
        rotation_from_yaw(numbers["yaw"][kept] + 0.5 * np.pi),
        [str(value) for value in columns["uuid"][kept]],
        [_attribute(columns, row) for row in kept.tolist()],
        np.eye(4),
    )
    return Labels(boxes, [str(value) for value in columns["label"][kept]])


def _labelled_once(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """(N,) False for the second cuboid of objects that were labelled in both lidars."""
    count = len(columns["uuid"])
    sensor = columns.get("cuboids.sensor_id", np.full(count, -1))
    siblings = columns.get("cuboids.sibling_id", np.full(count, "-"))
    others = {str(uuid) for uuid, of in zip(columns["uuid"], sensor, strict=True) if of != _FRONT_LIDAR}
    pairs = zip(sensor, siblings, strict=True)
    return np.array([not (of == _FRONT_LIDAR and str(sibling) in others) for of, sibling in pairs], dtype=np.bool_)


def _attribute(columns: Mapping[str, NDArray[Any]], row: int) -> str:
    """nuScenes' attribute of a cuboid, "" where none is stated that fits its category."""
    category = CATEGORIES.get(str(columns["label"][row]), "")
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        name, known = "attributes.rider_status", _RIDER
    elif category.startswith("vehicle."):
        name, known = "attributes.object_motion", _MOTION
    elif category.startswith("human.pedestrian.adult"):
        name, known = "attributes.pedestrian_behavior", _BEHAVIOR
    else:
        return ""
    return known.get(str(columns[name][row]), "") if name in columns else ""


@dataclass(frozen=True, eq=False)
class _SweepReader:
    """Reads points in world coordinates into the ego frame of a sweep."""

    ego_from_world: FloatArray

    def __call__(self, path: Path) -> PointArray:
        columns = frame_columns(read_pickle(path), path)
        if missing := [name for name in ("x", "y", "z", "i") if name not in columns]:
            raise InputError(f"{path}: no column {missing[0]}")
        x, y, z, intensity = (_finite(columns[name], f"{path}, column {name}") for name in ("x", "y", "z", "i"))
        turned = np.column_stack([x, y, z]) @ self.ego_from_world[:3, :3].T + self.ego_from_world[:3, 3]
        return np.column_stack([turned, intensity, np.zeros(len(x))]).astype(np.float32)


def _timed_poses(folder: Path) -> tuple[list[int], list[FloatArray]]:
    """Times in microseconds, and (4, 4) poses `world_from_sensor`."""
    times = _decoded(folder / "timestamps.json", list[float])
    poses = _decoded(folder / "poses.json", list[_Pose])
    if len(times) != len(poses):
        raise InputError(f"{folder}: {len(times)} times in timestamps.json, {len(poses)} poses in poses.json")
    if not times:
        raise InputError(f"{folder / 'timestamps.json'}: no frames")
    if not all(0 <= time < 1e10 for time in times):
        raise InputError(f"{folder / 'timestamps.json'}: {max(times)} are no seconds since 1970; other units?")
    matrices = [pose.matrix(f"{folder / 'poses.json'}, pose {index}") for index, pose in enumerate(poses)]
    return [round(1e6 * time) for time in times], matrices


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(read_json(path), kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None


def _frame_files(folder: Path, frames: int, suffixes: Sequence[str]) -> list[Path]:
    """The file of each frame, which is named by its number.

    Raises:
        InputError: a frame has no file, or a file no frame.
    """
    found = {path.name: path for path in sorted(folder.glob("[!.]*")) if path.name.endswith(tuple(suffixes))}
    files = []
    for index in range(frames):
        names = [f"{index:02d}{suffix}" for suffix in suffixes]
        of_frame = [found.pop(name) for name in names if name in found]
        if not of_frame:
            raise InputError(f"{folder / names[0]}: missing, one of the frames of timestamps.json")
        files.append(of_frame[0])
    if found:
        raise InputError(f"{next(iter(found.values()))}: of no frame; timestamps.json has {frames}")
    return files


def _finite(values: NDArray[Any], where: str) -> FloatArray:
    try:
        numbers: FloatArray = values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: no numbers") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}, row {int(np.argmin(np.isfinite(numbers)))}: no finite number")
    return numbers
