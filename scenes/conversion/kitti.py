"""Reads KITTI tracking sequences: label_02, calib, oxts and, if there, image_02, image_03 and velodyne.

The ego frame is that of the GPS/IMU unit (x ahead, y left, z up); the global frame has its origin at the first position
of a sequence, x to the east, y to the north. Source: the KITTI tracking and object development kits (Geiger et al.,
CVPR 2012), readme.txt and the oxts pose arithmetic (`convertOxtsToPose`, Mercator projection).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from scenes.conversion.contents import Absent, Content, ImageFile, PointArray, PointFile
from scenes.conversion.drive import LIDAR_CHANNEL, BoxColumns, Drive, DriveFrame, Labels, Recording, Sensor
from scenes.conversion.text_files import Line, read_lines
from scenes.errors import InputError, unknown_name
from scenes.geometry import FloatArray, invert_pose
from scenes.image_size import image_size_px
from scenes.taxonomy import NUSCENES, Taxonomy

CATEGORIES: Final = {
    "Car": "vehicle.car",
    "Van": "vehicle.car",
    "Truck": "vehicle.truck",
    "Pedestrian": "human.pedestrian.adult",
    "Person": "human.pedestrian.adult",
    "Person_sitting": "human.pedestrian.adult",
    "Cyclist": "vehicle.bicycle",
}
"""nuScenes categories of KITTI's types; Tram and Misc have none."""

REGION_TYPE: Final = "DontCare"
"""Type of the labels that are regions of the image, without a box in space."""

_TYPES: Final = (*CATEGORIES, "Tram", "Misc", REGION_TYPE)
_ATTRIBUTES: Final = {
    "Cyclist": "cycle.with_rider",
    "Person": "pedestrian.sitting_lying_down",
    "Person_sitting": "pedestrian.sitting_lying_down",
}
_VISIBILITY: Final = {0: 4, 1: 3, 2: 1, 3: 0}
"""nuScenes' level for KITTI's occlusion: none, part, largely, unknown."""

FRAME_INTERVAL_US: Final = 100_000
"""Frames are numbered, not timed: 10 Hz."""

_EPOCH_US: Final = 1_317_000_000_000_000
"""A moment of the recording days; sequences follow one another from here, an hour apart."""
_SEQUENCE_INTERVAL_US: Final = 3_600_000_000

_SIZE_OF_FOCAL_LENGTH: Final = {
    721.5377: (1242, 375),
    707.0493: (1224, 370),
    718.3351: (1238, 374),
    707.0912: (1226, 370),
    718.856: (1241, 376),
}
"""Image size of the rectified cameras of each recording day, which has its own focal length."""

_CAMERAS: Final = {"image_02": "P2", "image_03": "P3"}
_EARTH_RADIUS_M: Final = 6378137.0
_LABEL_FIELDS: Final = 17
_OXTS_FIELDS: Final = 30


@dataclass(frozen=True)
class KittiSource:
    """A folder of KITTI tracking sequences."""

    path: Path
    format: str = "kitti"
    version: str = "v1.0-kitti"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return CATEGORIES

    def drives(self) -> list[str]:
        """The sequences; each needs its file in calib, oxts and, where there are labels, label_02."""
        needed = ["calib", "oxts", *(["label_02"] if (self.path / "label_02").is_dir() else [])]
        if missing := [name for name in needed if not (self.path / name).is_dir()]:
            raise InputError(f"{self.path / missing[0]}: no such folder; expected label_02, calib and oxts")
        names = sorted({path.stem for folder in needed for path in (self.path / folder).glob("*.txt")})
        if not names:
            raise InputError(f"{self.path}: no sequences in {', '.join(needed)}")
        for name in names:
            for folder in needed:
                if not (path := self.path / folder / f"{name}.txt").is_file():
                    raise InputError(f"{path}: missing, while other files of sequence {name} are there")
        return names

    def files(self, name: str) -> list[Path]:
        texts = [self.path / folder / f"{name}.txt" for folder in ("calib", "oxts", "label_02")]
        return texts + [self.path / folder / name for folder in (*_CAMERAS, "velodyne")]

    def read(self, name: str) -> Drive:
        return _SequenceReader(self.path, name).drive()


