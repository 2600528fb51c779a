"""Reads your own recording: a folder of images or a video a camera, `calibration.yaml`, `ego.csv`, `boxes.csv`.

The ego frame has x ahead, y left, z up; its origin is where you measure from. Without `ego.csv` the rig stands still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenes.classes import CLASS_OF_CATEGORY
from scenes.conversion.clock import Unit, time_in_exif, time_in_name, timestamp_us
from scenes.conversion.contents import Content, DecodedImage, ImageFile, PointFile, path_below
from scenes.conversion.drive import (
    LIDAR_CHANNEL,
    MOST_POINTS,
    BoxColumns,
    Drive,
    DriveFrame,
    Labels,
    Recording,
    Sensor,
    check_name,
    check_numbers,
    is_orientation,
)
from scenes.conversion.file_order import files_in
from scenes.conversion.key_frames import check_times, nearest_indices, recordings_of_key_frames
from scenes.conversion.lens import COEFFICIENTS, DistortionModel, Lens
from scenes.conversion.point_files import SUFFIXES as POINT_SUFFIXES
from scenes.conversion.point_files import read_point_file
from scenes.conversion.pose_track import PoseTrack
from scenes.conversion.text_files import Record, read_records
from scenes.conversion.video_frames import SUFFIXES as VIDEO_SUFFIXES
from scenes.conversion.video_frames import VideoFrames
from scenes.conversion.yaml_text import read_yaml
from scenes.errors import InputError, shown, unknown_name
from scenes.geometry import FloatArray, pose_matrix, rotation_from_yaw
from scenes.image_size import image_size_px
from scenes.table_rows import Quaternion, Vector
from scenes.taxonomy import NUSCENES, Taxonomy

CALIBRATION: Final = "calibration.yaml"
EGO: Final = "ego.csv"
BOXES: Final = "boxes.csv"
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

CATEGORIES: Final = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "construction_vehicle": "vehicle.construction",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "barrier": "movable_object.barrier",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "pedestrian": "human.pedestrian.adult",
    "traffic_cone": "movable_object.trafficcone",
    **{category: category for category in CLASS_OF_CATEGORY},
}
"""What a box in boxes.csv can be: one of the ten classes, or of nuScenes' categories."""


def categories_of(taxonomy: Taxonomy) -> Mapping[str, str]:
    """What a box in boxes.csv can be, a class or a category, and the category that is written for it."""
    if taxonomy == NUSCENES:
        return CATEGORIES
    listed = {category: category for class_ in taxonomy.classes for category in class_.categories}
    return {name: taxonomy.classes[label].categories[0] for name, label in taxonomy.label_of.items()} | listed


CAMERA_AXES: Final = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""(3, 3) orientation of a camera that looks straight ahead: its x to the right, y down, z ahead."""

_LONGEST_EGO_GAP_US: Final = 1_000_000
_SLOWEST_HZ: Final = 0.01
_FASTEST_HZ: Final = 1000.0
_POSE_COLUMNS: Final = ("x", "y", "z", "qw", "qx", "qy", "qz")
_BOX_COLUMNS: Final = ("time", "object", "class", "x", "y", "z", "width", "length", "height", "yaw_rad")

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Rate = Annotated[float, msgspec.Meta(ge=_SLOWEST_HZ, le=_FASTEST_HZ)]
_Start = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
_Side = Annotated[int, msgspec.Meta(gt=0, le=65535)]
_Row = tuple[float, float, float]


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Pinhole(_Settings):
    fx: _Positive
    fy: _Positive
    cx: float
    cy: float


class _Distortion(_Settings):
    coefficients: list[float]
    model: DistortionModel = "pinhole"


class _Mounted(_Settings, kw_only=True):
    translation: Vector
    rotation: Quaternion | None = None
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


class CameraSettings(_Mounted, kw_only=True):
    """A camera of a calibration: where its images are, its lens, its mounting, and what its images' times are."""

    images: str
    intrinsic: _Pinhole | tuple[_Row, _Row, _Row]
    size: tuple[_Side, _Side] | None = None
    distortion: _Distortion | None = None
    rate: _Rate | None = None
    start: _Start = 0.0
    times: Literal["names", "exif"] = "names"


