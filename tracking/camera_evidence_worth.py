"""What the boxes of a 2D detector are worth to the tracker on a synthetic city: with and without, over seeds.

Both detectors are simulated from the annotations (`scenes.city`), so images are not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from scenes import Scene
from scenes.city.simulated_camera_detector import simulate_camera_boxes
from scenes.city.simulated_detector import simulate_detections
from scenes.geometry import FloatArray
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores
from tracking.config import TrackerConfig
from tracking.judge import Judge
from tracking.run import track_results

_COLUMNS: Final = {
    "amota": "AMOTA",
    "fn": "misses",
    "ids": "identity switches",
    "fp": "false boxes",
    "recall": "recall",
}


def worth_table(
    scenes: list[Scene],
    config: TrackerConfig,
    seeds: Sequence[int],
    judge: Judge,
    *,
    offline: bool = False,
    workers: int | None = None,
) -> Iterator[str]:
    """The lines of a Markdown table: metrics without and with 2D boxes, and their change.

    Args:
        scenes: of a city, with annotations.
        config: of the tracker.
        seeds: of the simulated detectors.
        judge: of the tracks; with several workers it has to be a function of a module.
        offline: whether to look at each drive as a whole.
        workers: processes; None for all cores.
    """
    jobs = [(scenes, config, seed, offline, judge) for seed in seeds]
    # (seeds, without and with, columns)
    values = np.array(list(run_jobs(_measured, jobs, workers or available_cores())))
    mean, change = values.mean(axis=0), values[:, 1] - values[:, 0]
    yield f"| {len(scenes)} scenes, mean of {len(seeds)} seeds | " + " | ".join(_COLUMNS.values()) + " |"
    yield "|---" * (len(_COLUMNS) + 1) + "|"
    for name, row in zip(("3D boxes alone", "with 2D boxes", "change"), (*mean, change.mean(axis=0)), strict=True):
        yield f"| {name} | " + " | ".join(_cells(row)) + " |"
    # How far the seeds scatter around the mean change.
    yield "| its standard deviation over seeds | " + " | ".join(_cells(change.std(axis=0))) + " |"


def _measured(scenes: list[Scene], config: TrackerConfig, seed: int, offline: bool, judge: Judge) -> list[list[float]]:
    """The columns without and with 2D boxes."""
    detections = simulate_detections(scenes, seed=seed)
    rows = []
    for camera_boxes in (None, simulate_camera_boxes(scenes, seed=seed)):
        tracks = track_results(detections, scenes, config, offline=offline, camera_evidence=camera_boxes)
        summary = judge(tracks, scenes).summary
        rows.append([float(summary[name]) for name in _COLUMNS])
    return rows


def _cells(row: FloatArray) -> list[str]:
    return [
        f"{value:.3f}" if name in ("amota", "recall") else f"{value:.1f}"
        for name, value in zip(_COLUMNS, row, strict=True)
    ]
