"""One setting from 1 to 10 frames a second: a real drive of KITTI, all its frames and every second, fifth and tenth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.tracking import tracking_metrics
from scenes import Results, Scene, read_detections, read_scenes
from tracking import TrackerConfig, track_results

SEQUENCE = "0020"


@pytest.fixture(scope="module")
def drive(
    shared: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Scene], Results]:
    """Three classes of objects and the boxes of a lidar detector without velocities."""
    folder = tmp_path_factory.mktemp("kitti")
    for name in ("label_02", "calib", "oxts"):
        (folder / "source" / name).mkdir(parents=True)
        shutil.copy(shared / "kitti_tracking" / name / f"{SEQUENCE}.txt", folder / "source" / name)
    assert run("convert_data.py", "kitti", folder / "source", folder / "root")[0] == 0
    boxes = shared / "kitti_tracking" / "detections" / "robmot_second_iou"
    data = ["--dataroot", folder / "root", "--version", "v1.0-kitti", "--split", "all"]
    assert run("convert_results.py", "kitti", boxes, *data, "--out", folder / "boxes.json")[0] == 0
    return read_scenes(folder / "root", "v1.0-kitti", "all"), read_detections(folder / "boxes.json")


@pytest.mark.parametrize(
    ("every", "least_amota", "most_switches"), [(1, 0.82, 6), (2, 0.80, 4), (5, 0.83, 4), (10, 0.72, 14)]
)
def test_cars_are_tracked_at_any_frame_rate(
    drive: tuple[list[Scene], Results], every: int, least_amota: float, most_switches: int
) -> None:
    scenes, detections = drive
    thinned = [replace(scene, frames=scene.frames[::every]) for scene in scenes]
    boxes = {token: detections.boxes[token] for scene in thinned for token in scene.sample_tokens}
    tracks = track_results(replace(detections, boxes=boxes), thinned, TrackerConfig())
    metrics = tracking_metrics(tracks, thinned).summary["label_metrics"]
    assert metrics["amota"]["car"] >= least_amota and metrics["ids"]["car"] <= most_switches
