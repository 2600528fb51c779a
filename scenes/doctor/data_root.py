"""A data root as the doctor looks at it: its tables joined into columns, as far as tokens lead somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.classes import NO_CLASS
from scenes.doctor.findings import Finding
from scenes.doctor.raw_tables import LooseT, RawTable, read_raw_table
from scenes.doctor.rows import (
    LooseAnnotation,
    LooseCalibration,
    LooseInstance,
    LooseLog,
    LooseNamed,
    LoosePose,
    LooseSample,
    LooseSampleData,
    LooseScene,
    LooseSensor,
)
from scenes.doctor.time_units import tick_s
from scenes.errors import InputError
from scenes.geometry import FloatArray, pose_matrices, pose_matrix
from scenes.scene import Camera
from scenes.taxonomy import read_taxonomy

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_STATIC_CATEGORIES: Final = ("movable_object.barrier", "movable_object.trafficcone", "static_object.")
"""Of those that belong to no class."""
_STATIC_ATTRIBUTES: Final = ("vehicle.parked",)
_NOWHERE: Final = -1


@dataclass(frozen=True, eq=False)
class Samples:
    """The key frames: scene by scene, each in the order of time.

    Attributes:
        tokens: their tokens.
        scene: (S,) index into the scenes.
        time_s: (S,) seconds; NaN where the table holds no number.
        tick_s: what one step of the table's timestamps seems to last, 1e-6 as it should be.
    """

    tokens: list[str]
    scene: IntArray
    time_s: FloatArray
    tick_s: float


@dataclass(frozen=True, eq=False)
class Recordings:
    """The key-frame rows of sample_data, in the order of `Samples`.

    Attributes:
        tokens, filenames: of each row.
        sample: (R,) index into the samples.
        channel: (R,) name of the sensor, "" where the tokens lead nowhere.
        is_camera: (R,) whether it is a camera.
        calibration: (R,) index into the calibrations, -1 where there is none.
        pose: (R,) index into the poses, -1 where there is none.
        time_s: (R,) seconds.
        size_px: (R, 2) stated width and height, 0 where they are not.
        tick_s: see `Samples`.
    """

    tokens: list[str]
    filenames: list[str]
    sample: IntArray
    channel: NDArray[np.str_]
    is_camera: BoolArray
    calibration: IntArray
    pose: IntArray
    time_s: FloatArray
    size_px: IntArray
    tick_s: float

    @property
    def cameras(self) -> IntArray:
        """Indices of the rows of cameras."""
        return np.flatnonzero(self.is_camera)


@dataclass(frozen=True, eq=False)
class Poses:
    """Rigid poses, of ego_pose (global from ego) or calibrated_sensor (ego from sensor).

    Attributes:
        tokens: of each row.
        translation_m: (P, 3).
        rotation: (P, 4) as the table states it.
        usable: (P,) whether all numbers are finite and the quaternion is not zero.
        stamp: (P,) the time as the table states it, NaN where it does not.
    """

    tokens: list[str]
    translation_m: FloatArray
    rotation: FloatArray
    usable: BoolArray
    stamp: FloatArray

    @cached_property
    def turn(self) -> FloatArray:
        """(P, 3, 3) rotation matrices, whose columns are a body's axes; that of an unusable row is the identity."""
        return rotation_matrices(self.rotation, self.usable)

    def matrix(self, index: int) -> FloatArray:
        """(4, 4) one pose."""
        return pose_matrix(self.translation_m[index].tolist(), self.rotation[index].tolist())


