"""nuScenes tables -> info files.

What mmdet3d 1.0 and StreamPETR read of a frame is written under the keys of their converters, plus `instance_tokens`
and the image size of each camera. Boxes of categories outside the classes of the data root, which their data sets drop,
are left out. A recording without LIDAR_TOP takes the ego frame for its lidar frame.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from detection.data.coco_export import Row, coco_instances
from detection.data.infos import CATEGORY_NAMES_2D, Info, in_published_order, read_infos, write_infos
from scenes import (
    DETECTION_CLASSES,
    NUSCENES,
    Annotations,
    Boxes3D,
    Camera,
    Frame,
    InputError,
    Scene,
    Taxonomy,
    read_scenes,
    read_taxonomy,
)
from scenes.files import atomic_paths
from scenes.geometry import FloatArray, invert_pose, pose_matrix, transform_points
from scenes.jobs.executors import run_jobs
from scenes.large_tables.row_places import KEY_FRAMES, KEY_POSES, LIDAR_SWEEPS, SWEEP_POSES
from scenes.large_tables.scene_store import tables_stamp
from scenes.large_tables.wanted_rows import LargeTables
from scenes.projected_boxes import projected_boxes
from scenes.splits import scene_names_of_split, splits_of_version
from scenes.table_rows import (
    CalibrationRow,
    PoseRow,
    SampleDataRow,
    SceneRow,
    SensorRow,
    Table,
    read_table,
    recorded_path,
)

MAX_SWEEPS: Final = 10

_SCENES_AT_A_TIME: Final = 200
"""Whose rows of the large tables are in memory at once."""

_CATEGORY_OF_LABEL: Final = np.array([CATEGORY_NAMES_2D.index(name) for name in DETECTION_CLASSES])


@dataclass(frozen=True)
class CocoFile:
    """A COCO instances file that was written; `crowds` of the boxes are crowds."""

    path: Path
    images: int
    boxes: int
    crowds: int


@dataclass(frozen=True)
class SplitFiles:
    """The files of a split that were written: an info file with so many frames, and a COCO file if one was wanted."""

    path: Path
    frames: int
    coco: CocoFile | None


def create_infos(
    dataroot: Path | str,
    version: str,
    out_dir: Path | str | None = None,
    tag: str = "nuscenes2d",
    progress: Callable[[str, int, int], None] | None = None,
    *,
    coco: bool = False,
    workers: int = 1,
) -> list[SplitFiles]:
    """Write `<tag>_temporal_infos_<split>.pkl` for each split of which the data root holds a scene: all or none.

    Meanwhile each scene's part lies in a hidden folder beside them. If the work is ended before its end, the same call
    goes on where it was, as long as tables and classes are the same.

    The splits are the devkit's of that version (`train`, `val`, `test`; those of mini are called the same) and those in
    `splits.json`. Where there are none, one file with all scenes is written, `..._all.pkl`.

    Args:
        dataroot: nuScenes data root. Images are needed only where the tables do not tell their size.
        version: folder of the tables in it.
        out_dir: where to write; None takes the data root.
        tag: first part of the file names.
        progress: called with the split, the finished scenes and their number.
        coco: whether to write `coco_<split>.json` too; see `detection.data.coco_export.coco_instances`.
        workers: processes; with more than one a script that calls this needs the usual `if __name__ == "__main__":`.

    Returns:
        What was written, split by split.

    Raises:
        InputError: the tables are missing or unusable, or the data root holds no scene of any split.
    """
    dataroot = Path(dataroot)
    present = {row.name for row in _table(dataroot, version, "scene", SceneRow).values()}
    splits: list[str | None] = [
        split
        for split in splits_of_version(dataroot, version)
        if not present.isdisjoint(scene_names_of_split(dataroot, version, split))
    ]
    if not splits and splits_of_version(dataroot, version):
        raise InputError(f"{dataroot / version}: holds no scene of {', '.join(splits_of_version(dataroot, version))}")
    splits = splits or [None]
    folder = Path(out_dir or dataroot)
    paths = [folder / info_file_name(split, tag) for split in splits]
    coco_paths = [folder / coco_file_name(split) for split in splits] if coco else []
    taxonomy = read_taxonomy(dataroot)
    # Files of nuScenes' classes are those of the published converters.
    own_classes = {} if taxonomy == NUSCENES else {"classes": list(taxonomy.names)}
    written = []
    parts = _Parts.of(dataroot, version, folder, tag)
    with parts.kept_for_another_try(), atomic_paths([*paths, *coco_paths]) as temporaries:
        for index, split in enumerate(splits):
            infos = _infos_of_split(dataroot, version, split, parts, workers, progress or _silent)
            write_infos(temporaries[index], infos, {"version": version, "dataroot": str(dataroot), **own_classes})
            coco_file = None
            if coco:
                content = coco_instances(infos, dataroot, taxonomy)
                temporaries[len(splits) + index].write_bytes(msgspec.json.encode(content))
                coco_file = _coco_file(coco_paths[index], content)
            written.append(SplitFiles(paths[index], len(infos), coco_file))
    return written


def info_file_name(split: str | None, tag: str = "nuscenes2d") -> str:
    """The name of the info file of a split; None: of a data root that knows no splits."""
    return f"{tag}_temporal_infos_{_short_name(split)}.pkl"


def coco_file_name(split: str | None) -> str:
    """The name of the COCO file of a split; None: of a data root that knows no splits."""
    return f"coco_{_short_name(split)}.json"


def _short_name(split: str | None) -> str:
    return (split or "all").removeprefix("mini_")


def _coco_file(path: Path, content: Mapping[str, list[Row]]) -> CocoFile:
    boxes = content["annotations"]
    return CocoFile(path, len(content["images"]), len(boxes), sum(box["iscrowd"] for box in boxes))


@dataclass(frozen=True)
class _Parts:
    """The finished scenes of a work that may be ended at any moment: an info file each, in a folder of their own."""

    folder: Path

    @classmethod
    def of(cls, dataroot: Path, version: str, out_dir: Path, tag: str) -> _Parts:
        """Those made from these tables by these sources; any others are not looked at."""
        digest = blake2b(tables_stamp(dataroot, version), digest_size=8)
        for source in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(source.read_bytes())
        return cls(out_dir / f".{tag[:40]}_parts_{digest.hexdigest()}")

    def path(self, scene: Scene) -> Path:
        """Where a scene's part lies once it is made."""
        return self.folder / f"{blake2b(scene.token.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.pkl"

    @contextmanager
    def kept_for_another_try(self) -> Iterator[None]:
        """Keep the parts if the work ends before its end, as by a signal or a full disk.

        They are removed in the end, and after an `InputError`: parts of faulty tables are none of mended ones.
        """
        try:
            yield
        except InputError:
            self._remove()
            raise
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _infos_of_split(
    dataroot: Path,
    version: str,
    split: str | None,
    parts: _Parts,
    workers: int,
    progress: Callable[[str, int, int], None],
) -> list[Info]:
    scenes = read_scenes(dataroot, version, split)
    missing = [scene for scene in scenes if not parts.path(scene).is_file()]
    done = len(scenes) - len(missing)
    progress(split or "all", done, len(scenes))
    for start in range(0, len(missing), _SCENES_AT_A_TIME):
        batch = missing[start : start + _SCENES_AT_A_TIME]
        recordings = _Recordings.read(dataroot, version, batch)
        jobs = [(scene, recordings[scene.token], parts.path(scene)) for scene in batch]
        for _ in run_jobs(_write_part, jobs, workers):
            done += 1
            progress(split or "all", done, len(scenes))
    return [info for scene in scenes for info in read_infos(parts.path(scene))[0]]


