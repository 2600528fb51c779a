"""Reads logs of the Argoverse 2 sensor data set.

Cuboids and points are in the ego frame (x ahead, y left, z up) at the sweep's time, times are nanoseconds, the global
frame is the city's. Needs the extra `argoverse2` (pyarrow). Source: av2-api, `av2.structures.cuboid`,
`av2.datasets.sensor` and the format's description in its README (Wilson et al., NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.conversion.contents import Absent, Content, ImageFile, PointArray, PointFile
from scenes.conversion.drive import (
    LIDAR_CHANNEL,
    Drive,
    DriveFrame,
    Labels,
    Recording,
    Sensor,
    are_orientations,
    label_boxes,
)
from scenes.conversion.feather import Columns, read_columns
from scenes.conversion.key_frames import check_times
from scenes.conversion.pose_track import PoseTrack
from scenes.errors import InputError
from scenes.geometry import FloatArray, pose_matrices
from scenes.image_size import image_size_px
from scenes.taxonomy import NUSCENES, Taxonomy

CATEGORIES: Final = {
    "REGULAR_VEHICLE": "vehicle.car",
    "LARGE_VEHICLE": "vehicle.truck",
    "BOX_TRUCK": "vehicle.truck",
    "TRUCK": "vehicle.truck",
    "TRUCK_CAB": "vehicle.truck",
    "VEHICULAR_TRAILER": "vehicle.trailer",
    "BUS": "vehicle.bus.rigid",
    "SCHOOL_BUS": "vehicle.bus.rigid",
    "ARTICULATED_BUS": "vehicle.bus.bendy",
    "MOTORCYCLE": "vehicle.motorcycle",
    "BICYCLE": "vehicle.bicycle",
    "PEDESTRIAN": "human.pedestrian.adult",
    "OFFICIAL_SIGNALER": "human.pedestrian.police_officer",
    "STROLLER": "human.pedestrian.stroller",
    "WHEELCHAIR": "human.pedestrian.wheelchair",
    "WHEELED_DEVICE": "human.pedestrian.personal_mobility",
    "CONSTRUCTION_CONE": "movable_object.trafficcone",
    "ANIMAL": "animal",
    "DOG": "animal",
}
"""nuScenes categories of Argoverse 2's. Riders (BICYCLIST, MOTORCYCLIST, WHEELED_RIDER), whom nuScenes counts to their
cycles, signs, bollards, barrels and vehicles on rails have none."""

POSES_FILE: Final = "city_SE3_egovehicle.feather"
ANNOTATIONS_FILE: Final = "annotations.feather"
POSE_COLUMNS: Final = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
SIZE_COLUMNS: Final = ("length_m", "width_m", "height_m")
_LONGEST_GAP_NS: Final = 200_000_000
"""Between poses: across a longer gap none is interpolated."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Argoverse2Source:
    """A folder of logs."""

    path: Path
    format: str = "argoverse2"
    version: str = "v1.0-argoverse2"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return CATEGORIES

    def drives(self) -> list[str]:
        """The logs: all folders, each of which needs its poses."""
        names = sorted(path.name for path in self.path.glob("*") if path.is_dir() and not path.name.startswith("."))
        if not names:
            raise InputError(f"{self.path}: no folder of a log in it")
        for name in names:
            if not (path := self.path / name / POSES_FILE).is_file():
                raise InputError(f"{path}: missing; expected a folder of Argoverse 2 logs")
        return names

    def files(self, name: str) -> list[Path]:
        return [self.path / name]

    def read(self, name: str) -> Drive:
        return _LogReader(self.path / name).drive()


