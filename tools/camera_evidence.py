"""Print what the boxes of a 2D detector are worth to the tracker on a synthetic city: with and without, over seeds.

Both detectors are simulated from the annotations (`scenes.city`), so images are not needed.
"""

import argparse
from pathlib import Path

import numpy as np

from evaluation.tracking import tracking_metrics
from scenes import Scene, read_scenes
from scenes.city.simulated_camera_detector import simulate_camera_boxes
from scenes.city.simulated_detector import simulate_detections
from scenes.command import run_command
from scenes.processes import available_cores, run_jobs
from tracking import TrackerConfig, load_tracker_config, track_results

_COLUMNS = {"amota": "AMOTA", "fn": "misses", "ids": "identity switches", "fp": "false boxes", "recall": "recall"}


def main() -> None:
    """Parse the command line, track with every seed, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", type=Path, required=True, help="a city, see `streamtrack make_city`")
    parser.add_argument("--version", default="v1.0-city", help="folder of tables in it (default: %(default)s)")
    parser.add_argument("--split", default="city_val", help="default: %(default)s")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(6), help="of the detectors (default: 0 to 5)")
    parser.add_argument("--offline", action="store_true", help="look at each drive as a whole")
    parser.add_argument("--workers", type=int, help="processes (default: all cores)")
    arguments = parser.parse_args()
    config = load_tracker_config(arguments.config) if arguments.config else TrackerConfig()
    scenes = read_scenes(arguments.dataroot, arguments.version, arguments.split)
    seeds = list(arguments.seeds)
    jobs = [(scenes, config, seed, arguments.offline) for seed in seeds]
    # (seeds, without and with, columns)
    values = np.array(list(run_jobs(_measured, jobs, arguments.workers or available_cores())))
    mean, change = values.mean(axis=0), values[:, 1] - values[:, 0]
    print(f"| {len(scenes)} scenes, mean of {len(seeds)} seeds | " + " | ".join(_COLUMNS.values()) + " |")
    print("|---" * (len(_COLUMNS) + 1) + "|")
    for name, row in zip(("3D boxes alone", "with 2D boxes", "change"), (*mean, change.mean(axis=0)), strict=True):
        print(f"| {name} | " + " | ".join(_cells(row)) + " |")
    # How far the seeds scatter around the mean change.
    print("| its standard deviation over seeds | " + " | ".join(_cells(change.std(axis=0))) + " |")


def _measured(scenes: list[Scene], config: TrackerConfig, seed: int, offline: bool) -> list[list[float]]:
    """The columns without and with 2D boxes."""
    detections = simulate_detections(scenes, seed=seed)
    rows = []
    for camera_boxes in (None, simulate_camera_boxes(scenes, seed=seed)):
        tracks = track_results(detections, scenes, config, offline=offline, camera_evidence=camera_boxes)
        summary = tracking_metrics(tracks, scenes).summary
        rows.append([float(summary[name]) for name in _COLUMNS])
    return rows


def _cells(row: np.ndarray) -> list[str]:
    return [
        f"{value:.3f}" if name in ("amota", "recall") else f"{value:.1f}"
        for name, value in zip(_COLUMNS, row, strict=True)
    ]


if __name__ == "__main__":
    run_command(main)