def _write_part(scene: Scene, recordings: _Recordings, path: Path) -> None:
    write_infos(path, _infos_of_scene(scene, recordings), {})


def _infos_of_scene(scene: Scene, recordings: _Recordings) -> list[Info]:
    tokens = ("", *scene.sample_tokens, "")
    return [
        {
            "token": frame.token,
            "prev": tokens[index],
            "next": tokens[index + 2],
            "scene_token": scene.token,
            "frame_idx": index,
            **_info_of_frame(frame, recordings, scene.taxonomy),
        }
        for index, frame in enumerate(scene.frames)
    ]


def _info_of_frame(frame: Frame, recordings: _Recordings, taxonomy: Taxonomy) -> Info:
    ego_from_lidar = np.eye(4) if frame.ego_from_lidar is None else frame.ego_from_lidar
    lidar_from_global = invert_pose(frame.global_from_ego @ ego_from_lidar)
    by_name = {camera.name: camera for camera in frame.cameras}
    cameras = [by_name[name] for name in in_published_order(by_name)]
    lidar_path, sweeps = recordings.lidar(frame.token)
    info = {
        "timestamp": frame.timestamp_us,
        "lidar_path": lidar_path,
        "sweeps": [_sensor(**sweep, kind="lidar", lidar_from_global=lidar_from_global) for sweep in sweeps],
        **_pose_entries("lidar2ego", ego_from_lidar),
        **_pose_entries("ego2global", frame.global_from_ego),
        "cams": {
            camera.name: {
                **_sensor(
                    path=camera.image_path,
                    token=recordings.token(frame.token, camera.name),
                    timestamp_us=camera.timestamp_us,
                    ego_from_sensor=camera.ego_from_camera,
                    global_from_ego=camera.global_from_ego,
                    kind=camera.name,
                    lidar_from_global=lidar_from_global,
                ),
                "cam_intrinsic": camera.intrinsic,
                "width": camera.width_px,
                "height": camera.height_px,
            }
            for camera in cameras
        },
    }
    if frame.annotations is not None:
        names = taxonomy.names
        info.update(_annotations_3d(frame.annotations, names, lidar_from_global, with_lidar=bool(lidar_path)))
        info.update(_annotations_2d(frame.annotations, cameras, _labels_2d(taxonomy)))
    return info


