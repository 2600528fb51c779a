"""Reads logs that py123d has converted to Arrow: of nuPlan, Waymo, KITTI-360, PandaSet, CARLA and others.

A log is a folder with `sync.arrow` and a file for each kind of data. Boxes are in its global frame; the ego frame is
the IMU's, and points are in it. Needs the extra `py123d`. Source: py123d 0.7 (`py123d.api.scene.arrow`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from scenes.conversion.argoverse2 import CATEGORIES as ARGOVERSE2_CATEGORIES
from scenes.conversion.contents import Absent, Content, DecodedImage, ImageFile, PointArray, PointCloud, path_below
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
from scenes.conversion.folder import CATEGORIES as CATEGORY_OF_CLASS
from scenes.conversion.lens import Lens
from scenes.conversion.pandaset import CATEGORIES as PANDASET_CATEGORIES
from scenes.conversion.pose_track import PoseTrack
from scenes.errors import InputError
from scenes.geometry import FloatArray, invert_pose, pose_matrix
from scenes.taxonomy import NUSCENES, Taxonomy


def _label_name(name: str) -> str:
    """How py123d writes a data set's own name of a type: in capitals, joined by underscores."""
    return re.sub(r"\W+", "_", name).upper()


CATEGORIES: Final = {
    **{
        _label_name(name): category
        for names in (PANDASET_CATEGORIES, CATEGORY_OF_CLASS, ARGOVERSE2_CATEGORIES)
        for name, category in names.items()
    },
    "AUTOMOBILE": "vehicle.car",
    "VEHICLE": "vehicle.car",
    "TYPE_VEHICLE": "vehicle.car",
    "HEAVY_TRUCK": "vehicle.truck",
    "VEHICLE_BUS": "vehicle.bus.rigid",
    "TROLLEY_BUS": "vehicle.bus.rigid",
    "CARAVAN": "vehicle.trailer",
    "TYPE_CYCLIST": "vehicle.bicycle",
    "PERSON": "human.pedestrian.adult",
    "HUMAN": "human.pedestrian.adult",
    "HUMAN_PEDESTRIAN": "human.pedestrian.adult",
    "TYPE_PEDESTRIAN": "human.pedestrian.adult",
    "OTHER_TRAFFICCONE": "movable_object.trafficcone",
    "CONSTRUCTION_TRAFFIC_CONE": "movable_object.trafficcone",
    "PYLONS": "movable_object.trafficcone",
}
"""nuScenes categories of the labels of py123d's data sets. Of Waymo's and nuPlan's vehicles nobody says which are
trucks: all are cars. Riders beside their cycles, signs, poles and the like have none."""

_SYNC: Final = "sync.arrow"
_LOG_FOLDERS: Final = ("", "*/", "*/*/", "*/*/*/")
_EGO: Final = "ego_state_se3"
_BOXES: Final = "box_detections_se3"
_LIDARS: Final = ("lidar.lidar_merged", "lidar.lidar_top")
"""Which of several lidars gives a frame its points."""
_LONGEST_EGO_GAP_US: Final = 1_000_000
_PACKAGE: Final = "py123d"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Py123dSource:
    """A folder of logs: py123d's data root, its logs, one split, or one log."""

    path: Path
    format: str = "py123d"
    version: str = "v1.0-py123d"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return CATEGORIES

    def drives(self) -> list[str]:
        """The names of the logs."""
        names = sorted(self._logs)
        if not names:
            raise InputError(f"{self.path}: no folder with {_SYNC} in it; expected logs that py123d-conversion wrote")
        return names

    @cached_property
    def _logs(self) -> dict[str, Path]:
        """The folders of the logs, by name; large data roots have thousands."""
        found: dict[str, Path] = {}
        for depth in _LOG_FOLDERS:
            for path in sorted(self.path.glob(f"{depth}{_SYNC}")):
                log = path.resolve().parent
                if log.name in found:
                    raise InputError(f"{log}: has the name of {found[log.name]}; convert one split at a time")
                found[log.name] = log
        return found

    def files(self, name: str) -> list[Path]:
        """The log; images that lie elsewhere do not count."""
        return [self._logs[name]]

    def read(self, name: str) -> Drive:
        return _LogReader(self._logs[name]).drive()


