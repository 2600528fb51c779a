"""Writes one drive: its files into the data root, its rows into tables.

Besides nuScenes' own columns there are some of the source's: `source_frame` of a sample (its name there), `source_type`
and `source_id` of an instance; and two more tables, `source_label` with what the source states of a label and nuScenes
has no column for, and `label_frame` with the frame in which it gives boxes. Readers of nuScenes tables pass over them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from scenes.boxes import Boxes3D
from scenes.conversion.contents import PointArray, PointCloud, write_points
from scenes.conversion.drive import (
    FARTHEST_M,
    LIDAR_CHANNEL,
    MOST_POINTS,
    Drive,
    DriveFrame,
    Labels,
    Recording,
    Sensor,
    are_orientations,
    category_of_type,
    check_name,
    check_numbers,
)
from scenes.conversion.key_frames import check_times, choose_key_frames, nearest_indices, recordings_of_key_frames
from scenes.conversion.points_in_boxes import count_points
from scenes.errors import InputError, shown
from scenes.geometry import FloatArray
from scenes.new_rows import Row, Tables, attribute_rows, link_chain, token_of, visibility_rows
from scenes.table_rows import TABLE_NAMES
from scenes.taxonomy import IGNORED, Taxonomy

SOURCE_LABEL_TABLE: Final = "source_label"
LABEL_FRAME_TABLE: Final = "label_frame"
TABLES: Final = (*TABLE_NAMES, SOURCE_LABEL_TABLE, LABEL_FRAME_TABLE)
VOCABULARY: Final = ("attribute", "category", "sensor", "visibility")
"""Tables of which drives share rows."""

POINTS_WITHOUT_CLOUD: Final = 1
"""`num_lidar_pts` where nobody counted: nuScenes' evaluation leaves out boxes without points."""


@dataclass(frozen=True)
class Counts:
    """What there is in one drive or in several.

    Attributes:
        frames, boxes, objects: how many key frames, annotations and instances.
        recordings, files: how many images and sweeps there are, and of how many the source holds the file.
        changing: objects whose type changes in the source; each has the one that it has most often.
        without_class: boxes of each type of the source that has no class.
    """

    frames: int
    boxes: int
    objects: int
    recordings: int
    files: int
    changing: int
    without_class: Mapping[str, int]


@dataclass(frozen=True)
class Naming:
    """What tokens and categories are made of.

    Attributes:
        version: folder of tables.
        format: of the source.
        categories: nuScenes category of the source's types.
        taxonomy: the classes that the data root will have.
    """

    version: str
    format: str
    categories: Mapping[str, str]
    taxonomy: Taxonomy

    def category(self, source_type: str) -> str:
        """The category of a type, see `category_of_type`."""
        return category_of_type(source_type, self.format, self.categories, self.taxonomy)


def write_drive(
    drive: Drive, naming: Naming, where: str, root: Path, key_frames_hz: float | None, link: bool
) -> tuple[Tables, Counts]:
    """Place the files of a drive below `root` and return its rows, and how many there are.

    Args:
        drive: see `Drive`.
        naming: what tokens and categories are made of.
        where: the drive in messages.
        root: data root.
        key_frames_hz: see `choose_key_frames`.
        link: whether images become links to the source's files.

    Raises:
        InputError: the drive contradicts itself, or a file of the source cannot be used.
    """
    return _DriveWriter(drive, naming, where, root, link).written(key_frames_hz)