class _LidarSettings(_Mounted, kw_only=True):
    points: str
    fields: Annotated[int, msgspec.Meta(ge=3, le=32)] = 4


class Calibration(_Settings):
    """The content of a `calibration.yaml`."""

    cameras: dict[str, CameraSettings]
    lidar: _LidarSettings | None = None
    time_unit: Unit | None = None
    boxes: Literal["ego", "global"] = "ego"
    location: str = ""
    vehicle: str = ""


@dataclass(frozen=True)
class FolderSource:
    """A recording, or a folder of recordings."""

    path: Path
    format: str = "folder"
    version: str = "v1.0-folder"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return categories_of(self.taxonomy)

    def drives(self) -> list[str]:
        """The folder itself, by its name, or the folders in it that hold a calibration."""
        if (self.path / CALIBRATION).is_file():
            return [self.path.resolve().name]
        names = sorted(path.parent.name for path in self.path.glob(f"*/{CALIBRATION}"))
        if not names:
            raise InputError(
                f"{self.path / CALIBRATION}: missing; `convert_data folder {self.path} --init` writes one to fill in"
            )
        return names

    def files(self, name: str) -> list[Path]:
        return [self._root(name)]

    def read(self, name: str) -> Drive:
        return _RecordingReader(self._root(name), name, self.categories, self.taxonomy.attributes).drive()

    def _root(self, name: str) -> Path:
        return self.path if (self.path / CALIBRATION).is_file() else self.path / name


