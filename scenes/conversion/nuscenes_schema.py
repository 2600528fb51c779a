"""Reads data sets with nuScenes' tables and other columns, names or classes: Lyft Level 5, TruckScenes, Tier IV's T4.

What differs: where the tables lie (`train_data`, `annotation`), classes without `vehicle.`, several attributes a box,
times that are no integers, visibility by words, counts of -1, no LIDAR_TOP, no maps. Sample tokens stay as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
import numpy as np

from scenes.conversion.contents import Absent, Content, ImageFile, PlainFile, PointFile, path_below
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
from scenes.conversion.drive_tables import POINTS_WITHOUT_CLOUD
from scenes.conversion.folder import CATEGORIES as CATEGORY_OF_CLASS
from scenes.conversion.point_files import read_point_file
from scenes.errors import InputError, shown
from scenes.geometry import FloatArray, pose_matrix
from scenes.stamps import stamp_of
from scenes.table_rows import Quaternion, Vector
from scenes.taxonomy import NUSCENES, Taxonomy

CATEGORIES: Final = {
    **CATEGORY_OF_CLASS,
    "movable_object.traffic_cone": "movable_object.trafficcone",
    "vehicle.bus": "vehicle.bus.rigid",
    "vehicle.bus (bendy & rigid)": "vehicle.bus.rigid",
    "vehicle.fire": "vehicle.truck",
    "semi_trailer": "vehicle.trailer",
    "tractor_unit": "vehicle.truck",
    "emergency_vehicle": "vehicle.emergency.police",
    **{name: f"human.{name}" for name in ("pedestrian.adult", "pedestrian.child", "pedestrian.construction_worker",
                                          "pedestrian.police_officer", "pedestrian.personal_mobility",
                                          "pedestrian.stroller", "pedestrian.wheelchair")},
    **{name: f"human.pedestrian.{name}" for name in ("construction_worker", "police_officer", "personal_mobility",
                                                     "stroller", "wheelchair")},
}  # fmt: skip
"""nuScenes' name of a category; any other category keeps its own."""

_LYFT_ACTIONS: Final = {
    "object_action_parked": "vehicle.parked",
    "object_action_stopped": "vehicle.stopped",
    "object_action_driving_straight_forward": "vehicle.moving",
    "object_action_walking": "pedestrian.moving",
    "object_action_running": "pedestrian.moving",
    "object_action_standing": "pedestrian.standing",
    "object_action_sitting": "pedestrian.sitting_lying_down",
}
_LEVELS: Final = {
    "v0-40": 1,
    "v40-60": 2,
    "v60-80": 3,
    "v80-100": 4,
    "none": 1,
    "partial": 2,
    "most": 3,
    "full": 4,
}
_TABLE_FOLDERS: Final = ("", "*/", "*/*/", "*/*/*/")
_PLACES_OF_FILES: Final = ("", "train_", "test_")
"""What Lyft's archives put before the folders that the tables name."""
_WITHOUT_LIDAR_TOP: Final = ("LIDAR_TOP", "LIDAR_CONCAT")
_FARTHEST_TIME_US: Final = 2.0**53


class _Row(msgspec.Struct, gc=False):
    token: str


class _SceneRow(_Row):
    name: str
    first_sample_token: str
    log_token: str = ""
    description: str = ""


class _LogRow(_Row):
    location: str = ""
    vehicle: str = ""


class _SampleRow(_Row):
    timestamp: float
    scene_token: str


class _SampleDataRow(_Row):
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    timestamp: float
    filename: str
    height: int | None = None
    width: int | None = None


class _PoseRow(_Row):
    translation: Vector
    rotation: Quaternion


class _CalibrationRow(_PoseRow):
    sensor_token: str
    camera_intrinsic: list[list[float]]


class _SensorRow(_Row):
    channel: str
    modality: str


class _NamedRow(_Row):
    name: str


class _LevelRow(_Row):
    level: str = ""


class _InstanceRow(_Row):
    category_token: str


class _AnnotationRow(_Row):
    sample_token: str
    instance_token: str
    translation: Vector
    size: Vector
    rotation: Quaternion
    attribute_tokens: list[str] = []
    visibility_token: str | int | None = None
    num_lidar_pts: int | None = None