def _annotations_3d(
    annotations: Annotations, names: Sequence[str], lidar_from_global: FloatArray, with_lidar: bool
) -> Info:
    boxes = annotations.boxes.transform(lidar_from_global)
    points = annotations.num_lidar_pts + annotations.num_radar_pts
    length_width_height = boxes.size_wlh_m[:, [1, 0, 2]]
    assert boxes.track_id is not None  # annotations have instance tokens
    return {
        "gt_boxes": np.concatenate([boxes.center_m, length_width_height, boxes.yaw_rad[:, None]], axis=1),
        "gt_names": np.array([names[label] for label in boxes.label], dtype=np.str_),
        "gt_velocity": boxes.velocity_mps,
        "num_lidar_pts": annotations.num_lidar_pts,
        "num_radar_pts": annotations.num_radar_pts,
        # Without a lidar no count says whether a box was seen; whoever annotated it has seen it.
        "valid_flag": points > 0 if with_lidar else np.ones(len(boxes), dtype=np.bool_),
        "instance_tokens": boxes.track_id,
    }


def _labels_2d(taxonomy: Taxonomy) -> NDArray[np.int64]:
    """(C,) how the 2D boxes number each label: the published converter has an order of its own."""
    return _CATEGORY_OF_LABEL if taxonomy == NUSCENES else np.arange(len(taxonomy))