class _RecordingReader:
    def __init__(self, root: Path, name: str, categories: Mapping[str, str], attributes: Sequence[str]) -> None:
        self._root = root
        self._name = name
        self._categories = categories
        self._attributes = attributes
        self._path = root / CALIBRATION
        self._settings = read_calibration(self._path)
        self._unit = self._settings.time_unit
        self._ego = self._read_ego()

    def drive(self) -> Drive:
        cameras = [self._camera(name, settings) for name, settings in self._settings.cameras.items()]
        lidars = [] if self._settings.lidar is None else [self._lidar(self._settings.lidar)]
        sensors = [*lidars, *cameras]
        times_us = [recording.timestamp_us for recording in sensors[0].recordings]
        for sensor in sensors[1:]:
            self._check_that_they_meet(sensor, sensors[0])
        labels = self._labels(times_us)
        return Drive(
            name=self._name,
            sensors=sensors,
            frames=[DriveFrame(time, str(time), labels.get(index)) for index, time in enumerate(times_us)],
            description="own recording",
            location=self._settings.location,
            vehicle=self._settings.vehicle,
            ego_from_labels=np.eye(4) if self._settings.boxes == "ego" else None,
        )

    def _check_that_they_meet(self, sensor: Sensor, first: Sensor) -> None:
        """Refuse a sensor that recorded nothing near any frame: it would be in no key frame, without a word."""
        times_us, frames_us = (
            np.array([recording.timestamp_us for recording in one.recordings], dtype=np.int64)
            for one in (sensor, first)
        )
        if not recordings_of_key_frames(times_us, frames_us):
            ranges = [f"{1e-6 * times[0]:.3f} to {1e-6 * times[-1]:.3f} s" for times in (times_us, frames_us)]
            raise InputError(
                f"{self._path}: {sensor.modality} {sensor.channel}: its times, {ranges[0]}, meet none of "
                f"{first.modality} {first.channel}, {ranges[1]}; is a `start` wrong, or the `time_unit`?"
            )

    def _read_ego(self) -> PoseTrack | None:
        path = self._root / EGO
        if not path.is_file():
            return None
        times, poses = [], []
        for record in read_records(path, ("time", *_POSE_COLUMNS)):
            times.append(timestamp_us(record.text("time"), self._unit, f"{record.where}, time"))
            numbers = [record.number(name) for name in _POSE_COLUMNS]
            if not is_orientation(numbers[3:]):
                raise InputError(f"{record.where}: no unit quaternion qw, qx, qy, qz: {numbers[3:]}")
            poses.append(pose_matrix(numbers[:3], numbers[3:]))
        if not times:
            raise InputError(f"{path}: no poses")
        check_times(times, str(path))
        return PoseTrack(np.array(times), np.stack(poses), path, "us", _LONGEST_EGO_GAP_US)

    def _pose(self, time_us: int, what: str) -> FloatArray:
        return np.eye(4) if self._ego is None else self._ego.at(time_us, what)

    def _recordings(self, contents: Mapping[int, Content], what: str) -> list[Recording]:
        return [
            Recording(time, self._pose(time, f"a recording of {what}"), contents[time]) for time in sorted(contents)
        ]

    def _camera(self, name: str, settings: CameraSettings) -> Sensor:
        check_name(name, f"{self._path}: the camera")
        where = f"{self._path}: camera {name}"
        path = path_below(self._root, settings.images, where)
        if path.suffix.lower() in VIDEO_SUFFIXES:
            contents, size_px, lens = self._video(path, settings, where)
        else:
            contents, size_px, lens = self._images(path, settings, where)
        return Sensor(
            name,
            "camera",
            mounting(settings, CAMERA_AXES, where),
            self._recordings(contents, f"camera {name}"),
            lens.intrinsic,
            size_px,
        )

    def _images(
        self, folder: Path, settings: CameraSettings, where: str
    ) -> tuple[dict[int, Content], tuple[int, int], Lens]:
        paths = _files(folder, IMAGE_SUFFIXES, where)
        size_px = image_size_px(paths[0])
        lens = lens_of(settings, size_px, where)
        times = self._image_times(paths, settings)
        contents: dict[int, Content] = {}
        for path, time in zip(paths, times, strict=True):
            if time in contents:
                raise InputError(f"{path}: time {time} us is that of another image too")
            contents[time] = (
                DecodedImage(partial(_undistorted, path, lens), size_px, str(path))
                if lens.coefficients
                else ImageFile(path, size_px)
            )
        return contents, size_px, lens

    def _image_times(self, paths: Sequence[Path], settings: CameraSettings) -> list[int]:
        if settings.rate:
            return _counted_times(len(paths), settings.rate, settings.start)
        if settings.times == "exif":
            return [time_in_exif(path) for path in paths]
        return [time_in_name(path, self._unit) for path in paths]

    def _video(
        self, path: Path, settings: CameraSettings, where: str
    ) -> tuple[dict[int, Content], tuple[int, int], Lens]:
        video = VideoFrames(path)
        rate_hz = settings.rate or video.rate_hz
        if not _SLOWEST_HZ <= rate_hz <= _FASTEST_HZ:
            raise InputError(f"{path}: says nothing of its rate; give the camera's rate in {where}")
        lens = lens_of(settings, video.size_px, where)
        times = _counted_times(video.count, rate_hz, settings.start)
        contents: dict[int, Content] = {
            time: DecodedImage(partial(_video_frame, video, index, lens), video.size_px, f"{path}, frame {index}")
            for index, time in enumerate(times)
        }
        return contents, video.size_px, lens

    def _lidar(self, settings: _LidarSettings) -> Sensor:
        where = f"{self._path}: lidar"
        paths = _files(path_below(self._root, settings.points, where), POINT_SUFFIXES, where)
        read = partial(read_point_file, fields=settings.fields)
        contents: dict[int, Content] = {time_in_name(path, self._unit): PointFile(path, read) for path in paths}
        if len(contents) < len(paths):
            raise InputError(f"{where}: two files of {paths[0].parent} have the same time")
        ego_from_lidar = mounting(settings, np.eye(3), where)
        return Sensor(LIDAR_CHANNEL, "lidar", ego_from_lidar, self._recordings(contents, "the lidar"))

    def _labels(self, times_us: Sequence[int]) -> dict[int, Labels]:
        """The labels by the index of their frame."""
        path = self._root / BOXES
        if not path.is_file():
            return {}
        times = np.array(times_us, dtype=np.int64)
        columns: dict[int, BoxColumns] = {}
        types: dict[int, list[str]] = {}
        points: dict[int, list[int]] = {}
        with_points = False
        line_of: dict[tuple[int, str], int] = {}
        for record in read_records(path, _BOX_COLUMNS, ("attribute", "points")):
            index = _frame_of(record, times, self._unit)
            object_ = record.text("object")
            if (line := line_of.setdefault((index, object_), record.line.number)) != record.line.number:
                raise InputError(f"{record.where}, object: {shown(object_)} is in this frame already, in line {line}")
            type_ = self._add_box(record, columns.setdefault(index, BoxColumns()))
            types.setdefault(index, []).append(type_)
            with_points = "points" in record.column_of
            if with_points:
                points.setdefault(index, []).append(_points_of(record))
        return {
            index: Labels(
                boxes.boxes(
                    self._pose(times_us[index], "a labelled frame") if self._settings.boxes == "ego" else np.eye(4)
                ),
                types[index],
                num_lidar_pts=points[index] if with_points else None,
            )
            for index, boxes in columns.items()
        }

    def _add_box(self, record: Record, boxes: BoxColumns) -> str:
        """Add the box of a line to those of its frame; returns its type."""
        type_ = record.text("class")
        if type_ not in self._categories:
            raise InputError(f"{record.where}, class: {unknown_name(type_, list(self._categories))}")
        attribute = record.text("attribute")
        if attribute not in ("", *self._attributes):
            raise InputError(f"{record.where}, attribute: {unknown_name(attribute, self._attributes)}")
        size = [record.number(name) for name in ("width", "length", "height")]
        if min(size) <= 0:
            raise InputError(f"{record.where}: a box of width, length, height {size}")
        center = [record.number(name) for name in ("x", "y", "z")]
        check_numbers(np.array([*center, *size]), f"{record.where}: the box")
        boxes.add(center, size, rotation_from_yaw(record.number("yaw_rad"))[0], record.text("object"), attribute)
        return type_