_RowT = TypeVar("_RowT", bound=_Row)


@dataclass(frozen=True)
class NuscenesSchemaSource:
    """A folder with such tables somewhere below it."""

    path: Path
    format: str = "nuscenes-schema"
    version: str = "v1.0-converted"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        """Every category of the source by nuScenes' name, or its own."""
        tables = (_tables(folder, self.taxonomy) for folder in self._folders)
        names = [row.name for one in tables for row in one.read("category", _NamedRow).values()]
        return {name: CATEGORIES.get(name, name) for name in names}

    @property
    def _folders(self) -> list[Path]:
        found = sorted(path.parent for depth in _TABLE_FOLDERS for path in self.path.glob(f"{depth}scene.json"))
        if not found:
            raise InputError(f"{self.path}: no scene.json in it or in folders up to three below")
        return found

    def drives(self) -> list[str]:
        """The names of all scenes."""
        names = list(self._places)
        if not names:
            raise InputError(f"{self._folders[0] / 'scene.json'}: no scenes")
        return names

    @property
    def _places(self) -> dict[str, tuple[Path, str]]:
        """Folder of tables and token of each scene, by name."""
        places: dict[str, tuple[Path, str]] = {}
        for folder in self._folders:
            for row in _tables(folder, self.taxonomy).read("scene", _SceneRow).values():
                if row.name in places:
                    raise InputError(f"{folder / 'scene.json'}: {shown(row.name)} is the name of two scenes")
                places[row.name] = (folder, row.token)
        return places

    def files(self, name: str) -> list[Path]:
        """The tables of the scene; which files belong to it only reading them would tell."""
        return _table_files(self._places[name][0])

    def read(self, name: str) -> Drive:
        folder, token = self._places[name]
        return _tables(folder, self.taxonomy).drive(token)


def _table_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _tables(folder: Path, taxonomy: Taxonomy) -> _Tables:
    """The tables of a folder as they are now."""
    return _tables_of_stamp(folder, taxonomy, stamp_of(_table_files(folder)))


@lru_cache(maxsize=2)
def _tables_of_stamp(folder: Path, taxonomy: Taxonomy, _: str) -> _Tables:
    """The tables of a folder: many scenes share them, and each is converted on its own."""
    return _Tables(folder, taxonomy)