def _read_poses(path: Path) -> PoseTrack:
    columns = read_columns(path, ("timestamp_ns", *POSE_COLUMNS))
    times_ns = _times(columns, path)
    if not len(times_ns):
        raise InputError(f"{path}: no poses")
    poses = poses_of_columns(columns, path)
    # Poses are written for every sensor's times, which may lie nanoseconds apart.
    check_times(np.unique(times_ns // 1_000_000 * 1000).tolist(), str(path))
    return PoseTrack(times_ns, poses, path, "ns", _LONGEST_GAP_NS)


class _LogReader:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._poses = _read_poses(log / POSES_FILE)

    def drive(self) -> Drive:
        sweeps = self._sweeps()
        labels = self._labels()
        times_ns = sorted({*labels, *(sweeps if not labels else ())})
        if not times_ns:
            raise InputError(f"{self._log}: no frames: neither {ANNOTATIONS_FILE} nor sensors/lidar holds any")
        return Drive(
            name=self._log.name,
            sensors=[self._lidar(sweeps, times_ns), *self._cameras(times_ns)],
            frames=[DriveFrame(time_ns // 1000, str(time_ns), labels.get(time_ns)) for time_ns in times_ns],
            description="Argoverse 2 sensor log",
            location=self._city(),
            ego_from_labels=np.eye(4),
        )

    def _city(self) -> str:
        """The city, which only the name of the map tells."""
        names = [path.stem.split("____") for path in sorted(self._log.glob("map/log_map_archive_*.json"))]
        return names[0][-1] if names and len(names[0]) > 1 else ""

    def _sweeps(self) -> dict[int, Path]:
        folder = self._log / "sensors" / "lidar"
        return _files_by_time(folder, (".feather",)) if folder.is_dir() else {}

    def _lidar(self, sweeps: Mapping[int, Path], frame_times_ns: Sequence[int]) -> Sensor:
        contents: dict[int, Content] = dict.fromkeys(frame_times_ns, Absent(".pcd.bin"))
        contents |= {time_ns: PointFile(path, _read_sweep) for time_ns, path in sweeps.items()}
        return Sensor(LIDAR_CHANNEL, "lidar", np.eye(4), self._recordings(contents, LIDAR_CHANNEL))

    def _recordings(self, contents: Mapping[int, Content], channel: str) -> list[Recording]:
        return [
            Recording(time_ns // 1000, self._poses.at(time_ns, f"a recording of {channel}"), content)
            for time_ns, content in sorted(contents.items())
        ]

    def _cameras(self, frame_times_ns: Sequence[int]) -> list[Sensor]:
        """The calibrated cameras; where images of any are there, those with a folder of images."""
        folder = self._log / "calibration"
        images = self._log / "sensors" / "cameras"
        if not folder.is_dir() and not images.is_dir():
            return []
        path = folder / "intrinsics.feather"
        lenses = read_columns(path, ("fx_px", "fy_px", "cx_px", "cy_px", "width_px", "height_px"), ("sensor_name",))
        mounts_path = folder / "egovehicle_SE3_sensor.feather"
        mounts = read_columns(mounts_path, POSE_COLUMNS, ("sensor_name",))
        mountings = dict(zip(mounts["sensor_name"].tolist(), poses_of_columns(mounts, mounts_path), strict=True))
        cameras = []
        for row, name in enumerate(lenses["sensor_name"].tolist()):
            if name not in mountings:
                raise InputError(f"{mounts_path}: no sensor {name}, which intrinsics.feather has")
            fx, fy, cx, cy = (float(lenses[column][row]) for column in ("fx_px", "fy_px", "cx_px", "cy_px"))
            if min(fx, fy) <= 0:
                raise InputError(f"{path}, row {row}: focal lengths {fx}, {fy}")
            size_px = (int(lenses["width_px"][row]), int(lenses["height_px"][row]))
            contents = self._images(name, size_px, frame_times_ns)
            if contents:
                intrinsic = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
                recordings = self._recordings(contents, name)
                cameras.append(Sensor(name, "camera", mountings[name], recordings, intrinsic, size_px))
        return cameras

    def _images(self, name: str, size_px: tuple[int, int], frame_times_ns: Sequence[int]) -> dict[int, Content]:
        images = self._log / "sensors" / "cameras"
        if not images.is_dir():
            return dict.fromkeys(frame_times_ns, Absent(".jpg"))
        if not (images / name).is_dir():
            return {}
        paths = _files_by_time(images / name, (".jpg", ".png"))
        if not paths:
            raise InputError(f"{images / name}: no images")
        stated = image_size_px(next(iter(paths.values())))
        if stated != size_px:
            raise InputError(
                f"{images / name}: images of {stated[0]}x{stated[1]} pixels, the calibration is of {size_px}"
            )
        return {time_ns: ImageFile(path, size_px) for time_ns, path in paths.items()}

    def _labels(self) -> dict[int, Labels]:
        path = self._log / ANNOTATIONS_FILE
        if not path.is_file():
            return {}
        numbers = ("timestamp_ns", *SIZE_COLUMNS, *POSE_COLUMNS, "num_interior_pts")
        columns = read_columns(path, numbers, ("track_uuid", "category"))
        times_ns = _times(columns, path)
        if not len(times_ns):
            raise InputError(f"{path}: no cuboids")
        sizes = np.column_stack([columns[name] for name in SIZE_COLUMNS])
        if (sizes <= 0).any():
            row = int(np.argmax((sizes <= 0).any(axis=1)))
            raise InputError(f"{path}, row {row}: a cuboid of length, width, height {sizes[row].tolist()}")
        order = np.argsort(times_ns, kind="stable")
        first = np.flatnonzero(np.diff(times_ns[order], prepend=-1))
        return {
            int(times_ns[rows[0]]): self._frame_labels(columns, sizes, rows, path)
            for rows in np.split(order, first[1:])
        }

    def _frame_labels(self, columns: Columns, sizes_lwh_m: FloatArray, rows: IntArray, path: Path) -> Labels:
        time_ns = int(columns["timestamp_ns"][rows[0]])
        boxes = label_boxes(
            np.column_stack([columns[name][rows] for name in POSE_COLUMNS[4:]]),
            sizes_lwh_m[rows][:, [1, 0, 2]],
            np.column_stack([columns[name][rows] for name in POSE_COLUMNS[:4]]),
            columns["track_uuid"][rows].tolist(),
            None,
            self._poses.at(time_ns, f"cuboids in {path.name}"),
        )
        types = columns["category"][rows].tolist()
        return Labels(boxes, types, num_lidar_pts=columns["num_interior_pts"][rows].astype(np.int64).tolist())


def poses_of_columns(columns: Columns, path: Path) -> FloatArray:
    """(N, 4, 4) poses in the columns of a file.

    Raises:
        InputError: a quaternion is far from unit length.
    """
    quaternions = np.column_stack([columns[name] for name in POSE_COLUMNS[:4]]).astype(np.float64)
    if (wrong := ~are_orientations(quaternions)).any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}, row {row}: no unit quaternion: {quaternions[row].tolist()}")
    return pose_matrices(np.column_stack([columns[name] for name in POSE_COLUMNS[4:]]), quaternions)


def _times(columns: Columns, path: Path) -> IntArray:
    times = columns["timestamp_ns"]
    if times.dtype.kind not in "iu":
        raise InputError(f"{path}, column timestamp_ns: no integers")
    return times.astype(np.int64)


def _files_by_time(folder: Path, suffixes: Sequence[str]) -> dict[int, Path]:
    """The files of a folder by the nanoseconds that they are named by."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in suffixes:
            if not path.stem.isdecimal():
                raise InputError(f"{path}: is not named by a time in nanoseconds")
            found[int(path.stem)] = path
    return found


def _read_sweep(path: Path) -> PointArray:
    """The points of a sweep in the ego frame."""
    columns = read_columns(path, ("x", "y", "z", "intensity", "laser_number"))
    return np.column_stack([columns[name].astype(np.float32) for name in columns])