@dataclass(frozen=True)
class Calibration:
    """The calibration of a sequence.

    Attributes:
        projection: (3, 4) of each camera, P0 to P3, from rectified coordinates.
        rectified_from_velodyne, velodyne_from_imu: (4, 4).
    """

    projection: Mapping[str, FloatArray]
    rectified_from_velodyne: FloatArray
    velodyne_from_imu: FloatArray

    @property
    def imu_from_rectified(self) -> FloatArray:
        """(4, 4) pose of the frame of the labels in the ego frame."""
        return invert_pose(self.rectified_from_velodyne @ self.velodyne_from_imu)

    def camera(self, name: str) -> tuple[FloatArray, FloatArray]:
        """The (3, 3) intrinsic of a camera and the (4, 4) pose `rectified_from_camera`, the rest of P."""
        projection = self.projection[name]
        rectified_from_camera = np.eye(4)
        rectified_from_camera[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
        return projection[:, :3], rectified_from_camera


def read_calibration(path: Path) -> Calibration:
    """Read a file of `calib`, with the keys of the tracking or of the object development kit.

    Raises:
        InputError: it is missing, a matrix is missing or has another size or is no rotation.
    """
    found: dict[str, Line] = {line.fields[0].rstrip(":"): line for line in read_lines(path)}

    def matrix(shape: tuple[int, int], *names: str) -> FloatArray:
        name = next((name for name in names if name in found), None)
        if name is None:
            raise InputError(f"{path}: no {' or '.join(names)}")
        line = found[name]
        line.expect(1 + shape[0] * shape[1])
        return np.array(line.numbers(1, [name] * (shape[0] * shape[1]))).reshape(shape)

    def pose(values: FloatArray, name: str) -> FloatArray:
        full = np.eye(4)
        full[:3, : values.shape[1]] = values
        left, stretch, right = np.linalg.svd(full[:3, :3])
        if np.abs(stretch - 1).max() > 0.01 or np.linalg.det(left @ right) < 0:
            raise InputError(f"{path}: {name} holds no rotation")
        full[:3, :3] = left @ right  # of seven written digits the nearest rotation
        return full

    projection = {name: matrix((3, 4), name) for name in ("P0", "P1", "P2", "P3")}
    for name, values in projection.items():
        if abs(np.linalg.det(values[:, :3])) < 1e-9 or values[2, :3].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"{path}: {name} is no projection of a rectified camera")
    rectification = pose(matrix((3, 3), "R0_rect", "R_rect"), "R0_rect")
    camera_from_velodyne = pose(matrix((3, 4), "Tr_velo_to_cam", "Tr_velo_cam"), "Tr_velo_to_cam")
    velodyne_from_imu = pose(matrix((3, 4), "Tr_imu_to_velo", "Tr_imu_velo"), "Tr_imu_to_velo")
    return Calibration(projection, rectification @ camera_from_velodyne, velodyne_from_imu)


def read_oxts(path: Path) -> list[FloatArray]:
    """The (4, 4) pose of the GPS/IMU unit of each frame; the origin is the first position.

    Raises:
        InputError: the file is missing or empty, or a line is cut off or holds no position.
    """
    positions, angles = [], []
    scale = 0.0
    for line in read_lines(path):
        line.expect(_OXTS_FIELDS)
        latitude, longitude, altitude, *turn = line.numbers(0, ("lat", "lon", "alt", "roll", "pitch", "yaw"))
        if abs(latitude) >= 90 or abs(longitude) > 360 or max(map(abs, turn)) > 2 * math.pi:
            raise InputError(f"{line.where}: {line.fields[:6]} are no degrees north, degrees east, metres and radians")
        scale = scale or math.cos(math.radians(latitude))
        northward = math.log(math.tan(math.radians(90 + latitude) / 2))
        positions.append((math.radians(longitude), northward, altitude))
        angles.append(turn)
    if not positions:
        raise InputError(f"{path}: no frames")
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    poses[:, :3, 3] = (np.array(positions) - positions[0]) * [scale * _EARTH_RADIUS_M, scale * _EARTH_RADIUS_M, 1.0]
    return list(poses)