def read_calibration(path: Path) -> Calibration:
    """What a `calibration.yaml` says.

    Raises:
        InputError: it cannot be read, or has no cameras.
    """
    content = read_yaml(path)
    try:
        settings = msgspec.convert(content, Calibration)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_fault_of_camera(content) or error}") from None
    if not settings.cameras:
        raise InputError(f"{path}: no cameras")
    return settings


def _fault_of_camera(content: Any) -> str:
    """What is wrong with a camera, by its name, which msgspec does not tell; "" where nothing is."""
    cameras = content.get("cameras") if isinstance(content, dict) else None
    for name, camera in cameras.items() if isinstance(cameras, dict) else ():
        if not isinstance(name, str):
            return f"cameras: the name {name} is no text; write it in quotes"
        try:
            msgspec.convert(camera, CameraSettings)
        except msgspec.ValidationError as error:
            return f"camera {name}: {error}"
    return ""


def lens_of(settings: CameraSettings, size_px: tuple[int, int], where: str) -> Lens:
    """The lens of a camera.

    Args:
        settings: of the camera. size_px: width and height of its images. where: in messages.

    Raises:
        InputError: the calibration is of images of another size, or its distortion cannot be.
    """
    if settings.size and tuple(settings.size) != size_px:
        raise InputError(f"{where}: images of {size_px} pixels, where the calibration is of {settings.size}")
    intrinsic = _matrix_of(settings.intrinsic, where)
    check_numbers(intrinsic, f"{where}: intrinsic")
    distortion = settings.distortion or _Distortion([])
    if settings.distortion and len(distortion.coefficients) not in COEFFICIENTS[distortion.model]:
        counts = " or ".join(map(str, COEFFICIENTS[distortion.model]))
        raise InputError(f"{where}: {len(distortion.coefficients)} distortion coefficients, expected {counts}")
    return Lens(intrinsic, size_px, distortion.model, distortion.coefficients)