@dataclass(frozen=True, eq=False)
class AnnotatedBoxes:
    """The annotations, in the order of `Samples`.

    Attributes:
        tokens, instances, categories: of each box; `instances` holds instance tokens.
        sample: (N,) index into the samples.
        label: (N,) class, `NO_CLASS` for those of none.
        is_static: (N,) boxes of static classes (barriers, cones), racks, and whatever an attribute calls parked.
        center_m: (N, 3), size_wlh_m: (N, 3), rotation: (N, 4), as the table states them, global.
        usable: (N,) whether all numbers are finite, the size positive and the quaternion not zero.
        points: (N,) lidar and radar points; -1 where the table does not state them.
    """

    tokens: list[str]
    instances: NDArray[np.str_]
    categories: NDArray[np.str_]
    sample: IntArray
    label: IntArray
    is_static: BoolArray
    center_m: FloatArray
    size_wlh_m: FloatArray
    rotation: FloatArray
    usable: BoolArray
    points: IntArray

    @cached_property
    def turn(self) -> FloatArray:
        """(N, 3, 3) rotation matrices, global from body; that of an unusable row is the identity."""
        return rotation_matrices(self.rotation, self.usable)

    def of_instances(self) -> list[IntArray]:
        """For each instance its usable boxes in the order of time."""
        usable = np.flatnonzero(self.usable)
        order = usable[np.argsort(self.instances[usable], kind="stable")]
        return groups_of(order, self.instances[order])

    def of_samples(self) -> list[IntArray]:
        """For each key frame with usable boxes their indices."""
        usable = np.flatnonzero(self.usable)
        return groups_of(usable, self.sample[usable])

    def boxes(self, indices: Sequence[int] | IntArray) -> Boxes3D:
        """Some usable boxes, global; those of no class bear the label 0, which only gives them a colour."""
        which = np.asarray(indices, dtype=np.int64)
        return Boxes3D(
            center_m=self.center_m[which],
            size_wlh_m=self.size_wlh_m[which],
            rotation=self.rotation[which] / np.linalg.norm(self.rotation[which], axis=1, keepdims=True),
            velocity_mps=np.full((len(which), 2), np.nan),
            label=np.maximum(self.label[which], 0),
            score=np.ones(len(which)),
            track_id=self.instances[which],
        )


