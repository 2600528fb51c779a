"""`FrameRecord`: one frame of an info file, checked and with poses as matrices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection.data.infos import CATEGORY_NAMES_2D, Info, in_published_order
from scenes import InputError
from scenes.errors import shown
from scenes.geometry import FloatArray, invert_pose, pose_matrix

IntArray = NDArray[np.int64]

_RECORDING_FOLDERS = ("samples", "sweeps")


@dataclass(frozen=True, eq=False)
class CameraAnnotations:
    """The M annotated objects that a camera sees.

    Attributes:
        boxes_px: (M, 4) left, top, right, bottom.
        labels: (M,) index into the camera classes of the data set.
        centers_px: (M, 2) projected centres of the 3D boxes; may lie outside the image.
        depths_m: (M,) depth of these centres along the optical axis.
    """

    boxes_px: FloatArray
    labels: IntArray
    centers_px: FloatArray
    depths_m: FloatArray

    def select(self, which: NDArray[Any]) -> CameraAnnotations:
        """The objects that a mask or an index array picks."""
        return CameraAnnotations(self.boxes_px[which], self.labels[which], self.centers_px[which], self.depths_m[which])


@dataclass(frozen=True, eq=False)
class CameraRecord:
    """One camera of a frame.

    Attributes:
        name: channel, such as `CAM_FRONT`.
        image_path: where the image lies.
        size_px: width and height; None in files that do not say.
        image_from_camera: (4, 4) pinhole matrix.
        camera_from_lidar: (4, 4) pose at the time of exposure, ego motion since the lidar's sweep included.
        annotations: what is annotated in it; None without annotations.
    """

    name: str
    image_path: Path
    size_px: tuple[int, int] | None
    image_from_camera: FloatArray
    camera_from_lidar: FloatArray
    annotations: CameraAnnotations | None


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame.

    Attributes:
        sample_token, scene_token: as in the tables.
        timestamp_us: time of the key frame.
        global_from_lidar: (4, 4) pose; the lidar frame is the ego frame in a recording without a lidar.
        cameras: in the order in which the network sees them.
        boxes: (N, 9) in the lidar frame, as in `detection.frames.FrameTargets`; None without annotations.
        labels: (N,) class indices.
    """

    sample_token: str
    scene_token: str
    timestamp_us: int
    global_from_lidar: FloatArray
    cameras: tuple[CameraRecord, ...]
    boxes: FloatArray | None
    labels: IntArray | None