def _matrix_of(intrinsic: _Pinhole | tuple[_Row, _Row, _Row], where: str) -> FloatArray:
    """The (3, 3) matrix, given as such or by its four numbers."""
    if isinstance(intrinsic, _Pinhole):
        rows = ((intrinsic.fx, 0.0, intrinsic.cx), (0.0, intrinsic.fy, intrinsic.cy), (0.0, 0.0, 1.0))
        return np.array(rows)
    matrix: FloatArray = np.array(intrinsic, dtype=np.float64)
    if matrix[2].tolist() != [0, 0, 1] or matrix[1, 0] or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise InputError(f"{where}: intrinsic is no matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: {matrix.tolist()}")
    if matrix[0, 1]:
        raise InputError(f"{where}: intrinsic has the skew {matrix[0, 1]:g}; only lenses without one are taken")
    return matrix


def mounting(settings: _Mounted, axes: FloatArray, where: str) -> FloatArray:
    """The (4, 4) pose `ego_from_sensor`.

    Args:
        settings: a quaternion, or the angles of where the sensor looks: to the left, down, and tilted to the right.
        axes: (3, 3) orientation of a sensor with all angles 0.
        where: in messages.
    """
    angles = (settings.yaw_deg, settings.pitch_deg, settings.roll_deg)
    check_numbers(np.array([settings.translation]), f"{where}: translation")
    pose = np.eye(4)
    pose[:3, 3] = settings.translation
    if settings.rotation is None:
        pose[:3, :3] = Rotation.from_euler("ZYX", angles, degrees=True).as_matrix() @ axes
        return pose
    if any(angles):
        raise InputError(f"{where}: both a rotation and angles")
    if not is_orientation(settings.rotation):
        raise InputError(f"{where}: no unit quaternion w, x, y, z: {list(settings.rotation)}")
    return pose_matrix(settings.translation, settings.rotation)


def _files(folder: Path, suffixes: Sequence[str], where: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{where}: {folder} is no folder{' and no video' if suffixes is IMAGE_SUFFIXES else ''}")
    paths = files_in(folder, suffixes)
    if not paths:
        raise InputError(f"{where}: no files {', '.join(suffixes)} in {folder}")
    return paths


def _counted_times(count: int, rate_hz: float, start_s: float) -> list[int]:
    return [round(1e6 * (start_s + index / rate_hz)) for index in range(count)]


def _undistorted(path: Path, lens: Lens) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: cannot be decoded")
    return lens.undistort(np.asarray(image, dtype=np.uint8))


def _video_frame(video: VideoFrames, index: int, lens: Lens) -> NDArray[np.uint8]:
    image = video.frame(index)
    return lens.undistort(image) if lens.coefficients else image


def _points_of(record: Record) -> int:
    points = record.line.integer_at(record.column_of["points"], "points")
    if not 0 <= points <= MOST_POINTS:
        raise InputError(f"{record.where}, points: {points} are no number of points")
    return points


def _frame_of(record: Record, times_us: NDArray[np.int64], unit: Unit | None) -> int:
    """The index of the frame at the time of a box: no farther than half the way to the next."""
    time = timestamp_us(record.text("time"), unit, f"{record.where}, time")
    index = int(nearest_indices(times_us, np.array([time]))[0])
    gap_us = int(np.median(np.diff(times_us))) if len(times_us) > 1 else _LONGEST_EGO_GAP_US
    if abs(int(times_us[index]) - time) > gap_us // 2 + 1:
        first, last = int(times_us[0]), int(times_us[-1])
        raise InputError(
            f"{record.where}, time: no frame at {record.text('time')} ({time} us; frames from {first} to {last} us)"
        )
    return index