class _LogReader:
    def __init__(self, log: Path) -> None:
        from py123d.api.utils.arrow_metadata_utils import parse_log_directory_metadata

        logging.getLogger(_PACKAGE).setLevel(logging.ERROR)  # of what it passes over an error will tell
        self._log = log
        paths = sorted(log.glob("*.arrow"))
        for path in paths:
            _check_label_classes(path)
        found = _asked(log / _SYNC, lambda: parse_log_directory_metadata(log))
        self._about = found.log_metadata
        self._metadata: Mapping[str, Any] = found.modality_metadatas
        if skipped := [path for path in paths if path.name != "map.arrow" and not self._knows(path)]:
            raise InputError(f"{skipped[0]}: cannot be read by this version of py123d")
        self._ego = self._read_ego()

    def _knows(self, path: Path) -> bool:
        return path.name == _SYNC or path.stem in self._metadata

    def drive(self) -> Drive:
        times_us = self._times("sync")
        labels = self._labels()
        rows = self._rows_of_frames(_BOXES, len(times_us))
        sensors, left_out = self._lidars(times_us), []
        for key, metadata in self._of_kind("camera."):
            if _is_pinhole(metadata):
                sensors.append(self._camera(key, metadata))
            else:
                left_out.append(f"{key.removeprefix('camera.')} ({metadata.camera_model.serialize()})")
        without = f", without its cameras {', '.join(left_out)}" if left_out else ""
        return Drive(
            name=self._log.name,
            sensors=sensors,
            frames=[
                DriveFrame(time, str(time), None if row is None else labels[row])
                for time, row in zip(times_us, rows, strict=True)
            ],
            description=f"{self._about.dataset} by py123d {self._about.version}{without}",
            location=self._about.location or "",
            vehicle=self._metadata[_EGO].vehicle_name,
        )

    def _of_kind(self, prefix: str) -> list[tuple[str, Any]]:
        return [(key, metadata) for key, metadata in self._metadata.items() if key.startswith(prefix)]

    def _column(self, key: str, name: str) -> list[Any]:
        """A column of the table of a modality, or of the table of frames."""
        path = self._log / f"{key}.arrow"
        columns = _columns(path)
        if name not in columns:
            raise InputError(f"{path}: no column {name}")
        values: list[Any] = _asked(path, lambda: _table(path)[name].to_pylist())
        return values

    def _times(self, key: str) -> list[int]:
        times = self._column(key, f"{key}.timestamp_us")
        if None in times:
            raise InputError(f"{self._log / key}.arrow, row {times.index(None)}: no time")
        return times

    def _read_ego(self) -> PoseTrack:
        path = self._log / f"{_EGO}.arrow"
        if _EGO not in self._metadata:
            raise InputError(f"{path}: missing; nothing says where the vehicle was")
        times = self._times(_EGO)
        if not times:
            raise InputError(f"{path}: no poses")
        rows = self._column(_EGO, f"{_EGO}.imu_se3")
        poses = [_pose(values, f"{path}, row {row}") for row, values in enumerate(rows)]
        return PoseTrack(np.array(times, dtype=np.int64), np.stack(poses), path, "us", _LONGEST_EGO_GAP_US)

    def _rows_of_frames(self, key: str, frames: int) -> list[int | None]:
        """The row of each frame in the table of a modality."""
        if key not in _columns(self._log / _SYNC):
            return [None] * frames
        rows: list[int | None] = self._column("sync", key)
        path = self._log / f"{key}.arrow"
        count = _table(path).num_rows if key in self._metadata else 0
        if any(row is not None and not 0 <= row < count for row in rows):
            raise InputError(f"{path}: {count} rows, fewer than {_SYNC} has of it")
        return rows

    def _labels(self) -> list[Labels]:
        """The labels of each row of the boxes' table."""
        if _BOXES not in self._metadata:
            return []
        from py123d.api.scene.arrow.modalities.arrow_box_detections_se3 import ArrowBoxDetectionsSE3Reader

        path = self._log / f"{_BOXES}.arrow"
        table, metadata = _table(path), self._metadata[_BOXES]
        read = partial(ArrowBoxDetectionsSE3Reader.read_at_index, table=table, metadata=metadata, dataset="")
        return [_labels(_asked(path, partial(read, row)), f"{path}, row {row}") for row in range(table.num_rows)]

    def _lidars(self, frame_times_us: Sequence[int]) -> list[Sensor]:
        """The lidars; the first has a recording of every frame, of which the file is absent where there is no sweep."""
        keys = [key for key, _ in self._of_kind("lidar.")]
        if _LIDARS[0] in keys:
            keys = [_LIDARS[0]]  # in which all the others are
        top = next((key for key in _LIDARS if key in keys), keys[0] if keys else "")
        rows = self._rows_of_frames(top, len(frame_times_us))
        bare: dict[int, Content] = {
            time: Absent(".pcd.bin") for time, row in zip(frame_times_us, rows, strict=True) if row is None
        }
        first = self._lidar(LIDAR_CHANNEL, bare | self._sweeps(top) if top else bare)
        return [first, *(self._lidar(key.removeprefix("lidar."), self._sweeps(key)) for key in keys if key != top)]

    def _sweeps(self, key: str) -> dict[int, Content]:
        return {time: _Sweep(self._log, key, row) for row, time in enumerate(self._times(key))}

    def _lidar(self, channel: str, contents: Mapping[int, Content]) -> Sensor:
        recordings = [
            Recording(time, self._ego.at(time, f"a sweep of {channel}"), content)
            for time, content in sorted(contents.items())
        ]
        return Sensor(channel, "lidar", np.eye(4), recordings)

    def _camera(self, key: str, metadata: Any) -> Sensor:
        where = f"{self._log / key}.arrow"
        ego_from_camera = pose_matrix(*_place_and_turn(metadata.camera_to_imu_se3.tolist(), where))
        size_px = (metadata.width, metadata.height)
        is_distorted = metadata.distortion is not None and metadata.is_distorted
        coefficients = metadata.distortion.tolist() if is_distorted else []
        lens = Lens(metadata.intrinsics.camera_matrix, size_px, "pinhole", coefficients if any(coefficients) else [])
        recordings = []
        poses, data = self._column(key, f"{key}.camera_to_global_se3"), self._images(key)
        for row, time in enumerate(self._times(key)):
            global_from_ego = (
                self._ego.at(time, f"an image of {key}")  # py123d may leave the camera's pose to that of the vehicle
                if poses[row] is None
                else _pose(poses[row], f"{where}, row {row}") @ invert_pose(ego_from_camera)
            )
            if data[row]:
                recordings.append(Recording(time, global_from_ego, self._image(key, row, data[row], lens)))
        return Sensor(
            metadata.camera_name, "camera", ego_from_camera, recordings, metadata.intrinsics.camera_matrix, size_px
        )

    def _images(self, key: str) -> list[str | bool | None]:
        """The path of each image; of images that the log holds itself, which may be gigabytes, whether it does."""
        import pyarrow

        path, name = self._log / f"{key}.arrow", f"{key}.data"
        if name not in _columns(path):
            raise InputError(f"{path}: no column {name}")
        column = _table(path)[name]
        named = column if pyarrow.types.is_string(column.type) else column.is_valid()
        values: list[str | bool | None] = _asked(path, named.to_pylist)
        return values

    def _image(self, key: str, row: int, data: str | bool | None, lens: Lens) -> Content:
        where = f"{self._log / key}.arrow, row {row}"
        if isinstance(data, str):
            path = path_below(self._sensor_root(), data, where)
            if not lens.coefficients:
                return ImageFile(path, lens.size_px)
            if not path.is_file():
                raise InputError(f"{path}: no such file, which {where} names")
        return DecodedImage(partial(_pixels, self._log, key, row, lens), lens.size_px, where)

    def _sensor_root(self) -> Path:
        from py123d.common.runtime import get_dataset_paths

        root = get_dataset_paths().get_sensor_root(self._about.dataset)
        if root is None:
            raise InputError(
                f"{self._log}: its images lie in the folder of {self._about.dataset}; set the variable that py123d "
                "takes it from, such as PANDASET_DATA_ROOT"
            )
        return Path(root)