class _DriveWriter:
    def __init__(self, drive: Drive, naming: Naming, where: str, root: Path, link: bool) -> None:
        self._drive = drive
        self._naming = naming
        self._where = where
        self._root = root
        self._link = link
        self._files = 0
        self._changing = 0
        check_name(drive.name, f"{where}: the drive's name")
        for sensor in drive.sensors:
            check_name(sensor.channel, f"{where}: the channel")
            check_numbers(sensor.ego_from_sensor, f"{where}: {sensor.channel}: the mounting")
            if sensor.intrinsic is not None:
                check_numbers(sensor.intrinsic, f"{where}: {sensor.channel}: the lens")
        channels = Counter(sensor.channel for sensor in drive.sensors)
        if twice := [channel for channel, count in channels.items() if count > 1]:
            raise InputError(f"{where}: {twice[0]} is the channel of two sensors")
        if not drive.frames:
            raise InputError(f"{where}: there are no frames")

    def written(self, key_frames_hz: float | None) -> tuple[Tables, Counts]:
        drive = self._drive
        frame_times = [frame.timestamp_us for frame in drive.frames]
        check_times(frame_times, f"{self._where}: frames")
        chosen = choose_key_frames(frame_times, key_frames_hz)
        frames = [drive.frames[index] for index in chosen.tolist()]
        tables: Tables = {name: [] for name in TABLES}
        tables["attribute"] = attribute_rows(self._naming.version, self._naming.taxonomy.attributes)
        tables["visibility"] = visibility_rows()
        tables["sample"] = self._samples(frames)
        tables["scene"], tables["log"] = [self._scene(frames)], [self._log(frames)]
        points = self._write_sensors(frames, tables)
        self._annotate(frames, points, tables)
        if drive.ego_from_labels is not None:
            label_frame = {"token": self._token("scene"), "scene_token": self._token("scene")}
            tables[LABEL_FRAME_TABLE] = [label_frame | _pose_columns(drive.ego_from_labels)]
        types: Counter[str] = Counter()
        for instance in tables["instance"]:
            category = self._naming.category(instance["source_type"])
            if self._naming.taxonomy.label_of_category(category) == IGNORED:
                types[instance["source_type"]] += instance["nbr_annotations"]
        return tables, Counts(
            frames=len(frames),
            boxes=len(tables["sample_annotation"]),
            objects=len(tables["instance"]),
            recordings=len(tables["sample_data"]),
            files=self._files,
            changing=self._changing,
            without_class=dict(types),
        )

    def _token(self, *name: object) -> str:
        return token_of(self._naming.version, self._drive.name, *name)

    def _sample_token(self, frame: DriveFrame) -> str:
        return frame.token or self._token("sample", frame.timestamp_us)

    def _samples(self, frames: Sequence[DriveFrame]) -> list[Row]:
        rows: list[Row] = [
            {
                "token": self._sample_token(frame),
                "timestamp": frame.timestamp_us,
                "prev": "",
                "next": "",
                "scene_token": self._token("scene"),
                "source_frame": frame.name,
            }
            for frame in frames
        ]
        link_chain(rows)
        return rows

    def _scene(self, frames: Sequence[DriveFrame]) -> Row:
        return {
            "token": self._token("scene"),
            "log_token": self._token("log"),
            "nbr_samples": len(frames),
            "first_sample_token": self._sample_token(frames[0]),
            "last_sample_token": self._sample_token(frames[-1]),
            "name": self._drive.name,
            "description": self._drive.description,
        }

    def _log(self, frames: Sequence[DriveFrame]) -> Row:
        day = datetime.fromtimestamp(1e-6 * frames[0].timestamp_us, timezone.utc).date()
        return {
            "token": self._token("log"),
            "logfile": self._drive.name,
            "vehicle": self._drive.vehicle or self._naming.format,
            "date_captured": day.isoformat(),
            "location": self._drive.location or self._naming.format,
        }

    def _write_sensors(self, frames: Sequence[DriveFrame], tables: dict[str, list[Row]]) -> list[FloatArray | None]:
        """Place the files, add the rows; returns the points of each key frame in global coordinates, or None."""
        points: list[FloatArray | None] = [None] * len(frames)
        recorded = np.zeros(len(frames), dtype=np.int64)
        key_us = np.array([frame.timestamp_us for frame in frames], dtype=np.int64)
        for sensor in self._drive.sensors:
            times_us = np.array([recording.timestamp_us for recording in sensor.recordings], dtype=np.int64)
            check_times(times_us.tolist(), f"{self._where}: {sensor.channel}")
            key_frame_of = recordings_of_key_frames(times_us, key_us)
            tables["sensor"].append(self._sensor_row(sensor))
            tables["calibrated_sensor"].append(self._calibration_row(sensor))
            nearest = nearest_indices(key_us, times_us)
            rows = []
            for recording in sensor.recordings:
                check_numbers(recording.global_from_ego, f"{self._where}: {sensor.channel}: the pose of the vehicle")
            poses = _poses_columns([recording.global_from_ego for recording in sensor.recordings])
            for index, recording in enumerate(sensor.recordings):
                key_frame = key_frame_of.get(index)
                rows.append(
                    self._sample_data_row(sensor, recording, frames[int(nearest[index])], key_frame is not None)
                )
                found = self._place(recording, self._root / rows[-1]["filename"])
                pose = {"token": rows[-1]["token"], "timestamp": recording.timestamp_us}
                tables["ego_pose"].append(pose | poses[index])
                if key_frame is not None:
                    recorded[key_frame] += 1
                    if found is not None and sensor.channel == LIDAR_CHANNEL:
                        points[key_frame] = _global_points(found, recording, sensor)
            link_chain(rows)
            tables["sample_data"] += rows
        if not recorded.all():
            bare = frames[int(np.argmin(recorded))]
            raise InputError(f"{self._where}: frame {bare.name}: no camera or lidar recorded anything near it")
        return points

    def _place(self, recording: Recording, path: Path) -> PointArray | None:
        """Place the file of a recording; returns its points where it has some."""
        content = recording.content
        points = content.points() if isinstance(content, PointCloud) else None
        if points is None:
            content.place(path, self._link)
        else:
            write_points(path, points)
        self._files += path.exists()
        return points

    def _sensor_row(self, sensor: Sensor) -> Row:
        token = token_of(self._naming.version, "sensor", sensor.channel)
        return {"token": token, "channel": sensor.channel, "modality": sensor.modality}

    def _calibration_row(self, sensor: Sensor) -> Row:
        intrinsic = [] if sensor.intrinsic is None else sensor.intrinsic.tolist()
        return {
            "token": self._token("calibrated_sensor", sensor.channel),
            "sensor_token": self._sensor_row(sensor)["token"],
            **_pose_columns(sensor.ego_from_sensor),
            "camera_intrinsic": intrinsic,
        }

    def _sample_data_row(self, sensor: Sensor, recording: Recording, nearest: DriveFrame, is_key_frame: bool) -> Row:
        token = self._token("sample_data", sensor.channel, recording.timestamp_us)
        suffix = recording.content.suffix
        width, height = sensor.size_px or (0, 0)
        name = f"{self._drive.name}__{sensor.channel}__{recording.timestamp_us}{suffix}"
        return {
            "token": token,
            "sample_token": self._sample_token(nearest),
            "ego_pose_token": token,
            "calibrated_sensor_token": self._token("calibrated_sensor", sensor.channel),
            "timestamp": recording.timestamp_us,
            "fileformat": suffix.split(".")[1],
            "is_key_frame": is_key_frame,
            "height": height,
            "width": width,
            "filename": f"{'samples' if is_key_frame else 'sweeps'}/{sensor.channel}/{name}",
            "prev": "",
            "next": "",
        }

    def _annotate(
        self, frames: Sequence[DriveFrame], points: Sequence[FloatArray | None], tables: dict[str, list[Row]]
    ) -> None:
        """Add annotations, instances, categories and the source's own labels."""
        rows_of: defaultdict[str, list[Row]] = defaultdict(list)
        types_of: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for frame, of_frame in zip(frames, points, strict=True):
            if frame.labels is None:
                continue
            self._check_labels(frame.labels, frame)
            for source_id, source_type in zip(_identities(frame.labels.boxes), frame.labels.source_type, strict=True):
                types_of[source_id][source_type] += 1
            rows = self._annotation_rows(frame, frame.labels, of_frame)
            for source_id, row in zip(_identities(frame.labels.boxes), rows, strict=True):
                rows_of[source_id].append(row)
            tables["sample_annotation"] += rows
            tables[SOURCE_LABEL_TABLE] += self._source_label_rows(frame, frame.labels, rows)
        self._changing = sum(len(types) > 1 for types in types_of.values())
        type_of = {source_id: types.most_common(1)[0][0] for source_id, types in types_of.items()}
        for source_id, rows in rows_of.items():
            link_chain(rows)
            category = self._category_row(type_of[source_id])
            tables["instance"].append(
                {
                    "token": rows[0]["instance_token"],
                    "category_token": category["token"],
                    "nbr_annotations": len(rows),
                    "first_annotation_token": rows[0]["token"],
                    "last_annotation_token": rows[-1]["token"],
                    "source_type": type_of[source_id],
                    "source_id": source_id,
                }
            )
        names = {*self._naming.categories.values(), *map(self._naming.category, type_of.values())}
        tables["category"] = [self._named_category(name) for name in sorted(names)]

    def _check_labels(self, labels: Labels, frame: DriveFrame) -> None:
        boxes = labels.boxes
        where = f"{self._where}: frame {frame.name}"
        numbers = np.column_stack([boxes.center_m, boxes.size_wlh_m, boxes.rotation])
        bad = ~(np.abs(numbers) < FARTHEST_M).all(axis=1) | (boxes.size_wlh_m <= 0).any(axis=1)
        bad |= ~are_orientations(boxes.rotation)
        identities = _identities(boxes)
        if bad.any():
            index = int(np.argmax(bad))
            numbers_shown = shown(numbers[index].round(3).tolist())
            raise InputError(f"{where}, object {shown(identities[index])}: no box: {numbers_shown}")
        for identity, points in zip(identities, labels.num_lidar_pts or (), strict=False):
            if not 0 <= points <= MOST_POINTS:
                raise InputError(f"{where}, object {shown(identity)}: {points} are no number of points")
        counts = Counter(identities)
        if len(counts) < len(identities):
            raise InputError(f"{where}: object {shown(max(counts, key=lambda name: counts[name]))} is there twice")

    def _annotation_rows(self, frame: DriveFrame, labels: Labels, points: FloatArray | None) -> list[Row]:
        boxes = labels.boxes
        counts = labels.num_lidar_pts
        if counts is None:
            counts = [POINTS_WITHOUT_CLOUD] * len(boxes) if points is None else count_points(points, boxes).tolist()
        columns = zip(
            _identities(boxes),
            boxes.center_m.tolist(),
            boxes.size_wlh_m.tolist(),
            boxes.rotation.tolist(),
            [""] * len(boxes) if boxes.attribute is None else boxes.attribute.tolist(),
            labels.visibility or [0] * len(boxes),
            counts,
            strict=True,
        )
        return [
            {
                "token": self._token("annotation", source_id, frame.timestamp_us),
                "sample_token": self._sample_token(frame),
                "instance_token": self._token("instance", source_id),
                "visibility_token": str(visibility) if visibility else "",
                "attribute_tokens": [token_of(self._naming.version, "attribute", attribute)] if attribute else [],
                "translation": center,
                "size": size,
                "rotation": rotation,
                "prev": "",
                "next": "",
                "num_lidar_pts": int(count),
                "num_radar_pts": 0,
            }
            for source_id, center, size, rotation, attribute, visibility, count in columns
        ]

    def _source_label_rows(self, frame: DriveFrame, labels: Labels, annotations: Sequence[Row]) -> list[Row]:
        of_boxes = zip(annotations, labels.details, strict=True) if labels.details else ()
        of_regions = ((None, details) for details in labels.regions)
        rows: list[Row] = []
        for annotation, details in (*of_boxes, *of_regions):
            row: dict[str, Any] = {
                "token": self._token("source_label", frame.timestamp_us, len(rows)),
                "sample_token": self._sample_token(frame),
                "annotation_token": annotation["token"] if annotation else "",
            }
            rows.append(row | dict(details))
        return rows

    def _category_row(self, source_type: str) -> Row:
        return self._named_category(self._naming.category(source_type))

    def _named_category(self, name: str) -> Row:
        types = [source for source, category in self._naming.categories.items() if category == name]
        description = f"{self._naming.format}: {', '.join(types)}" if types else ""
        return {"token": token_of(self._naming.version, "category", name), "name": name, "description": description}


