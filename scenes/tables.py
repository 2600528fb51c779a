"""Reads nuScenes tables into `Scene`s.

Only the tables and columns that the project needs are decoded, and of the large tables only the rows of the
wanted scenes, so that one scene of `v1.0-trainval` does not cost the memory of all 850. Anything with the same
tables works: own recordings, fewer or other cameras, no lidar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from scenes.boxes import Boxes3D
from scenes.classes import BIKE_RACK_CATEGORY, CLASS_OF_CATEGORY, LABEL_OF_CLASS, NO_CLASS
from scenes.errors import InputError
from scenes.geometry import FloatArray, pose_matrix
from scenes.scene import Annotations, Camera, Frame, Scene
from scenes.splits import is_official_split, scene_names_of_split

_MAX_VELOCITY_GAP_S = 1.5
"""Longest time between two annotations that still gives a velocity (devkit `NuScenes.box_velocity`)."""

_Vector = tuple[float, float, float]
_Quaternion = tuple[float, float, float, float]


class _Row(msgspec.Struct, gc=False):
    token: str


class _SceneRow(_Row):
    name: str
    log_token: str
    first_sample_token: str
    description: str = ""


class _LogRow(_Row):
    location: str = ""


class _SampleRow(_Row):
    timestamp: int
    next: str
    scene_token: str


class _SensorRow(_Row):
    channel: str
    modality: str


class _CalibrationRow(_Row):
    sensor_token: str
    translation: _Vector
    rotation: _Quaternion
    camera_intrinsic: list[_Vector]


class _PoseRow(_Row):
    translation: _Vector
    rotation: _Quaternion


class _SampleDataRow(_Row):
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    timestamp: int
    is_key_frame: bool
    filename: str
    height: int | None = None
    width: int | None = None


class _NamedRow(_Row):
    name: str


class _InstanceRow(_Row):
    category_token: str


class _AnnotationRow(_Row):
    sample_token: str
    instance_token: str
    attribute_tokens: list[str]
    translation: _Vector
    size: _Vector
    rotation: _Quaternion
    prev: str
    next: str
    num_lidar_pts: int
    num_radar_pts: int
    visibility_token: str | None = None


_RowT = TypeVar("_RowT", bound=_Row)


class _Table(dict[str, _RowT]):
    """Rows by token. A token that is not there is reported with the row that pointed to it."""

    def __init__(self, path: Path, rows: Iterable[_RowT]) -> None:
        super().__init__((row.token, row) for row in rows)
        self.path = path

    def at(self, token: str, referrer: str) -> _RowT:
        try:
            return self[token]
        except KeyError:
            raise InputError(f"{self.path}: no row '{token}', to which {referrer} points") from None


def read_scenes(dataroot: Path | str, version: str, split: str | None = None) -> list[Scene]:
    """The scenes of a split with their frames, cameras and annotations.

    Args:
        dataroot: nuScenes data root; the tables lie in `<dataroot>/<version>`. Images need not be there.
        version: such as `v1.0-mini`, `v1.0-trainval`, `v1.0-test`.
        split: see `scenes.splits.scene_names_of_split`; None reads every scene. Of an official split the scenes
            that the data root lacks are left out, as the devkit does; scenes of any other split must be there.

    Returns:
        Scenes in the order of the scene table.

    Raises:
        InputError: no such folder or table, a row without a needed column, a token that leads nowhere, a split
            that does not exist or has no scene here.
    """
    return _TableReader(Path(dataroot), version).scenes(split)


def read_sample_tokens(dataroot: Path | str, version: str) -> tuple[str, ...]:
    """The tokens of all key frames of a data root, of whatever split, in the order of the sample table."""
    reader = _TableReader(Path(dataroot), version)
    return tuple(reader.table("sample", _SampleRow))


class _TableReader:
    """The tables of one version; `scenes` joins them."""

    def __init__(self, dataroot: Path, version: str) -> None:
        self._dataroot = dataroot
        self._version = version
        self._folder = dataroot / version
        if not dataroot.is_dir():
            raise InputError(f"{dataroot}: no such data root")
        if not self._folder.is_dir():
            raise InputError(f"{self._folder}: no such folder of tables")

    def table(self, name: str, row: type[_RowT], keep: Callable[[_RowT], bool] | None = None) -> _Table[_RowT]:
        path = self._folder / f"{name}.json"
        return _Table(path, _read_rows(path, row, keep))

    def scenes(self, split: str | None) -> list[Scene]:
        rows = self._scene_rows(split)
        logs = self.table("log", _LogRow)
        chains = self._sample_chains(rows)
        samples = {sample.token: sample for chain in chains for sample in chain}
        recordings = self._recordings(samples)
        annotations = self._annotations(samples)
        return [
            Scene(
                token=row.token,
                name=row.name,
                description=row.description,
                location=logs.at(row.log_token, f"scene '{row.name}'").location,
                frames=tuple(_frame(sample, recordings[sample.token], annotations) for sample in chain),
            )
            for row, chain in zip(rows, chains, strict=True)
        ]

    def _scene_rows(self, split: str | None) -> list[_SceneRow]:
        table = self.table("scene", _SceneRow)
        rows = list(table.values())
        if split is None:
            return rows
        wanted = scene_names_of_split(self._dataroot, self._version, split)
        present = {row.name for row in rows}
        absent = [name for name in wanted if name not in present]
        if absent and not is_official_split(split):
            raise InputError(f"{table.path}: no scene '{absent[0]}', which split '{split}' lists")
        if len(absent) == len(wanted):
            raise InputError(f"{table.path}: holds no scene of split '{split}'")
        return [row for row in rows if row.name in set(wanted)]

    def _sample_chains(self, rows: Sequence[_SceneRow]) -> list[list[_SampleRow]]:
        """For each scene its key frames, from `first_sample_token` along `next`."""
        table = self.table("sample", _SampleRow)
        chains = []
        for row in rows:
            sample = table.at(row.first_sample_token, f"first_sample_token of scene '{row.name}'")
            chain = [sample]
            while sample.next:
                sample = table.at(sample.next, f"next of sample '{sample.token}'")
                if len(chain) >= len(table) or sample.scene_token != row.token:
                    raise InputError(f"{table.path}: the chain of scene '{row.name}' leaves it at '{sample.token}'")
                chain.append(sample)
            chains.append(chain)
        return chains

    def _recordings(self, samples: dict[str, _SampleRow]) -> dict[str, _Recordings]:
        """For each sample its cameras and the pose and mounting of its lidar."""
        sensors = self.table("sensor", _SensorRow)
        calibrations = self.table("calibrated_sensor", _CalibrationRow)
        sample_data = self.table(
            "sample_data", _SampleDataRow, lambda row: row.is_key_frame and row.sample_token in samples
        )
        needed_poses = {row.ego_pose_token for row in sample_data.values()}
        poses = self.table("ego_pose", _PoseRow, lambda row: row.token in needed_poses)
        mountings = {token: _pose_of(row, calibrations.path) for token, row in calibrations.items()}
        recordings = {token: _Recordings() for token in samples}
        for row in sample_data.values():
            referrer = f"sample_data '{row.token}'"
            calibration = calibrations.at(row.calibrated_sensor_token, referrer)
            sensor = sensors.at(calibration.sensor_token, f"calibrated_sensor '{calibration.token}'")
            ego_from_sensor = mountings[calibration.token]
            global_from_ego = _pose_of(poses.at(row.ego_pose_token, referrer), poses.path)
            recording = recordings[row.sample_token]
            if sensor.modality == "camera":
                intrinsic = _intrinsic_of(calibration, calibrations.path)
                recording.cameras.append(
                    Camera(
                        name=sensor.channel,
                        timestamp_us=row.timestamp,
                        image_path=self._dataroot / row.filename,
                        width_px=row.width or 0,
                        height_px=row.height or 0,
                        intrinsic=intrinsic,
                        ego_from_camera=ego_from_sensor,
                        global_from_ego=global_from_ego,
                    )
                )
            elif sensor.channel == "LIDAR_TOP":
                recording.lidar = (global_from_ego, ego_from_sensor)
        return recordings

    def _annotations(self, samples: dict[str, _SampleRow]) -> dict[str, Annotations] | None:
        """Annotations by sample; None for a data root that was published without them."""
        published_without = self._version.endswith("test")
        if published_without and not (self._folder / "sample_annotation.json").is_file():
            return None
        rows = self.table("sample_annotation", _AnnotationRow, lambda row: row.sample_token in samples)
        if published_without and not rows:
            return None
        categories = self.table("category", _NamedRow)
        instances = self.table("instance", _InstanceRow)
        attributes = self.table("attribute", _NamedRow)
        categories_of_rows = [
            categories.at(
                instances.at(row.instance_token, f"sample_annotation '{row.token}'").category_token,
                f"instance '{row.instance_token}'",
            ).name
            for row in rows.values()
        ]
        by_sample: dict[str, list[tuple[_AnnotationRow, str]]] = {token: [] for token in samples}
        for row, category in zip(rows.values(), categories_of_rows, strict=True):
            by_sample[row.sample_token].append((row, category))
        return {token: _annotations_of_sample(pairs, rows, samples, attributes) for token, pairs in by_sample.items()}


class _Recordings:
    """What the sensors of one key frame gave; filled row by row."""

    def __init__(self) -> None:
        self.cameras: list[Camera] = []
        self.lidar: tuple[FloatArray, FloatArray] | None = None


def _read_rows(path: Path, row: type[_RowT], keep: Callable[[_RowT], bool] | None) -> list[_RowT]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: the table is missing") from None
    try:
        if keep is None:
            return msgspec.json.decode(content, type=list[row])  # type: ignore[valid-type]
        # A large table is split into undecoded rows first: only the rows that are kept stay in memory.
        decoder = msgspec.json.Decoder(row)
        rows = map(decoder.decode, msgspec.json.decode(content, type=list[msgspec.Raw]))
        return [decoded for decoded in rows if keep(decoded)]
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: {error}") from error


def _pose_of(row: _CalibrationRow | _PoseRow, path: Path) -> FloatArray:
    if not any(row.rotation):
        raise InputError(f"{path}: row '{row.token}', key rotation: a zero quaternion")
    return pose_matrix(row.translation, row.rotation)


def _intrinsic_of(row: _CalibrationRow, path: Path) -> FloatArray:
    intrinsic = np.array(row.camera_intrinsic, dtype=np.float64)
    if intrinsic.shape != (3, 3) or abs(np.linalg.det(intrinsic)) < 1e-9:
        raise InputError(f"{path}: row '{row.token}', key camera_intrinsic: not an invertible 3x3 matrix")
    return intrinsic


def _frame(sample: _SampleRow, recording: _Recordings, annotations: dict[str, Annotations] | None) -> Frame:
    if recording.lidar is not None:
        global_from_ego, ego_from_lidar = recording.lidar
    elif recording.cameras:
        nearest = min(recording.cameras, key=lambda camera: abs(camera.timestamp_us - sample.timestamp))
        global_from_ego, ego_from_lidar = nearest.global_from_ego, None
    else:
        raise InputError(f"sample '{sample.token}' has no key frame of a camera or of LIDAR_TOP in sample_data")
    return Frame(
        token=sample.token,
        timestamp_us=sample.timestamp,
        global_from_ego=global_from_ego,
        ego_from_lidar=ego_from_lidar,
        cameras=tuple(recording.cameras),
        annotations=None if annotations is None else annotations[sample.token],
    )


def _annotations_of_sample(
    pairs: list[tuple[_AnnotationRow, str]],
    rows: _Table[_AnnotationRow],
    samples: dict[str, _SampleRow],
    attributes: _Table[_NamedRow],
) -> Annotations:
    labelled = [(row, LABEL_OF_CLASS[CLASS_OF_CATEGORY[name]]) for row, name in pairs if name in CLASS_OF_CATEGORY]
    racks = [(row, NO_CLASS) for row, name in pairs if name == BIKE_RACK_CATEGORY]
    kept = [row for row, _ in labelled]
    return Annotations(
        boxes=_boxes(labelled, rows, samples, attributes),
        num_lidar_pts=np.array([row.num_lidar_pts for row in kept], dtype=np.int64),
        num_radar_pts=np.array([row.num_radar_pts for row in kept], dtype=np.int64),
        visibility=np.array([int(row.visibility_token or 0) for row in kept], dtype=np.int64),
        bike_racks=_boxes(racks, rows, samples, attributes),
    )


def _boxes(
    labelled: list[tuple[_AnnotationRow, int]],
    rows: _Table[_AnnotationRow],
    samples: dict[str, _SampleRow],
    attributes: _Table[_NamedRow],
) -> Boxes3D:
    def columns(values: list[Any], width: int) -> FloatArray:
        return np.array(values, dtype=np.float64).reshape(-1, width)

    kept = [row for row, _ in labelled]
    return Boxes3D(
        center_m=columns([row.translation for row in kept], 3),
        size_wlh_m=columns([row.size for row in kept], 3),
        rotation=columns([row.rotation for row in kept], 4),
        velocity_mps=columns([_velocity(row, rows, samples) for row in kept], 2),
        label=np.array([label for _, label in labelled], dtype=np.int64),
        score=np.ones(len(kept)),
        track_id=np.array([row.instance_token for row in kept], dtype=np.str_),
        attribute=np.array([_attribute(row, attributes) for row in kept], dtype=np.str_),
    )


def _attribute(row: _AnnotationRow, attributes: _Table[_NamedRow]) -> str:
    if not row.attribute_tokens:
        return ""
    referrer = f"sample_annotation '{row.token}'"
    if len(row.attribute_tokens) > 1:
        raise InputError(f"{attributes.path.parent / 'sample_annotation.json'}: {referrer} has several attributes")
    return attributes.at(row.attribute_tokens[0], referrer).name


def _velocity(row: _AnnotationRow, rows: _Table[_AnnotationRow], samples: dict[str, _SampleRow]) -> tuple[float, float]:
    """Velocity in the xy plane from the neighbours in time, NaN where there are none (devkit `box_velocity`)."""
    referrer = f"sample_annotation '{row.token}'"
    first = rows.at(row.prev, referrer) if row.prev else row
    last = rows.at(row.next, referrer) if row.next else row
    start_s = 1e-6 * samples[first.sample_token].timestamp
    elapsed_s = 1e-6 * samples[last.sample_token].timestamp - start_s
    longest_s = _MAX_VELOCITY_GAP_S * (2 if row.prev and row.next else 1)
    if first is last or elapsed_s > longest_s or elapsed_s <= 0:
        return np.nan, np.nan
    return (
        (last.translation[0] - first.translation[0]) / elapsed_s,
        (last.translation[1] - first.translation[1]) / elapsed_s,
    )