def _annotations_2d(annotations: Annotations, cameras: list[Camera], category_of_label: NDArray[np.int64]) -> Info:
    """For each key a list over the cameras."""
    columns: dict[str, list[Any]] = {
        key: []
        for key in ("bboxes2d", "bboxes3d_cams", "labels2d", "centers2d", "depths", "bboxes_ignore", "visibilities")
    }
    for camera in cameras:
        indices, rectangles_px, centers_px, depths_m = projected_boxes(annotations.boxes, camera)
        seen = annotations.boxes.select(indices)
        columns["bboxes2d"].append(rectangles_px.astype(np.float32))
        columns["bboxes3d_cams"].append(_boxes_in_camera(seen, camera).astype(np.float32))
        columns["labels2d"].append(category_of_label[seen.label])
        columns["centers2d"].append(centers_px.astype(np.float32))
        columns["depths"].append(depths_m.astype(np.float32))
        columns["bboxes_ignore"].append(np.zeros((0, 4), dtype=np.float32))
        columns["visibilities"].append([str(level) if level else "" for level in annotations.visibility[indices]])
    return columns


def _boxes_in_camera(boxes: Boxes3D, camera: Camera) -> FloatArray:
    """(M, 7) centre, length, height, width and the converter's angle, in camera coordinates."""
    centers = transform_points(camera.camera_from_global, boxes.center_m)
    if not len(boxes):
        return np.zeros((0, 7))
    turn = camera.camera_from_global[:3, :3] @ Rotation.from_quat(boxes.rotation, scalar_first=True).as_matrix()
    # The negative of what pyquaternion calls yaw.
    angle = np.arctan2(turn[:, 0, 1], turn[:, 0, 0])
    return np.concatenate([centers, boxes.size_wlh_m[:, [1, 2, 0]], angle[:, None]], axis=1)


def _sensor(
    *,
    path: Path,
    token: str,
    timestamp_us: int,
    ego_from_sensor: FloatArray,
    global_from_ego: FloatArray,
    kind: str,
    lidar_from_global: FloatArray,
) -> Info:
    lidar_from_sensor = lidar_from_global @ global_from_ego @ ego_from_sensor
    return {
        "data_path": str(path),
        "type": kind,
        "sample_data_token": token,
        "timestamp": timestamp_us,
        **_pose_entries("sensor2ego", ego_from_sensor),
        **_pose_entries("ego2global", global_from_ego),
        "sensor2lidar_rotation": lidar_from_sensor[:3, :3],
        "sensor2lidar_translation": lidar_from_sensor[:3, 3],
    }


def _pose_entries(name: str, pose: FloatArray) -> Info:
    rotation_wxyz = Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)
    return {f"{name}_translation": pose[:3, 3].tolist(), f"{name}_rotation": rotation_wxyz.tolist()}