def rotation_from_ry(ry_rad: float) -> tuple[float, float, float, float]:
    """Quaternion wxyz of a box (x ahead, y left, z up) in rectified camera coordinates, ry about +y, 0 along +x.

    A quarter turn about x sets the box upright, then ry turns it.
    """
    cosine, sine = math.sqrt(0.5) * math.cos(0.5 * ry_rad), math.sqrt(0.5) * math.sin(0.5 * ry_rad)
    return cosine, cosine, sine, -sine


def center_from_bottom(location_m: Sequence[float], height_m: float) -> list[float]:
    """The centre of a box of which KITTI gives the centre of the bottom face; the camera's y points down."""
    x, y, z = location_m
    return [x, y - 0.5 * height_m, z]


def read_velodyne(path: Path) -> PointArray:
    """The points of a sweep, reflectance as 0 to 255, without ring.

    Raises:
        InputError: the file does not hold whole points.
    """
    size = path.stat().st_size
    if size % 16:
        raise InputError(f"{path}: {size} bytes are no points of 16 bytes (is the file cut off?)")
    values = np.fromfile(path, dtype="<f4").reshape(-1, 4)
    points = np.zeros((len(values), 5), dtype=np.float32)
    points[:, :3], points[:, 3] = values[:, :3], 255 * values[:, 3]
    return points


class _SequenceReader:
    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._calibration = read_calibration(root / "calib" / f"{name}.txt")
        self._poses = read_oxts(root / "oxts" / f"{name}.txt")

    def drive(self) -> Drive:
        start_us = _EPOCH_US + _SEQUENCE_INTERVAL_US * (int(self._name) if self._name.isdecimal() else 0)
        times_us = [start_us + FRAME_INTERVAL_US * frame for frame in range(len(self._poses))]
        labels = self._labels()
        return Drive(
            name=self._name,
            sensors=[self._lidar(times_us), *self._cameras(times_us)],
            frames=[
                DriveFrame(timestamp_us, str(frame), labels[frame] if labels else None)
                for frame, timestamp_us in enumerate(times_us)
            ],
            description=f"KITTI tracking sequence {self._name}",
            location="karlsruhe",
            ego_from_labels=self._calibration.imu_from_rectified,
        )

    def _recordings(self, contents: Sequence[Content], times_us: Sequence[int]) -> list[Recording]:
        return [Recording(*row) for row in zip(times_us, self._poses, contents, strict=True)]

    def _lidar(self, times_us: Sequence[int]) -> Sensor:
        folder = self._root / "velodyne" / self._name
        # Of some sequences a few sweeps were never published.
        paths = [folder / f"{frame:06d}.bin" for frame in range(len(times_us))]
        if (self._root / "velodyne").is_dir() and not any(path.is_file() for path in paths):
            raise InputError(f"{folder}: no sweeps, such as {paths[0].name}")
        contents = [PointFile(path, read_velodyne) if path.is_file() else Absent(".pcd.bin") for path in paths]
        mounting = invert_pose(self._calibration.velodyne_from_imu)
        return Sensor(LIDAR_CHANNEL, "lidar", mounting, self._recordings(contents, times_us))

    def _cameras(self, times_us: Sequence[int]) -> list[Sensor]:
        """The left colour camera, to which the labels belong, and the right one where it has images."""
        names = [name for name in _CAMERAS if name == "image_02" or (self._root / name).is_dir()]
        return [self._camera(name, times_us) for name in names]

    def _camera(self, name: str, times_us: Sequence[int]) -> Sensor:
        intrinsic, rectified_from_camera = self._calibration.camera(_CAMERAS[name])
        contents: list[Content] = [Absent(".png")] * len(times_us)
        size_px = _SIZE_OF_FOCAL_LENGTH.get(round(float(intrinsic[0, 0]), 4))
        if (self._root / name).is_dir():
            paths = self._images(self._root / name / self._name, len(times_us))
            size_px = image_size_px(paths[0])
            contents = [ImageFile(path, size_px) for path in paths]
        return Sensor(
            name,
            "camera",
            self._calibration.imu_from_rectified @ rectified_from_camera,
            self._recordings(contents, times_us),
            intrinsic,
            size_px,
        )

    def _images(self, folder: Path, frames: int) -> list[Path]:
        found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in (".png", ".jpg")}
        if not found:
            raise InputError(f"{folder}: no images, such as 000000.png")
        wanted = [f"{frame:06d}" for frame in range(frames)]
        if missing := [name for name in wanted if name not in found]:
            raise InputError(f"{folder / missing[0]}.png: missing; oxts has {frames} frames, images {len(found)}")
        if len(found) > frames:
            extra = next(path for name, path in found.items() if name not in set(wanted))
            raise InputError(f"{extra}: an image of no frame; oxts has {frames} frames")
        return [found[name] for name in wanted]

    def _labels(self) -> list[Labels] | None:
        path = self._root / "label_02" / f"{self._name}.txt"
        if not path.parent.is_dir():
            return None
        frames = [_FrameLabels() for _ in self._poses]
        for line in read_lines(path):
            line.expect(_LABEL_FIELDS)
            frame = line.integer_at(0, "frame")
            if not 0 <= frame < len(frames):
                raise InputError(f"{line.where}, frame: {frame} is none of the {len(frames)} frames of oxts")
            frames[frame].add(line)
        from_rectified = self._calibration.imu_from_rectified
        return [labels.finished(pose @ from_rectified) for labels, pose in zip(frames, self._poses, strict=True)]


