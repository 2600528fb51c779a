"""Print how methods differ over seeds: mean and standard deviation of each, and of the difference from the first.

    streamtrack compare_methods plain=a_0.json,a_1.json new=b_0.json,b_1.json --dataroot D --version V --split S

The files are detections, one a seed, in the same order of seeds for every method. Tracks are made by the tracker's
built-in settings. `ray duplicates` are those of an annotation beyond 30 m, see `evaluation.analysis.ray_duplicates`.
"""

import argparse
from pathlib import Path

import numpy as np

from evaluation.analysis.ray_duplicates import ray_duplicates
from evaluation.detection import detection_metrics
from evaluation.tracking import tracking_metrics
from scenes import InputError, Scene, read_scenes, read_split_detections
from scenes.command import run_command
from scenes.processes import available_cores, run_jobs
from tracking import TrackerConfig, track_results

_COLUMNS = {
    "mAP": 4,
    "NDS": 4,
    "car AP": 3,
    "AMOTA": 3,
    "car AMOTA": 3,
    "recall": 3,
    "identity switches": 1,
    "ray duplicates": 3,
}


def main() -> None:
    """Parse the command line, measure every file, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", metavar="NAME=FILE,FILE,...", help="detection result files, one a seed")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--workers", type=int, help="processes (default: all cores)")
    arguments = parser.parse_args()
    files = dict(_named_files(text) for text in arguments.methods)
    first, *others = files
    seeds = len(files[first])
    if any(len(files[name]) != seeds for name in others):
        raise InputError("every method needs as many files as the first: one a seed, in the same order")
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root)
    jobs = [(scenes, root, path) for paths in files.values() for path in paths]
    rows = list(run_jobs(_measured, jobs, arguments.workers or available_cores()))
    values = np.array(rows).reshape(len(files), seeds, len(_COLUMNS))
    print(f"| {len(scenes)} scenes, {seeds} seeds | " + " | ".join(_COLUMNS) + " |")
    print("|---" * (len(_COLUMNS) + 1) + "|")
    for name, of_method in zip(files, values, strict=True):
        _print_row(name, of_method)
    for name, of_method in zip(others, values[1:], strict=True):
        _print_row(f"{name} - {first}", of_method - values[0], sign="+")


def _named_files(text: str) -> tuple[str, list[Path]]:
    name, equals, files = text.partition("=")
    if not (name and equals and files):
        raise InputError(f"{text}: expected NAME=FILE,FILE,...")
    return name, [Path(file) for file in files.split(",")]


def _measured(scenes: list[Scene], root: tuple[Path, str, str], path: Path) -> list[float]:
    """The columns for a file of detections."""
    detections = read_split_detections(path, scenes, *root)
    found = detection_metrics(detections, scenes).summary
    tracks = tracking_metrics(track_results(detections, scenes, TrackerConfig()), scenes).summary
    return [
        found["mean_ap"],
        found["nd_score"],
        found["mean_dist_aps"]["car"],
        tracks["amota"],
        tracks["label_metrics"]["amota"]["car"],
        tracks["recall"],
        tracks["ids"],
        ray_duplicates(detections, scenes).per_annotation,
    ]


def _print_row(name: str, values: np.ndarray, sign: str = "") -> None:
    """A row from values (seeds, columns): mean and standard deviation over the seeds."""
    means, spreads = values.mean(axis=0), values.std(axis=0, ddof=1 if len(values) > 1 else 0)
    cells = [
        f"{mean:{sign}.{decimals}f} ± {spread:.{decimals}f}"
        for mean, spread, decimals in zip(means, spreads, _COLUMNS.values(), strict=True)
    ]
    print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    run_command(main)
