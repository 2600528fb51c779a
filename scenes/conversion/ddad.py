"""Reads DDAD scenes, JSON of the DGP format: poses of every datum, boxes with instances in the lidar's frame.

Source: TRI-ML/dgp (`dgp.proto`, `dgp.datasets.synchronized_dataset`, `dgp.utils.structures.bounding_box_3d`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from scenes.conversion.contents import ImageFile, PointArray, PointFile, path_below
from scenes.conversion.drive import (
    LIDAR_CHANNEL,
    BoxColumns,
    Drive,
    DriveFrame,
    Labels,
    Recording,
    Sensor,
    is_orientation,
)
from scenes.errors import InputError, shown
from scenes.geometry import FloatArray, invert_pose, pose_matrix
from scenes.json_text import read_json
from scenes.taxonomy import NUSCENES, Taxonomy

CATEGORIES: Final = {
    "Car": "vehicle.car",
    "Truck": "vehicle.truck",
    "Bus/RV/Caravan": "vehicle.bus.rigid",
    "Person": "human.pedestrian.adult",
    "Bicycle": "vehicle.bicycle",
    "Motorcycle": "vehicle.motorcycle",
    "Trailer": "vehicle.trailer",
    "Towed Object": "vehicle.trailer",
    "Wheeled Slow": "human.pedestrian.personal_mobility",
}
"""nuScenes categories of DDAD's classes; Train and others have none."""

BOXES_3D: Final = "1"
"""DGP's number of the annotation type BOUNDING_BOX_3D."""

_LIDAR: Final = "LIDAR"
_TENFOLD_FROM_US: Final = 9_000_000_000_000_000
"""DDAD counts tenths of microseconds and its tables take them for microseconds: the year 2019 becomes 2464."""


class _Xyz(msgspec.Struct):
    x: float
    y: float
    z: float


class _Quaternion(msgspec.Struct):
    qw: float
    qx: float
    qy: float
    qz: float


class _Pose(msgspec.Struct):
    translation: _Xyz
    rotation: _Quaternion

    def matrix(self, where: str) -> FloatArray:
        turn, place = self.rotation, self.translation
        quaternion = (turn.qw, turn.qx, turn.qy, turn.qz)
        if not is_orientation(quaternion):
            raise InputError(f"{where}: no unit quaternion: {quaternion}")
        return pose_matrix((place.x, place.y, place.z), quaternion)


class _Recorded(msgspec.Struct):
    filename: str
    pose: _Pose
    annotations: dict[str, str] = {}
    width: int = 0
    height: int = 0


class _Content(msgspec.Struct):
    image: _Recorded | None = None
    point_cloud: _Recorded | None = None


class _Id(msgspec.Struct):
    name: str
    timestamp: str
    log: str = ""


class _Datum(msgspec.Struct):
    id: _Id
    key: str
    datum: _Content


class _Sample(msgspec.Struct):
    id: _Id
    datum_keys: list[str]
    calibration_key: str


class _Scene(msgspec.Struct):
    data: list[_Datum]
    samples: list[_Sample]
    name: str = ""
    description: str = ""
    ontologies: dict[str, str] = {}


class _Intrinsics(msgspec.Struct):
    fx: float
    fy: float
    cx: float
    cy: float
    skew: float = 0.0


class _Calibration(msgspec.Struct):
    names: list[str]
    intrinsics: list[_Intrinsics]
    extrinsics: list[_Pose]


class _Class(msgspec.Struct):
    id: int
    name: str


class _Ontology(msgspec.Struct):
    items: list[_Class]


class _Box(msgspec.Struct):
    pose: _Pose
    width: float
    length: float
    height: float


class _Annotation(msgspec.Struct):
    class_id: int
    instance_id: int
    box: _Box
    num_points: int = 0


class _Annotations(msgspec.Struct):
    annotations: list[_Annotation]


@dataclass(frozen=True)
class DdadSource:
    """A folder of scenes, or one scene."""

    path: Path
    format: str = "ddad"
    version: str = "v1.0-ddad"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return CATEGORIES

    def drives(self) -> list[str]:
        if _scene_files(self.path):
            return [self.path.resolve().name]
        names = sorted(path.name for path in self.path.glob("*") if path.is_dir() and _scene_files(path))
        if not names:
            raise InputError(f"{self.path}: no folder with a scene_*.json in it")
        return names

    def files(self, name: str) -> list[Path]:
        return [self._root(name)]

    def read(self, name: str) -> Drive:
        return _SceneReader(self._root(name), name).drive()

    def _root(self, name: str) -> Path:
        return self.path if _scene_files(self.path) else self.path / name


def _scene_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("scene_*.json"))