class _Tables:
    def __init__(self, folder: Path, taxonomy: Taxonomy) -> None:
        self._folder = folder
        self._taxonomy = taxonomy

    def read(self, name: str, kind: type[_RowT], optional: bool = False) -> dict[str, _RowT]:
        """The rows of a table by token."""
        path = self._folder / f"{name}.json"
        if optional and not path.is_file():
            return {}
        try:
            decoder: msgspec.json.Decoder[list[_RowT]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
            rows = decoder.decode(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{path}: {error}") from None
        by_token = {row.token: row for row in rows}
        if len(by_token) < len(rows):
            raise InputError(f"{path}: a token is there twice")
        return by_token

    def _at(self, rows: Mapping[str, _RowT], token: str, table: str, referrer: str) -> _RowT:
        if token not in rows:
            raise InputError(f"{self._folder / table}.json: no row {shown(token)}, to which {referrer} points")
        return rows[token]

    @cached_property
    def _scenes(self) -> dict[str, _SceneRow]:
        return self.read("scene", _SceneRow)

    @cached_property
    def _samples(self) -> dict[str, _SampleRow]:
        return self.read("sample", _SampleRow)

    @cached_property
    def _samples_of_scene(self) -> dict[str, list[_SampleRow]]:
        grouped: defaultdict[str, list[_SampleRow]] = defaultdict(list)
        for sample in self._samples.values():
            grouped[sample.scene_token].append(sample)
        return grouped

    @cached_property
    def _recorded_in_scene(self) -> dict[str, list[_SampleDataRow]]:
        grouped: defaultdict[str, list[_SampleDataRow]] = defaultdict(list)
        for row in self.read("sample_data", _SampleDataRow).values():
            sample = self._at(self._samples, row.sample_token, "sample", f"sample_data {shown(row.token)}")
            grouped[sample.scene_token].append(row)
        return grouped

    @cached_property
    def _annotations_of_sample(self) -> dict[str, list[_AnnotationRow]]:
        grouped: defaultdict[str, list[_AnnotationRow]] = defaultdict(list)
        for row in self.read("sample_annotation", _AnnotationRow, optional=True).values():
            self._at(self._samples, row.sample_token, "sample", f"sample_annotation {shown(row.token)}")
            grouped[row.sample_token].append(row)
        return grouped

    @cached_property
    def _poses(self) -> dict[str, _PoseRow]:
        return self.read("ego_pose", _PoseRow)

    @cached_property
    def _calibrations(self) -> dict[str, _CalibrationRow]:
        return self.read("calibrated_sensor", _CalibrationRow)

    @cached_property
    def _sensors(self) -> dict[str, _SensorRow]:
        return self.read("sensor", _SensorRow)

    @cached_property
    def _type_of_instance(self) -> dict[str, str]:
        categories = self.read("category", _NamedRow)
        return {
            token: self._at(categories, row.category_token, "category", f"instance {shown(token)}").name
            for token, row in self.read("instance", _InstanceRow, optional=True).items()
        }

    @cached_property
    def _attribute_of_token(self) -> dict[str, str]:
        """The attribute of each, nuScenes' or the classes' own; "" where there is none."""
        names = {token: row.name for token, row in self.read("attribute", _NamedRow, optional=True).items()}
        mapped = {token: _LYFT_ACTIONS.get(name, name.replace("_state.", ".")) for token, name in names.items()}
        known = self._taxonomy.attributes
        return {token: name if name in known else "" for token, name in mapped.items()}

    @cached_property
    def _level_of_token(self) -> dict[str, int]:
        rows = self.read("visibility", _LevelRow, optional=True)
        return {token: _LEVELS.get(row.level, 0) for token, row in rows.items()}

    def drive(self, token: str) -> Drive:
        """A scene."""
        scene = self._scenes[token]
        samples = sorted(self._samples_of_scene.get(token, ()), key=lambda row: row.timestamp)
        if not samples:
            raise InputError(f"{self._folder / 'sample.json'}: scene {shown(scene.name)} has no samples")
        log = self.read("log", _LogRow, optional=True).get(scene.log_token, _LogRow(""))
        frames = [
            DriveFrame(self._time(row, "sample"), row.token, self._labels(row.token), row.token) for row in samples
        ]
        return Drive(scene.name, self._recorded(scene), frames, scene.description, log.location, log.vehicle)

    def _time(self, row: _SampleRow | _SampleDataRow, table: str) -> int:
        if not 0 <= row.timestamp <= _FARTHEST_TIME_US:
            raise InputError(
                f"{self._folder / table}.json: row {shown(row.token)}: {row.timestamp} are no microseconds"
            )
        return round(row.timestamp)

    def _recorded(self, scene: _SceneRow) -> list[Sensor]:
        by_channel: defaultdict[str, list[_SampleDataRow]] = defaultdict(list)
        for row in self._recorded_in_scene.get(scene.token, ()):
            calibration = self._at(
                self._calibrations, row.calibrated_sensor_token, "calibrated_sensor", f"sample_data {shown(row.token)}"
            )
            referrer = f"calibrated_sensor {shown(calibration.token)}"
            by_channel[self._at(self._sensors, calibration.sensor_token, "sensor", referrer).channel].append(row)
        lidars = sorted(channel for channel, rows in by_channel.items() if self._modality(rows[0]) == "lidar")
        top = next((channel for channel in _WITHOUT_LIDAR_TOP if channel in lidars), lidars[0] if lidars else "")
        return [
            self._sensor(LIDAR_CHANNEL if channel == top else channel, rows) for channel, rows in by_channel.items()
        ]

    def _modality(self, row: _SampleDataRow) -> str:
        return self._sensors[self._calibrations[row.calibrated_sensor_token].sensor_token].modality

    def _sensor(self, channel: str, rows: Sequence[_SampleDataRow]) -> Sensor:
        calibrations = {row.calibrated_sensor_token for row in rows}
        if len(calibrations) > 1:
            raise InputError(f"{self._folder / 'sample_data'}.json: {channel} has several calibrations in one scene")
        calibration = self._calibrations[calibrations.pop()]
        modality = self._modality(rows[0])
        if modality not in ("camera", "lidar", "radar"):
            raise InputError(f"{self._folder / 'sensor'}.json: {channel}: modality {shown(modality)} is not known")
        recordings = []
        for row in sorted(rows, key=lambda row: row.timestamp):
            pose = self._at(self._poses, row.ego_pose_token, "ego_pose", f"sample_data {shown(row.token)}")
            content = self._content(row, modality)
            recordings.append(Recording(self._time(row, "sample_data"), self._pose(pose, "ego_pose"), content))
        kind: Literal["camera", "lidar", "radar"] = modality  # type: ignore[assignment]  # checked above
        mounting = self._pose(calibration, "calibrated_sensor")
        if kind != "camera":
            return Sensor(channel, kind, mounting, recordings)
        intrinsic = np.array(calibration.camera_intrinsic, dtype=np.float64)
        if intrinsic.shape != (3, 3) or abs(np.linalg.det(intrinsic)) < 1e-9:
            row_name = shown(calibration.token)
            raise InputError(f"{self._folder / 'calibrated_sensor'}.json: row {row_name}: no intrinsic 3x3 matrix")
        size_px = (rows[0].width, rows[0].height)
        return Sensor(channel, kind, mounting, recordings, intrinsic, size_px if all(size_px) else None)  # type: ignore[arg-type]

    def _pose(self, row: _PoseRow, table: str) -> FloatArray:
        if not is_orientation(row.rotation):
            raise InputError(f"{self._folder / table}.json: row {shown(row.token)}: no unit quaternion")
        return pose_matrix(row.translation, row.rotation)

    def _content(self, row: _SampleDataRow, modality: str) -> Content:
        where = f"{self._folder / 'sample_data'}.json: row {shown(row.token)}"
        root = self._folder.parent
        paths = [path_below(root, f"{place}{row.filename}", where) for place in _PLACES_OF_FILES]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            return Absent(".pcd.bin" if modality == "lidar" else Path(row.filename).suffix or ".jpg")
        if modality == "camera":
            return ImageFile(path, (row.width, row.height) if row.width and row.height else None)
        return PointFile(path, read_point_file) if path.suffix == ".pcd" and modality == "lidar" else PlainFile(path)

    def _labels(self, sample_token: str) -> Labels | None:
        rows = self._annotations_of_sample.get(sample_token)
        if rows is None:
            return None
        columns = BoxColumns()
        types, visibility, counts = [], [], []
        for row in rows:
            if row.instance_token not in self._type_of_instance:
                referrer = f"sample_annotation {shown(row.token)}"
                instance = shown(row.instance_token)
                raise InputError(f"{self._folder / 'instance'}.json: no row {instance}, to which {referrer} points")
            type_ = self._type_of_instance[row.instance_token]
            attribute = self._attribute(row, CATEGORIES.get(type_, type_))
            columns.add(row.translation, row.size, row.rotation, row.instance_token, attribute)
            types.append(type_)
            visibility.append(self._level_of_token.get(str(row.visibility_token), 0))
            known = row.num_lidar_pts is not None and row.num_lidar_pts >= 0
            counts.append(row.num_lidar_pts if known else POINTS_WITHOUT_CLOUD)
        return Labels(columns.boxes(np.eye(4)), types, visibility, num_lidar_pts=[count or 0 for count in counts])

    def _attribute(self, row: _AnnotationRow, category: str) -> str:
        """The first attribute that its class can have, here or in nuScenes."""
        possible = {*_attributes_of(category, self._taxonomy), *_attributes_of(category, NUSCENES)}
        names = (self._attribute_of_token.get(token, "") for token in row.attribute_tokens)
        return next((name for name in names if name in possible), "")


def _attributes_of(category: str, taxonomy: Taxonomy) -> Sequence[str]:
    label = taxonomy.label_of_category(category)
    return taxonomy.classes[label].attributes if label >= 0 else ()