class DataRoot:
    """A data root, read as far as it can be.

    Attributes:
        path, version: where it is.
        taxonomy: its classes.
        scenes, samples_table, sensors, calibrations_table, data_table, poses_table, instances, annotations_table,
            logs, categories, attributes: the raw tables.
        samples, recordings, calibrations, poses, boxes: their rows joined and in columns.
        findings: what reading found.

    Raises:
        InputError: no such folder, no table in it, or classes that cannot be used.
    """

    def __init__(self, path: Path, version: str) -> None:
        self.path = path
        self.version = version
        self.folder = path / version
        if not path.is_dir():
            raise InputError(f"{path}: no such data root")
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder of tables")
        if not any(self.folder.glob("*.json")):
            raise InputError(f"{self.folder}: holds no table")
        self.taxonomy = read_taxonomy(path)
        self.findings: list[Finding] = []
        self.scenes = self._read("scene", LooseScene)
        self.logs = self._read("log", LooseLog)
        self.samples_table = self._read("sample", LooseSample)
        self.sensors = self._read("sensor", LooseSensor)
        self.calibrations_table = self._read("calibrated_sensor", LooseCalibration)
        self.data_table = self._read("sample_data", LooseSampleData, lambda row: row.is_key_frame)
        needed = {row.ego_pose_token for row in self.data_table.values()}
        self.poses_table = self._read("ego_pose", LoosePose, lambda row: row.token in needed)
        self.categories = self._read("category", LooseNamed)
        self.attributes = self._read("attribute", LooseNamed)
        self.instances = self._read("instance", LooseInstance)
        self.annotations_table = self._read("sample_annotation", LooseAnnotation)
        self.scene_tokens = list(self.scenes)
        self.samples = self._join_samples()
        self.calibrations = _poses(self.calibrations_table.values())
        self.poses = _poses(self.poses_table.values(), [row.timestamp for row in self.poses_table.values()])
        self.recordings = self._join_recordings()
        self.boxes = self._join_boxes()

    @cached_property
    def sample_index(self) -> dict[str, int]:
        """Where each key frame stands in `samples`."""
        return {token: index for index, token in enumerate(self.samples.tokens)}

    @cached_property
    def frame_pose(self) -> IntArray:
        """(S,) the ego pose of each key frame, as the readers choose it; -1 without a usable one."""
        recordings, samples = self.recordings, self.samples
        chosen = np.full(len(samples.tokens), _NOWHERE, dtype=np.int64)
        apart = np.abs(recordings.time_s - samples.time_s[recordings.sample])
        apart[recordings.channel == "LIDAR_TOP"] = -1.0
        known = (recordings.is_camera | (recordings.channel == "LIDAR_TOP")) & (recordings.pose >= 0)
        known[known] &= self.poses.usable[recordings.pose[known]]
        candidates = np.flatnonzero(known)
        # From far to near, so that the nearest is written last.
        order = candidates[np.argsort(-np.nan_to_num(apart[candidates], nan=np.inf), kind="stable")]
        chosen[recordings.sample[order]] = recordings.pose[order]
        return chosen

    @cached_property
    def recording_of_calibration(self) -> IntArray:
        """(C,) the first recording with each calibration; -1 without one."""
        return _first_places(self.recordings.calibration, len(self.calibrations.tokens))

    @cached_property
    def recording_of_pose(self) -> IntArray:
        """(P,) the first recording with each ego pose; -1 without one."""
        return _first_places(self.recordings.pose, len(self.poses.tokens))

    def scene_name(self, scene: int) -> str:
        """The name of a scene by its index."""
        token = self.scene_tokens[scene]
        return self.scenes[token].name or token

    def frames_of_scenes(self) -> list[IntArray]:
        """For each scene with key frames their indices in the order of time."""
        return groups_of(np.arange(len(self.samples.tokens)), self.samples.scene)

    def image_path(self, recording: int) -> Path | None:
        """Where the file of a recording should lie; None for a name that leads out of the data root."""
        name = self.recordings.filenames[recording]
        return self.path / name if is_inside(name) else None

    def camera(self, recording: int) -> Camera | None:
        """A camera of a key frame; None where its pose, mounting or intrinsic cannot be used."""
        recordings = self.recordings
        calibration, pose = int(recordings.calibration[recording]), int(recordings.pose[recording])
        path = self.image_path(recording)
        if min(calibration, pose) < 0 or not (self.calibrations.usable[calibration] and self.poses.usable[pose]):
            return None
        intrinsic = self.intrinsic(calibration)
        if intrinsic is None or path is None:
            return None
        width, height = recordings.size_px[recording].tolist()
        time_us = np.nan_to_num(1e6 * recordings.time_s[recording], posinf=0.0, neginf=0.0)
        return Camera(
            name=str(recordings.channel[recording]),
            timestamp_us=int(time_us),
            image_path=path,
            stated_size_px=(width, height) if min(width, height) > 0 else None,
            intrinsic=intrinsic,
            ego_from_camera=self.calibrations.matrix(calibration),
            global_from_ego=self.poses.matrix(pose),
        )

    def intrinsic(self, calibration: int) -> FloatArray | None:
        """(3, 3) intrinsic matrix of a calibration; None where it is no invertible one."""
        rows = self.calibrations_table[self.calibrations.tokens[calibration]].camera_intrinsic
        if len(rows) != 3 or any(len(row) != 3 for row in rows):
            return None
        matrix = np.array(rows, dtype=np.float64)
        return matrix if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) >= 1e-9 else None

    def _read(self, name: str, loose: type[LooseT], keep: Any = None) -> RawTable[LooseT]:
        table = read_raw_table(self.folder, name, loose, keep)
        self.findings += table.findings
        return table

    def _join_samples(self) -> Samples:
        of_scene = {token: index for index, token in enumerate(self.scene_tokens)}
        rows = [row for row in self.samples_table.values() if row.scene_token in of_scene]
        scene = np.array([of_scene[row.scene_token] for row in rows], dtype=np.int64)
        stamps = _column([row.timestamp for row in rows])
        order = np.lexsort([stamps, scene])
        tick = tick_s(stamps, scene.tolist())
        return Samples([rows[index].token for index in order.tolist()], scene[order], tick * stamps[order], tick)

    def _join_recordings(self) -> Recordings:
        rows = [row for row in self.data_table.values() if row.sample_token in self.sample_index]
        rows.sort(key=lambda row: self.sample_index[row.sample_token])
        sample = np.array([self.sample_index[row.sample_token] for row in rows], dtype=np.int64)
        calibrations = list(self.calibrations_table.values())
        of_calibration = {row.token: index for index, row in enumerate(calibrations)}
        of_pose = {token: index for index, token in enumerate(self.poses.tokens)}
        sensors = [self.sensors.get(row.sensor_token, LooseSensor()) for row in calibrations]
        calibration = [of_calibration.get(row.calibrated_sensor_token, _NOWHERE) for row in rows]
        of_row = [sensors[index] if index >= 0 else LooseSensor() for index in calibration]
        stamps = _column([row.timestamp for row in rows])
        channel = np.array([sensor.channel for sensor in of_row], dtype=np.str_)
        tick = tick_s(stamps, list(zip(self.samples.scene[sample].tolist(), channel.tolist(), strict=True)))
        sizes = [(_side(row.width), _side(row.height)) for row in rows]
        return Recordings(
            tokens=[row.token for row in rows],
            filenames=[row.filename for row in rows],
            sample=sample,
            channel=channel,
            is_camera=np.array([sensor.modality == "camera" for sensor in of_row], dtype=np.bool_),
            calibration=np.array(calibration, dtype=np.int64),
            pose=np.array([of_pose.get(row.ego_pose_token, _NOWHERE) for row in rows], dtype=np.int64),
            time_s=tick * stamps,
            size_px=np.array(sizes, dtype=np.int64).reshape(-1, 2),
            tick_s=tick,
        )

    def _join_boxes(self) -> AnnotatedBoxes:
        rows = [row for row in self.annotations_table.values() if row.sample_token in self.sample_index]
        rows.sort(key=lambda row: self.sample_index[row.sample_token])
        categories = [self._category(row) for row in rows]
        center, size, rotation = (
            _vectors([getattr(row, name) for row in rows], width)
            for name, width in (("translation", 3), ("size", 3), ("rotation", 4))
        )
        finite = np.isfinite(np.column_stack([center, size, rotation])).all(axis=1)
        return AnnotatedBoxes(
            tokens=[row.token for row in rows],
            instances=np.array([row.instance_token for row in rows], dtype=np.str_),
            categories=np.array(categories, dtype=np.str_),
            sample=np.array([self.sample_index[row.sample_token] for row in rows], dtype=np.int64),
            label=np.array([self._label(category) for category in categories], dtype=np.int64),
            is_static=np.array(
                [self._is_static(row, name) for row, name in zip(rows, categories, strict=True)], dtype=np.bool_
            ),
            center_m=center,
            size_wlh_m=size,
            rotation=rotation,
            usable=finite & (size > 0).all(axis=1) & rotation.any(axis=1),
            points=np.array([_points(row) for row in rows], dtype=np.int64),
        )

    def _category(self, row: LooseAnnotation) -> str:
        instance = self.instances.get(row.instance_token)
        category = self.categories.get(instance.category_token) if instance else None
        return category.name if category else ""

    def _is_static(self, row: LooseAnnotation, category: str) -> bool:
        attributes = (self.attributes.get(token) for token in row.attribute_tokens)
        parked = any(attribute is not None and attribute.name in _STATIC_ATTRIBUTES for attribute in attributes)
        label = self._label(category)
        is_static = label >= 0 and self.taxonomy.classes[label].static
        return parked or is_static or (label < 0 and category.startswith(_STATIC_CATEGORIES))

    def _label(self, category: str) -> int:
        return max(self.taxonomy.label_of_category(category), NO_CLASS)


