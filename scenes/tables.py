"""Reads nuScenes tables into `Scene`s.

Only the tables and columns that the project needs are decoded, and of the large tables only the rows of the
wanted scenes, so that one scene of `v1.0-trainval` does not cost the memory of all 850. Anything with the same
tables works: own recordings, fewer or other cameras, no lidar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scenes.annotation_table import read_annotations
from scenes.errors import InputError, shown
from scenes.garbage_collection import without_garbage_collection
from scenes.geometry import FloatArray, pose_matrices
from scenes.large_tables.row_places import ANNOTATIONS, KEY_FRAMES, KEY_POSES, RowPlaces
from scenes.large_tables.scene_store import SceneStore
from scenes.large_tables.wanted_rows import LargeTables
from scenes.scene import Annotations, Camera, Frame, Scene
from scenes.splits import SplitName, is_official_split, scene_names_of_split
from scenes.table_rows import (
    AnnotationRow,
    CalibrationRow,
    LogRow,
    PoseRow,
    RowT,
    SampleDataRow,
    SampleRow,
    SceneRow,
    SensorRow,
    Table,
    read_table,
    recorded_path,
)
from scenes.taxonomy import read_taxonomy


def read_scenes(
    dataroot: Path | str,
    version: str,
    split: SplitName | None = None,
    *,
    annotations: bool = True,
    cameras: bool = True,
) -> list[Scene]:
    """The scenes of a split with their frames, cameras and annotations.

    Args:
        dataroot: nuScenes data root; the tables lie in `<dataroot>/<version>`. Images need not be there.
        version: such as `v1.0-mini`, `v1.0-trainval`, `v1.0-test`.
        split: see `scenes.splits.scene_names_of_split`; None reads every scene. Of an official split the scenes
            that the data root lacks are left out, as the devkit does; scenes of any other split must be there.
        annotations: False leaves the annotation tables, the largest, unread; `Frame.annotations` is then None.
        cameras: False leaves out what is known of the cameras where the ego pose does not depend on it, that is in a
            recording with LIDAR_TOP; `Frame.cameras` is then empty.

    Returns:
        Scenes in the order of the scene table, with the classes of the data root (`scenes.taxonomy`).

    Raises:
        InputError: no such folder or table, a row without a needed column, a token that leads nowhere, a split
            that does not exist or has no scene here, classes that cannot be used.
    """
    reader = _TableReader(Path(dataroot), version)
    rows = reader.scene_rows(split)
    store = SceneStore.of(reader.dataroot, version)
    with without_garbage_collection():
        if store is None:
            scenes = reader.scenes(rows, annotations, cameras)
        else:
            scenes = _stored(reader, store, rows, annotations, cameras)
    if reader.may_lack_annotations and not any(map(_has_annotations, scenes)):
        return [_reduced(scene, annotations=False, cameras=True) for scene in scenes]
    return scenes


def read_sample_tokens(dataroot: Path | str, version: str) -> tuple[str, ...]:
    """The tokens of all key frames of a data root, of whatever split, in the order of the sample table."""
    reader = _TableReader(Path(dataroot), version)
    return tuple(reader.table("sample", SampleRow))


def _stored(
    reader: _TableReader, store: SceneStore, rows: Sequence[SceneRow], annotations: bool, cameras: bool
) -> list[Scene]:
    """Scenes of large tables: what is not in the store is read and put there, some scenes at a time."""
    found = {row.token: store.load(row.token, reader.taxonomy, annotations, cameras) for row in rows}
    missing = [row for row in rows if found[row.token] is None]
    try:
        places = store.row_places() if missing else None
        for start in range(0, len(missing), _SCENES_AT_A_TIME):
            read = reader.scenes(missing[start : start + _SCENES_AT_A_TIME], True, True, places)
            store.save(read)
            found |= {scene.token: _reduced(scene, annotations, cameras) for scene in read}
    except InputError:
        # What is wrong may be in what nobody asks for; and whatever is said of it is said of the tables alone.
        return reader.scenes(rows, annotations, cameras, store.found_row_places())
    return [scene for scene in found.values() if scene is not None]


def _reduced(scene: Scene, annotations: bool, cameras: bool) -> Scene:
    """A scene without annotations, or without the cameras that no ego pose depends on."""
    if annotations and cameras:
        return scene
    keep_cameras = cameras or any(frame.ego_from_lidar is None for frame in scene.frames)
    frames = tuple(
        replace(
            frame,
            annotations=frame.annotations if annotations else None,
            cameras=frame.cameras if keep_cameras else (),
        )
        for frame in scene.frames
    )
    return replace(scene, frames=frames)


def _has_annotations(scene: Scene) -> bool:
    return any(frame.annotations is not None and len(frame.annotations.boxes) > 0 for frame in scene.frames)


class _TableReader:
    """The tables of one version; `scenes` joins them."""

    def __init__(self, dataroot: Path, version: str) -> None:
        self.dataroot = dataroot
        self._version = version
        self._folder = dataroot / version
        if not dataroot.is_dir():
            raise InputError(f"{dataroot}: no such data root")
        if not self._folder.is_dir():
            raise InputError(f"{self._folder}: no such folder of tables")
        self.taxonomy = read_taxonomy(dataroot)
        self._read: dict[str, Table[Any]] = {}

    @property
    def may_lack_annotations(self) -> bool:
        """Whether scenes without a box are not annotated: in a test version, and where there is no box in any scene."""
        if self._version.endswith("test") or not self._annotation_path.is_file():
            return True
        is_short = self._annotation_path.stat().st_size < _EMPTY_BYTES
        return is_short and b"".join(self._annotation_path.read_bytes().split()) == b"[]"

    @property
    def _annotation_path(self) -> Path:
        return self._folder / f"{ANNOTATIONS}.json"

    def table(self, name: str, row: type[RowT]) -> Table[RowT]:
        """A table that is read as a whole, and once."""
        if name not in self._read:
            self._read[name] = read_table(self._folder / f"{name}.json", row)
        return self._read[name]

    def scenes(
        self, rows: Sequence[SceneRow], with_annotations: bool, with_cameras: bool, places: RowPlaces | None = None
    ) -> list[Scene]:
        """The scenes of some rows of the scene table.

        Args:
            rows: the rows.
            with_annotations, with_cameras: see `read_scenes`.
            places: where the rows of the large tables lie; None reads those as a whole.
        """
        large = LargeTables(self._folder, places, [row.token for row in rows])
        logs = self.table("log", LogRow)
        chains = self._sample_chains(rows)
        samples = {sample.token: sample for chain in chains for sample in chain}
        recordings = self._recordings(large, samples, with_cameras)
        annotations = self._annotations(large, samples) if with_annotations else None
        scenes = [
            Scene(
                token=row.token,
                name=row.name,
                description=row.description,
                location=logs.at(row.log_token, f"scene '{row.name}'").location,
                frames=tuple(_frame(sample, recordings[sample.token], annotations) for sample in chain),
                taxonomy=self.taxonomy,
            )
            for row, chain in zip(rows, chains, strict=True)
        ]
        return [_reduced(scene, with_annotations, with_cameras) for scene in scenes]

    def scene_rows(self, split: SplitName | None) -> list[SceneRow]:
        """The rows of the scenes of a split."""
        table = self.table("scene", SceneRow)
        rows = list(table.values())
        present = {row.name: row for row in rows}
        if len(present) != len(rows):
            twice = next(row for row in rows if present[row.name] is not row)
            raise table.error(twice, f"{shown(twice.name)} is the name of two scenes", "name")
        if split is None:
            return rows
        wanted = scene_names_of_split(self.dataroot, self._version, split)
        absent = [name for name in wanted if name not in present]
        if absent and not is_official_split(split):
            raise InputError(f"{table.path}: no scene {shown(absent[0])}, which split {shown(split)} lists")
        if len(absent) == len(wanted):
            raise InputError(f"{table.path}: holds no scene of split {shown(split)}")
        return [row for row in rows if row.name in set(wanted)]

    def _sample_chains(self, rows: Sequence[SceneRow]) -> list[list[SampleRow]]:
        """For each scene its key frames, from `first_sample_token` along `next`."""
        table = self.table("sample", SampleRow)
        chains = []
        for row in rows:
            sample = table.at(row.first_sample_token, f"first_sample_token of scene '{row.name}'")
            chain = {sample.token: sample}
            while sample.next:
                following = table.at(sample.next, f"next of sample '{sample.token}'")
                if following.token in chain:
                    raise table.error(sample, f"{shown(sample.next)} came before it in its scene", "next")
                sample = chain[following.token] = following
            if astray := [sample for sample in chain.values() if sample.scene_token != row.token]:
                raise table.error(astray[0], f"in the chain of scene {shown(row.name)}, but not of it", "scene_token")
            chains.append(list(chain.values()))
        return chains

    def _recordings(
        self, large: LargeTables, samples: dict[str, SampleRow], with_cameras: bool
    ) -> dict[str, _Recordings]:
        """For each sample its cameras, if they are wanted or needed, and the pose and mounting of its lidar."""
        sensors = self.table("sensor", SensorRow)
        calibrations = self.table("calibrated_sensor", CalibrationRow)
        lidars = {row.token for row in sensors.values() if row.channel == "LIDAR_TOP"}
        ignored = () if with_cameras else {row.token for row in calibrations.values() if row.sensor_token not in lidars}
        sample_data = large.table(
            (KEY_FRAMES,),
            SampleDataRow,
            lambda row: row.is_key_frame and row.sample_token in samples and row.calibrated_sensor_token not in ignored,
        )
        needed_poses = {row.ego_pose_token for row in sample_data.values()}
        poses = large.table((KEY_POSES,), PoseRow, lambda row: row.token in needed_poses)
        mountings = _poses(calibrations.values(), calibrations.path)
        ego_poses = _poses(poses.values(), poses.path)
        intrinsics: dict[str, FloatArray] = {}
        recordings = {token: _Recordings() for token in samples}
        for row in sample_data.values():
            referrer = f"sample_data '{row.token}'"
            calibration = calibrations.at(row.calibrated_sensor_token, referrer)
            sensor = sensors.at(calibration.sensor_token, f"calibrated_sensor '{calibration.token}'")
            ego_from_sensor = mountings[calibration.token]
            global_from_ego = ego_poses[poses.at(row.ego_pose_token, referrer).token]
            recording = recordings[row.sample_token]
            if sensor.modality == "camera":
                if calibration.token not in intrinsics:
                    intrinsics[calibration.token] = _intrinsic_of(calibration, calibrations.path)
                recording.cameras.append(
                    Camera(
                        name=sensor.channel,
                        timestamp_us=row.timestamp,
                        image_path=recorded_path(self.dataroot, sample_data, row),
                        stated_size_px=(row.width, row.height) if row.width and row.height else None,
                        intrinsic=intrinsics[calibration.token],
                        ego_from_camera=ego_from_sensor,
                        global_from_ego=global_from_ego,
                    )
                )
            elif sensor.channel == "LIDAR_TOP":
                recording.lidar = (global_from_ego, ego_from_sensor)
        if not with_cameras and any(recording.lidar is None for recording in recordings.values()):
            return self._recordings(large, samples, with_cameras=True)
        return recordings

    def _annotations(self, large: LargeTables, samples: dict[str, SampleRow]) -> dict[str, Annotations] | None:
        """Annotations by sample; None for a data root without their table, unless it was published with it."""
        if not self._annotation_path.is_file() and self._version not in _PUBLISHED_WITH_ANNOTATIONS:
            return None
        table = large.table((ANNOTATIONS,), AnnotationRow, lambda row: row.sample_token in samples)
        return read_annotations(table, samples, self.taxonomy, self.table)


_PUBLISHED_WITH_ANNOTATIONS = ("v1.0-mini", "v1.0-trainval")
"""Of these a missing table is one that got lost."""
_EMPTY_BYTES = 64
"""More than an empty table has, less than one with a row."""
_SCENES_AT_A_TIME = 50
"""Of large tables: their rows are objects while they are joined, and all at once would need gigabytes."""


class _Recordings:
    """What the sensors of one key frame gave; filled row by row."""

    def __init__(self) -> None:
        self.cameras: list[Camera] = []
        self.lidar: tuple[FloatArray, FloatArray] | None = None


def _poses(rows: Iterable[CalibrationRow | PoseRow], path: Path) -> dict[str, FloatArray]:
    """The (4, 4) pose of each row, by token."""
    listed = list(rows)
    for row in listed:
        if not any(row.rotation):
            raise InputError(f"{path}: row '{row.token}', key rotation: a zero quaternion")
    poses = pose_matrices([row.translation for row in listed], [row.rotation for row in listed])
    return {row.token: pose for row, pose in zip(listed, poses, strict=True)}


def _intrinsic_of(row: CalibrationRow, path: Path) -> FloatArray:
    intrinsic = np.array(row.camera_intrinsic, dtype=np.float64)
    if intrinsic.shape != (3, 3) or abs(np.linalg.det(intrinsic)) < 1e-9:
        raise InputError(f"{path}: row '{row.token}', key camera_intrinsic: not an invertible 3x3 matrix")
    return intrinsic


def _frame(sample: SampleRow, recording: _Recordings, annotations: dict[str, Annotations] | None) -> Frame:
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