class _SceneReader:
    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._path = _scene_files(root)[0]
        self._scene: _Scene = _decoded(self._path, _Scene)
        self._data = {datum.key: datum for datum in self._scene.data}
        if not self._scene.samples:
            raise InputError(f"{self._path}: no samples")
        if len({sample.calibration_key for sample in self._scene.samples}) > 1:
            raise InputError(f"{self._path}: several calibrations in one scene")
        self._lenses, self._mountings = self._calibration(self._scene.samples[0].calibration_key)
        self._classes = self._ontology()

    def drive(self) -> Drive:
        recorded: dict[str, list[_Datum]] = {}
        frames = []
        for index, sample in enumerate(self._scene.samples):
            lidar = None
            for key in sample.datum_keys:
                if key not in self._data:
                    raise InputError(f"{self._path}: sample {index}: no datum {shown(key)}")
                datum = self._data[key]
                recorded.setdefault(datum.id.name, []).append(datum)
                lidar = datum if datum.datum.point_cloud else lidar
            frames.append(self._frame(index, sample, lidar))
        lidar_first = sorted(recorded.items(), key=lambda item: item[0] != _LIDAR)
        sensors = [self._sensor(name, data) for name, data in lidar_first]
        return Drive(self._name, sensors, frames, self._scene.description, self._scene.samples[0].id.log)

    def _frame(self, index: int, sample: _Sample, lidar: _Datum | None) -> DriveFrame:
        time = _timestamp_us((lidar or sample).id, f"{self._path}: sample {index}")
        return DriveFrame(time, str(index), self._labels(lidar) if lidar else None)

    def _labels(self, datum: _Datum) -> Labels | None:
        cloud = datum.datum.point_cloud
        if cloud is None or BOXES_3D not in cloud.annotations:
            return None
        path = path_below(self._root, cloud.annotations[BOXES_3D], f"{self._path}: datum {datum.key}")
        found: _Annotations = _decoded(path, _Annotations)
        columns = BoxColumns()
        for index, annotation in enumerate(found.annotations):
            if annotation.class_id not in self._classes:
                raise InputError(f"{path}: annotation {index}: class_id {annotation.class_id} is not in the ontology")
            box = annotation.box
            place, turn = box.pose.translation, box.pose.rotation
            columns.add(
                (place.x, place.y, place.z),
                (box.width, box.length, box.height),
                (turn.qw, turn.qx, turn.qy, turn.qz),
                str(annotation.instance_id),
            )
        return Labels(
            columns.boxes(cloud.pose.matrix(f"{self._path}: datum {datum.key}")),
            [self._classes[annotation.class_id] for annotation in found.annotations],
            num_lidar_pts=[annotation.num_points for annotation in found.annotations],
        )

    def _sensor(self, name: str, data: Sequence[_Datum]) -> Sensor:
        if name not in self._mountings:
            raise InputError(f"{self._root / 'calibration'}: no sensor {name}, which the scene has")
        is_lidar = name == _LIDAR
        recordings, sizes = [], set()
        for datum in data:
            where = f"{self._path}: datum {datum.key}"
            content = datum.datum.point_cloud if is_lidar else datum.datum.image
            if content is None:
                raise InputError(f"{where}: holds nothing of a {'lidar' if is_lidar else 'camera'}")
            path = path_below(self._root, content.filename, where)
            size_px = (content.width, content.height)
            sizes.add(size_px)
            file = PointFile(path, read_points) if is_lidar else ImageFile(path, size_px)
            global_from_ego = content.pose.matrix(where) @ invert_pose(self._mountings[name])
            recordings.append(Recording(_timestamp_us(datum.id, where), global_from_ego, file))
        if is_lidar:
            return Sensor(LIDAR_CHANNEL, "lidar", self._mountings[name], recordings)
        if len(sizes) > 1:
            raise InputError(f"{self._path}: images of {name} have several sizes: {sorted(sizes)}")
        return Sensor(name, "camera", self._mountings[name], recordings, self._lenses[name], sizes.pop())

    def _calibration(self, key: str) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Intrinsics and mountings by the sensor's name."""
        path = path_below(self._root, f"calibration/{key}.json", str(self._path))
        found: _Calibration = _decoded(path, _Calibration)
        if not len(found.names) == len(found.intrinsics) == len(found.extrinsics):
            counts = f"{len(found.intrinsics)} intrinsics, {len(found.extrinsics)} extrinsics"
            raise InputError(f"{path}: {len(found.names)} names, {counts}")
        lenses = {
            name: np.array([[lens.fx, lens.skew, lens.cx], [0.0, lens.fy, lens.cy], [0.0, 0.0, 1.0]])
            for name, lens in zip(found.names, found.intrinsics, strict=True)
        }
        mountings = {
            name: pose.matrix(f"{path}: {name}") for name, pose in zip(found.names, found.extrinsics, strict=True)
        }
        return lenses, mountings

    def _ontology(self) -> dict[int, str]:
        key = self._scene.ontologies.get(BOXES_3D)
        if key is None:
            return {}
        path = path_below(self._root, f"ontology/{key}.json", str(self._path))
        found: _Ontology = _decoded(path, _Ontology)
        return {item.id: item.name for item in found.items}


def read_points(path: Path) -> PointArray:
    """The points of a `.npz` file: x, y, z, intensity.

    Raises:
        InputError: it is cut off, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = arrays["data"]
    except Exception as error:  # of zipfile and of numpy, whose readers of broken files raise what they like
        raise InputError(f"{path}: no .npz file with an array data ({error})") from None
    if values.ndim != 2 or values.shape[1] < 3 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: no points: an array {values.shape} of {values.dtype}")
    points = np.zeros((len(values), 5), dtype=np.float32)
    width = min(4, values.shape[1])
    points[:, :width] = values[:, :width]
    return points


def _timestamp_us(id_: _Id, where: str) -> int:
    try:
        moment = datetime.fromisoformat(id_.timestamp.replace("Z", "+00:00"))
    except ValueError:
        raise InputError(f"{where}: {shown(id_.timestamp)} is no time") from None
    time_us = round(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
    return time_us // 10 if time_us >= _TENFOLD_FROM_US else time_us


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(read_json(path), kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None