def is_inside(filename: str) -> bool:
    """Whether a file name stays below the data root, see `scenes.table_rows.recorded_path`."""
    return bool(filename) and not (
        filename.startswith("/") or "\0" in filename or ".." in PurePosixPath(filename).parts
    )


def rotation_matrices(rotation: FloatArray, usable: BoolArray) -> FloatArray:
    """(N, 3, 3) matrices of quaternions wxyz; that of an unusable one is the identity."""
    quaternions = np.where(usable[:, None], rotation, [1.0, 0.0, 0.0, 0.0])
    return pose_matrices(np.zeros((len(rotation), 3)), quaternions)[:, :3, :3]


def groups_of(indices: IntArray, keys: NDArray[Any]) -> list[IntArray]:
    """Indices cut where their keys, which stand together, change."""
    return np.split(indices, np.flatnonzero(keys[1:] != keys[:-1]) + 1) if len(indices) else []


def _poses(rows: Iterable[LoosePose | LooseCalibration], stamps: Sequence[float] = ()) -> Poses:
    listed = list(rows)
    translation = _vectors([row.translation for row in listed], 3)
    rotation = _vectors([row.rotation for row in listed], 4)
    finite = np.isfinite(np.column_stack([translation, rotation])).all(axis=1)
    stamp = _column(stamps) if stamps else np.full(len(listed), np.nan)
    return Poses([row.token for row in listed], translation, rotation, finite & rotation.any(axis=1), stamp)


def _first_places(indices: IntArray, count: int) -> IntArray:
    """Where each of the numbers 0 to count - 1 stands first; -1 where it does not."""
    first = np.full(count, _NOWHERE, dtype=np.int64)
    present, places = np.unique(indices, return_index=True)
    first[present[present >= 0]] = places[present >= 0]
    return first


def _vectors(values: list[tuple[float, ...]], width: int) -> FloatArray:
    return np.array(values, dtype=np.float64).reshape(-1, width)


def _column(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def _side(value: int | None) -> int:
    return value if value is not None and 0 <= value < 2**31 else 0


def _points(row: LooseAnnotation) -> int:
    if row.num_lidar_pts is None and row.num_radar_pts is None:
        return -1
    return min(max(row.num_lidar_pts or 0, 0) + max(row.num_radar_pts or 0, 0), 2**31)