@dataclass(frozen=True)
class _Recordings:
    """What info files tell of a scene's recordings and `scenes.Frame` does not: their tokens, and the lidar's sweeps.

    Attributes:
        dataroot: data root.
        recordings: the recordings of the key frames, and all of LIDAR_TOP.
        tokens: token of each key frame's recording, by sample token and channel.
        sweeps: the LIDAR_TOP recordings, key frames or not, in the order of time.
        key_sweeps: by sample token the key frame among them.
        calibrations, poses: what the sweeps refer to.
    """

    dataroot: Path
    recordings: Table[SampleDataRow]
    tokens: Mapping[tuple[str, str], str]
    sweeps: Sequence[SampleDataRow]
    key_sweeps: Mapping[str, SampleDataRow]
    calibrations: Table[CalibrationRow]
    poses: Table[PoseRow]

    @classmethod
    def read(cls, dataroot: Path, version: str, scenes: Sequence[Scene]) -> dict[str, _Recordings]:
        """Those of some scenes, by scene token."""
        sensors = _table(dataroot, version, "sensor", SensorRow)
        calibrations = _table(dataroot, version, "calibrated_sensor", CalibrationRow)
        channels = {
            row.token: sensors.at(row.sensor_token, f"calibrated_sensor '{row.token}'").channel
            for row in calibrations.values()
        }
        scene_of_sample = {token: scene.token for scene in scenes for token in scene.sample_tokens}
        large = LargeTables.of(dataroot, version, [scene.token for scene in scenes])

        def wanted(row: SampleDataRow) -> bool:
            is_sweep = channels.get(row.calibrated_sensor_token) == "LIDAR_TOP"
            return row.sample_token in scene_of_sample and (row.is_key_frame or is_sweep)

        rows = large.table((KEY_FRAMES, LIDAR_SWEEPS), SampleDataRow, wanted)
        needed = {row.ego_pose_token for row in rows.values() if channels[row.calibrated_sensor_token] == "LIDAR_TOP"}
        poses = large.table((KEY_POSES, SWEEP_POSES), PoseRow, lambda row: row.token in needed)
        of_scene: dict[str, list[SampleDataRow]] = {scene.token: [] for scene in scenes}
        for row in rows.values():
            of_scene[scene_of_sample[row.sample_token]].append(row)
        return {
            token: cls._of_scene(dataroot, Table(rows.path, of_scene[token]), channels, calibrations, poses)
            for token in of_scene
        }

    @classmethod
    def _of_scene(
        cls,
        dataroot: Path,
        rows: Table[SampleDataRow],
        channels: Mapping[str, str],
        calibrations: Table[CalibrationRow],
        poses: Table[PoseRow],
    ) -> _Recordings:
        key_frames = [row for row in rows.values() if row.is_key_frame]
        sweeps = [row for row in rows.values() if channels[row.calibrated_sensor_token] == "LIDAR_TOP"]
        sweeps.sort(key=_time)
        mounted = dict.fromkeys(row.calibrated_sensor_token for row in sweeps)
        driven = dict.fromkeys(row.ego_pose_token for row in sweeps if row.ego_pose_token in poses)
        return cls(
            dataroot,
            rows,
            {(row.sample_token, channels[row.calibrated_sensor_token]): row.token for row in key_frames},
            sweeps,
            {row.sample_token: row for row in sweeps if row.is_key_frame},
            Table(calibrations.path, (calibrations[token] for token in mounted)),
            Table(poses.path, (poses[token] for token in driven)),
        )

    def token(self, sample_token: str, channel: str) -> str:
        """The token of a key frame's recording."""
        return self.tokens[sample_token, channel]

    def lidar(self, sample_token: str) -> tuple[str, list[dict[str, Any]]]:
        """The path of a key frame's sweep and what `_sensor` needs of those before it, newest first.

        Both are empty in a recording without LIDAR_TOP. A data root that holds key frames only has these as sweeps:
        StreamPETR takes a frame without any for the first of its scene.
        """
        key = self.key_sweeps.get(sample_token)
        if key is None:
            return "", []
        end = bisect_left(self.sweeps, key.timestamp, key=_time)
        before = self.sweeps[max(0, end - MAX_SWEEPS) : end][::-1]
        return str(recorded_path(self.dataroot, self.recordings, key)), [self._sweep(row) for row in before]

    def _sweep(self, row: SampleDataRow) -> dict[str, Any]:
        calibration = self.calibrations[row.calibrated_sensor_token]
        pose = self.poses.at(row.ego_pose_token, f"sample_data '{row.token}'")
        return {
            "path": recorded_path(self.dataroot, self.recordings, row),
            "token": row.token,
            "timestamp_us": row.timestamp,
            "ego_from_sensor": pose_matrix(calibration.translation, calibration.rotation),
            "global_from_ego": pose_matrix(pose.translation, pose.rotation),
        }


def _time(row: SampleDataRow) -> int:
    return row.timestamp


def _table(dataroot: Path, version: str, name: str, row: type[Any]) -> Table[Any]:
    folder = dataroot / version
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of tables")
    return read_table(folder / f"{name}.json", row)


def _silent(split: str, done: int, total: int) -> None:
    pass