class _FrameLabels:
    """The labels of a frame, line by line."""

    def __init__(self) -> None:
        self._boxes = BoxColumns()
        self._types: list[str] = []
        self._visibility: list[int] = []
        self._details: list[dict[str, Any]] = []
        self._regions: list[dict[str, Any]] = []
        self._line_of: dict[str, int] = {}

    def add(self, line: Line) -> None:
        """Take in a line of label_02.

        Raises:
            InputError: naming line and field.
        """
        track, kind = line.integer_at(1, "track"), line.fields[2]
        if kind not in _TYPES:
            raise InputError(f"{line.where}, type: {unknown_name(kind, _TYPES)}")
        truncated, occluded, alpha = line.numbers(3, ("truncated", "occluded", "alpha"))
        bbox = line.numbers(6, ("left", "top", "right", "bottom"))
        details = {
            "type": kind,
            "channel": "image_02",
            "bbox": bbox,
            "truncated": truncated,
            "occluded": occluded,
            "alpha": alpha,
        }
        if kind == REGION_TYPE:
            self._regions.append(details)
            return
        height, width, length = line.numbers(10, ("height", "width", "length"))
        if min(height, width, length) <= 0:
            raise InputError(f"{line.where}: a box of height, width, length {height}, {width}, {length}")
        location = line.numbers(13, ("x", "y", "z"))
        rotation = rotation_from_ry(line.number_at(16, "rotation_y"))
        if (first := self._line_of.setdefault(str(track), line.number)) != line.number:
            raise InputError(f"{line.where}, track: {track} is in frame {line.fields[0]} already, in line {first}")
        self._boxes.add(
            center_from_bottom(location, height),
            (width, length, height),
            rotation,
            str(track),
            _ATTRIBUTES.get(kind, ""),
        )
        self._types.append(kind)
        self._visibility.append(_VISIBILITY.get(round(occluded), 0))
        self._details.append(details)

    def finished(self, global_from_rectified: FloatArray) -> Labels:
        boxes = self._boxes.boxes(global_from_rectified)
        return Labels(boxes, self._types, self._visibility, details=self._details, regions=self._regions)