@dataclass(frozen=True)
class _Sweep(PointCloud):
    """A row of a lidar's table."""

    log: Path
    key: str
    row: int

    def points(self) -> PointArray:
        from py123d.api.scene.arrow.modalities.arrow_lidar import ArrowLidarReader

        lidar = _read(ArrowLidarReader, self.log, self.key, self.row)
        points = np.zeros((len(lidar.point_cloud_3d), 5), dtype=np.float32)
        points[:, :3] = lidar.point_cloud_3d
        for column, values in ((3, lidar.intensity), (4, lidar.channel)):
            if values is not None:
                points[:, column] = values
        finite: PointArray = points[np.isfinite(points[:, :3]).all(axis=1)]
        return finite


def _pixels(log: Path, key: str, row: int, lens: Lens) -> NDArray[np.uint8]:
    """The pixels of an image, blue, green, red."""
    from py123d.api.scene.arrow.modalities.arrow_camera import ArrowCameraReader

    image = np.ascontiguousarray(_read(ArrowCameraReader, log, key, row).rgb_image[..., ::-1], dtype=np.uint8)
    return lens.undistort(image) if lens.coefficients else image


def _read(reader: Any, log: Path, key: str, row: int) -> Any:
    """What one row of a modality's table holds."""
    from py123d.api.utils.arrow_metadata_utils import parse_log_directory_metadata

    path = log / f"{key}.arrow"
    found = parse_log_directory_metadata(log)
    read = partial(reader.read_at_index, row, _table(path), found.modality_metadatas[key], found.log_metadata.dataset)
    content = _asked(path, partial(read, log_dir=log), f", row {row}")
    if content is None:
        raise InputError(f"{path}, row {row}: empty")
    return content


