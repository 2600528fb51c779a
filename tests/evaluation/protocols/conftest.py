"""Made-up KITTI sequences, as arrays and as a data root."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from evaluation.protocols.kitti_boxes import KittiLabels, KittiSequence, KittiTracks
from scenes import Results, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.formats import open_source

Lines = list[list]


@pytest.fixture(scope="session")
def record() -> ModuleType:
    """The module that makes them up."""
    spec = importlib.util.spec_from_file_location("kitti_record", Path(__file__).with_name("record.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_up(record: ModuleType) -> Callable[[int], KittiSequence]:
    """The sequence of a seed."""
    return lambda seed: as_sequence(*record.sequence(seed), record.FRAMES)


@pytest.fixture(scope="session")
def parsed() -> Callable[[Lines, Lines, int], KittiSequence]:
    """What lines of labels and of tracks say of a sequence of some frames."""
    return as_sequence


def as_sequence(labels: Lines, tracks: Lines, n_frames: int) -> KittiSequence:
    regions = [line for line in labels if line[2] == "DontCare"]
    objects = [line for line in labels if line[2] != "DontCare"]
    return KittiSequence(
        n_frames,
        KittiLabels(**_columns(objects), truncated=_whole(objects, 3), occluded=_whole(objects, 4)),
        _whole(regions, 0),
        np.array([line[6:10] for line in regions], dtype=float).reshape(-1, 4),
        KittiTracks(**_columns(tracks), score=np.array([line[17] for line in tracks], dtype=float)),
    )


def _whole(lines: Lines, column: int) -> np.ndarray:
    return np.array([line[column] for line in lines], dtype=np.int64)


def _columns(lines: Lines) -> dict[str, np.ndarray]:
    numbers = np.array([line[6:17] for line in lines], dtype=float).reshape(-1, 11)
    return {
        "frame": _whole(lines, 0),
        "track": _whole(lines, 1),
        "kind": np.array([line[2] for line in lines], dtype=np.str_),
        "edges_px": numbers[:, :4],
        "size_wlh_m": numbers[:, [5, 6, 4]],
        "bottom_m": numbers[:, 7:10],
        "ry_rad": numbers[:, 10],
    }


FOCAL_PX = 721.5377
"""Of the recording days whose images have 1242 x 375 pixels, which the converter knows."""


@pytest.fixture(scope="session")
def kitti_folder(record: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up sequences as KITTI publishes them, without images."""
    folder = tmp_path_factory.mktemp("kitti")
    write_kitti(folder, record, {"0006": 6, "0007": 7}, FOCAL_PX)
    return folder


@pytest.fixture(scope="session")
def kitti_root(kitti_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """They as a data root."""
    root = tmp_path_factory.mktemp("root") / "kitti"
    convert(open_source("kitti", kitti_folder), root)
    return root


def write_kitti(folder: Path, record: ModuleType, seeds: dict[str, int], focal_px: float) -> None:
    intrinsic = np.array([[focal_px, 0, 609.5593], [0, focal_px, 172.854], [0, 0, 1]])
    rectified = Rotation.from_euler("xyz", [0.01, -0.007, 0.002]).as_matrix()
    # Velodyne: x ahead, y left, z up. GPS/IMU: the same axes, a little behind and below.
    velodyne = np.column_stack([[[0, -1, 0], [0, 0, -1], [1, 0, 0]], [0.0, -0.07, -0.27]])
    imu = np.column_stack([Rotation.from_euler("z", 0.003).as_matrix(), [-0.81, 0.32, -0.8]])
    matrices = {f"P{number}:": intrinsic @ np.column_stack([np.eye(3), [0.06, 0, 0.003]]) for number in range(4)}
    matrices |= {"R_rect": rectified, "Tr_velo_cam": velodyne, "Tr_imu_velo": imu}
    calibration = "".join(
        f"{name} {' '.join(map(repr, matrix.ravel().tolist()))}\n" for name, matrix in matrices.items()
    )
    for name in ("calib", "oxts", "label_02"):
        (folder / name).mkdir(parents=True)
    for name, seed in seeds.items():
        labels, _ = record.sequence(seed)
        poses = [f"{49 + 1e-5 * frame} 8.4 110 0.01 0.02 {0.3 + 0.02 * frame}" for frame in range(record.FRAMES)]
        (folder / "calib" / f"{name}.txt").write_text(calibration)
        (folder / "oxts" / f"{name}.txt").write_text("".join(f"{pose}{' 0' * 24}\n" for pose in poses))
        (folder / "label_02" / f"{name}.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in labels))


@pytest.fixture(scope="session")
def found_tracks(kitti_root: Path) -> Results:
    """Tracks on that data root: the annotated boxes, some missing, each with a score of its own."""
    rng = np.random.default_rng(0)
    boxes = {}
    for scene in read_scenes(kitti_root, "v1.0-kitti", "all"):
        for frame in scene.frames:
            kept = frame.annotations.boxes
            kept = kept.select(rng.random(len(kept)) < 0.9)
            moved = replace(kept, center_m=kept.center_m + rng.normal(0, 0.2, kept.center_m.shape))
            boxes[frame.token] = replace(moved, score=rng.random(len(kept)))
    return Results(
        boxes, {"use_camera": True, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}
    )