def drive_of_file(name: str, channel: str) -> str:
    """The drive whose file it is; `name` in the folder of its channel."""
    return name.rpartition(f"__{channel}__")[0]


def _identities(boxes: Boxes3D) -> list[str]:
    assert boxes.track_id is not None  # `label_boxes` gives them
    identities: list[str] = boxes.track_id.tolist()
    return identities


def _pose_columns(pose: FloatArray) -> Row:
    return _poses_columns([pose])[0]


def _poses_columns(poses: Sequence[FloatArray]) -> list[Row]:
    """The columns of poses; many are turned into quaternions together."""
    if not poses:
        return []
    stacked = np.stack(poses)
    rotations = Rotation.from_matrix(stacked[:, :3, :3]).as_quat(canonical=True, scalar_first=True)
    columns = zip(stacked[:, :3, 3].tolist(), rotations.tolist(), strict=True)
    return [{"translation": translation, "rotation": rotation} for translation, rotation in columns]


def _global_points(points: PointArray, recording: Recording, sensor: Sensor) -> FloatArray:
    """(P, 3) points of a sweep in global coordinates."""
    global_from_sensor = recording.global_from_ego @ sensor.ego_from_sensor
    moved: FloatArray = points[:, :3].astype(np.float64) @ global_from_sensor[:3, :3].T + global_from_sensor[:3, 3]
    return moved