class RecordReader:
    """Turns the dictionaries of an info file into `FrameRecord`s.

    Args:
        ann_file: path of the info file, for messages.
        dataroot: where the images lie.
        written_for: data root for which the file was written, if it says; paths below it are looked up below
            `dataroot`. Otherwise what follows a folder `samples` or `sweeps` is.
        cameras: names of the cameras in the order in which the network sees them. None takes those of the first
            frame, the six of nuScenes in the published order, others behind them as they come.
        classes: names of the classes. Boxes of others are left out, and boxes that by their `valid_flag` no sensor has
            seen.
        camera_classes: names that the 2D labels index.
        names_2d: what the file's own 2D labels index.
    """

    def __init__(
        self,
        ann_file: Path,
        dataroot: Path,
        written_for: str | None,
        classes: Sequence[str],
        camera_classes: Sequence[str],
        cameras: Sequence[str] | None = None,
        names_2d: Sequence[str] = CATEGORY_NAMES_2D,
    ) -> None:
        self._ann_file = ann_file
        self._dataroot = dataroot
        self._written_for = None if written_for is None else f"{written_for}{os.sep}"
        self._cameras = None if cameras is None else tuple(cameras)
        self._label_of_class = {name: label for label, name in enumerate(classes)}
        label_of_camera_class = {name: label for label, name in enumerate(camera_classes)}
        self._camera_label = np.array([label_of_camera_class.get(name, -1) for name in names_2d])

    def __call__(self, info: Info) -> FrameRecord:
        """The record of one frame.

        Raises:
            InputError: a camera is missing, calibration cannot be inverted, or arrays disagree in length.
        """
        if self._cameras is None:
            self._cameras = in_published_order(info["cams"])
        boxes, labels = self._boxes(info)
        global_from_ego = self._pose(info, "ego2global")
        ego_from_lidar = self._pose(info, "lidar2ego")
        return FrameRecord(
            sample_token=info["token"],
            scene_token=info["scene_token"],
            timestamp_us=int(info["timestamp"]),
            global_from_lidar=global_from_ego @ ego_from_lidar,
            cameras=tuple(self._camera(info, name) for name in self._cameras),
            boxes=boxes,
            labels=labels,
        )

    def _camera(self, info: Info, name: str) -> CameraRecord:
        try:
            camera = info["cams"][name]
        except KeyError:
            raise self._error(info, f"has no camera '{name}' (it has {', '.join(info['cams'])})") from None
        where = f"{name}: key "
        intrinsic = self._array(info, camera, "cam_intrinsic", (3, 3), where)
        if abs(np.linalg.det(intrinsic)) < 1e-9:
            raise self._error(info, f"{where}cam_intrinsic cannot be inverted")
        lidar_from_camera = np.eye(4)
        lidar_from_camera[:3, :3] = self._array(info, camera, "sensor2lidar_rotation", (3, 3), where)
        lidar_from_camera[:3, 3] = self._array(info, camera, "sensor2lidar_translation", (3,), where)
        if not _is_rotation(lidar_from_camera[:3, :3]):
            raise self._error(info, f"{where}sensor2lidar_rotation is not a rotation")
        image_from_camera = np.eye(4)
        image_from_camera[:3, :3] = intrinsic
        size_px = (int(camera["width"]), int(camera["height"])) if camera.get("width") else None
        return CameraRecord(
            name=name,
            image_path=self._image_path(info, name, str(camera["data_path"])),
            size_px=size_px,
            image_from_camera=image_from_camera,
            camera_from_lidar=invert_pose(lidar_from_camera),
            annotations=self._camera_annotations(info, name),
        )

    def _image_path(self, info: Info, name: str, recorded: str) -> Path:
        relative = self._path_below_dataroot(recorded)
        if relative.startswith("/") or ".." in PurePosixPath(relative).parts or "\0" in relative:
            raise self._error(info, f"{name}: key data_path: {shown(recorded)} does not lie below the data root")
        return Path(self._dataroot, relative)

    def _path_below_dataroot(self, recorded: str) -> str:
        if self._written_for is not None and recorded.startswith(self._written_for):
            return recorded[len(self._written_for) :]
        begins = max(f"/{recorded}".rfind(f"/{folder}/") for folder in _RECORDING_FOLDERS)
        return recorded[max(begins, 0) :]

    def _pose(self, info: Info, name: str) -> FloatArray:
        rotation = self._array(info, info, f"{name}_rotation", (4,), "key ")
        translation = self._array(info, info, f"{name}_translation", (3,), "key ")
        if not rotation.any():
            raise self._error(info, f"key {name}_rotation is a zero quaternion")
        return pose_matrix(translation.tolist(), rotation.tolist())

    def _array(self, info: Info, part: Mapping[str, Any], key: str, shape: tuple[int, ...], where: str) -> FloatArray:
        """The numbers under a key of a frame, or of a part of it."""
        try:
            array = np.asarray(part[key], dtype=np.float64)
        except (TypeError, ValueError):
            raise self._error(info, f"{where}{key} holds something else than numbers") from None
        if array.shape != shape or not np.isfinite(array).all():
            expected = "x".join(map(str, shape))
            raise self._error(info, f"{where}{key} is not {expected} finite numbers")
        return array

    def _boxes(self, info: Info) -> tuple[FloatArray | None, IntArray | None]:
        if "gt_boxes" not in info:
            return None, None
        names = [str(name) for name in info["gt_names"]]
        boxes = np.asarray(info["gt_boxes"], dtype=np.float64).reshape(-1, 7)
        velocity = np.asarray(info["gt_velocity"], dtype=np.float64).reshape(-1, 2)
        labels = np.array([self._label_of_class.get(name, -1) for name in names], dtype=np.int64)
        seen = np.asarray(info["valid_flag"], dtype=np.bool_).reshape(-1)
        if not len(names) == len(boxes) == len(velocity) == len(seen):
            raise self._error(info, "gt_names, gt_boxes, gt_velocity and valid_flag differ in length")
        if not np.isfinite(boxes).all():
            raise self._error(info, f"gt_boxes {int(np.argwhere(~np.isfinite(boxes))[0, 0])} is not finite")
        kept = seen & (labels >= 0)
        return np.concatenate([boxes, velocity], axis=1)[kept], labels[kept]

    def _camera_annotations(self, info: Info, name: str) -> CameraAnnotations | None:
        if "bboxes2d" not in info:
            return None
        index = list(info["cams"]).index(name)
        labels = np.asarray(info["labels2d"][index], dtype=np.int64)
        annotations = CameraAnnotations(
            boxes_px=np.asarray(info["bboxes2d"][index], dtype=np.float64).reshape(-1, 4),
            labels=self._camera_label[labels],
            centers_px=np.asarray(info["centers2d"][index], dtype=np.float64).reshape(-1, 2),
            depths_m=np.asarray(info["depths"][index], dtype=np.float64).reshape(-1),
        )
        return annotations.select(annotations.labels >= 0)

    def _error(self, info: Info, what: str) -> InputError:
        return InputError(f"{self._ann_file}: sample '{info['token']}': {what}")


def _is_rotation(matrix: FloatArray) -> bool:
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-3 and np.linalg.det(matrix) > 0)
