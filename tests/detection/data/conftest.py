"""A small city with images, and its info files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection.data import read_infos, write_infos
from detection.data.create_infos import create_infos
from detection.data.frame_record import CameraAnnotations
from detection.data.sample import CameraView, FrameSample
from scenes.city import TRAIN_SPLIT, VERSION, make_city

PIPELINE = [
    dict(type="LoadImages"),
    dict(type="FilterBoxesByRange", point_cloud_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]),
    dict(type="StillWhereUnknown"),
    dict(type="ResizeCropFlipRotate", output_size=(64, 160), training=True, zoom_range=(0.9, 1.2), flip=True),
    dict(type="RotateScaleFlipLidarFrame"),
    dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
    dict(type="PadImages", divisor=32),
]


@pytest.fixture(scope="session")
def small_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of two training scenes and one validation scene of five frames, with images of 320x180."""
    out = tmp_path_factory.mktemp("detector") / "city"
    make_city(out, train_scenes=2, val_scenes=1, frames=5, image_size=(320, 180), seed=11, workers=1)
    return out


@pytest.fixture(scope="session")
def train_infos(small_city: Path) -> Path:
    """The info file of the training scenes."""
    create_infos(small_city, VERSION)
    return small_city / f"nuscenes2d_temporal_infos_{TRAIN_SPLIT}.pkl"


@pytest.fixture
def edited_infos(train_infos: Path, tmp_path: Path) -> Callable[[Callable[[list[dict[str, Any]]], None]], Path]:
    """Gives a copy of the info file in which a function has changed the frames."""

    def edited(change: Callable[[list[dict[str, Any]]], None]) -> Path:
        infos, metadata = read_infos(train_infos)
        change(infos)
        path = tmp_path / "edited.pkl"
        write_infos(path, infos, metadata)
        return path

    return edited


@pytest.fixture
def pipeline() -> list[dict[str, Any]]:
    """A training pipeline for the small city."""
    return PIPELINE


@pytest.fixture
def make_sample() -> Callable[..., FrameSample]:
    """Makes a frame with one forward camera, and boxes that it sees."""
    return _make_sample


def _make_sample(
    image: Any, boxes: Any = None, focal_px: float = 200.0, boxes_px: Any = None, depths_m: Any = None
) -> FrameSample:
    boxes = np.zeros((0, 9)) if boxes is None else np.asarray(boxes, dtype=np.float64)
    height, width = image.shape[:2]
    image_from_camera = np.eye(4)
    image_from_camera[:3, :3] = [[focal_px, 0, 0.52 * width], [0, focal_px, 0.47 * height], [0, 0, 1]]
    camera_from_lidar = np.eye(4)
    camera_from_lidar[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # x right, y forward, z up
    camera_from_lidar[:3, 3] = [0.1, -0.3, -0.7]
    global_from_lidar = np.eye(4)
    global_from_lidar[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    global_from_lidar[:3, 3] = [600.0, 1600.0, 1.8]
    centers = (boxes[:, :3] @ camera_from_lidar[:3, :3].T + camera_from_lidar[:3, 3]) @ image_from_camera[:3, :3].T
    if boxes_px is None:
        boxes_px = np.tile([0.0, 0.0, width, height], (len(boxes), 1))
        centers_px = centers[:, :2] / centers[:, 2:]
    else:
        boxes_px = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
        centers_px = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    annotations = CameraAnnotations(
        boxes_px=boxes_px,
        labels=np.arange(len(boxes_px)),
        centers_px=centers_px,
        depths_m=centers[:, 2] if depths_m is None else np.asarray(depths_m, dtype=np.float64),
    )
    view = CameraView(
        "CAM_FRONT", Path("a.jpg"), (width, height), image, image_from_camera, camera_from_lidar, annotations
    )
    return FrameSample(
        sample_token="frame",
        scene_token="scene",
        timestamp_us=1_533_151_603_547_590,
        global_from_lidar=global_from_lidar,
        views=(view,),
        boxes=boxes,
        labels=np.arange(len(boxes)),
    )