def _is_pinhole(metadata: Any) -> bool:
    from py123d.datatypes.sensors.base_camera import CameraModel

    return metadata.camera_model == CameraModel.PINHOLE and metadata.intrinsics is not None


def _labels(found: Any, where: str) -> Labels:
    columns = BoxColumns()
    if found is None:
        raise InputError(f"{where}: columns are missing")
    for detection in found:
        box = detection.bounding_box_se3
        place, turn = _place_and_turn(box.center_se3.tolist(), where)
        columns.add(place, (box.width, box.length, box.height), turn, str(detection.attributes.track_token))
    counts = [detection.attributes.num_lidar_points for detection in found]
    return Labels(
        columns.boxes(np.eye(4)),
        [detection.attributes.label.name for detection in found],
        num_lidar_pts=None if None in counts else counts,
    )


def _place_and_turn(values: Sequence[float] | None, where: str) -> tuple[Sequence[float], Sequence[float]]:
    """x, y, z and the quaternion w, x, y, z of a pose."""
    if values is None or not is_orientation(values[3:7]):
        raise InputError(f"{where}: no pose with a unit quaternion: {values}")
    return values[:3], values[3:7]


def _pose(values: Sequence[float] | None, where: str) -> FloatArray:
    return pose_matrix(*_place_and_turn(values, where))


def _table(path: Path) -> Any:
    from py123d.api.utils.arrow_helper import get_lru_cached_arrow_table

    return _asked(path, lambda: get_lru_cached_arrow_table(path))


def _columns(path: Path) -> list[str]:
    names: list[str] = _asked(path, lambda: _table(path).column_names)
    return names


def _asked(path: Path, ask: Callable[[], _T], record: str = "") -> _T:
    """What py123d answers.

    Raises:
        InputError: it does not: its readers raise what pyarrow, OpenCV and msgpack raise of broken files, and
            assertions.
    """
    try:
        return ask()
    except (InputError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}{record}: cannot be read (is it cut off?): {reason}") from None


def _check_label_classes(path: Path) -> None:
    """Refuse a file that names classes of labels outside py123d: reading it imports their module.

    Raises:
        InputError: it does, or it is no Arrow file.
    """
    import pyarrow

    with _asked(path, lambda: pyarrow.memory_map(str(path), "rb")) as file:
        schema = _asked(path, lambda: pyarrow.ipc.open_file(file).schema)
    packed = (schema.metadata or {}).get(b"metadata", b"\x80")
    for name in _label_classes(_asked(path, lambda: msgspec.msgpack.decode(packed, strict=False))):
        if "." in name and name.split(".")[0] != _PACKAGE:
            raise InputError(f"{path}: the class of labels {name!r} is none of py123d's")


def _label_classes(metadata: Any) -> list[str]:
    """The names of classes of labels anywhere in a file's metadata."""
    if not isinstance(metadata, dict):
        return []
    here = [value for key, value in metadata.items() if str(key).endswith("_label_class") and isinstance(value, str)]
    return here + [name for value in metadata.values() for name in _label_classes(value)]
