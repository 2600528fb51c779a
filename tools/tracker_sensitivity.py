"""Print how AMOTA and identity switches move when each of the tracker's settings is scaled, one at a time."""

import argparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from evaluation.tracking import tracking_metrics
from scenes import Results, Scene, read_scenes, read_split_detections
from scenes.command import run_command
from scenes.processes import available_cores, run_jobs
from tracking import TrackerConfig, load_tracker_config, track_results
from tracking.sensitivity import FACTORS, varied


def main() -> None:
    """Parse the command line, track with every variation, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, nargs="+", help="detection result files of the split")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument(
        "--factors", type=float, nargs="+", default=FACTORS, help="scale a setting (default: 0.5 to 1.5)"
    )
    parser.add_argument("--workers", type=int, help="processes (default: all cores)")
    arguments = parser.parse_args()
    config = load_tracker_config(arguments.config) if arguments.config else TrackerConfig()
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root)
    files = [read_split_detections(path, scenes, *root) for path in arguments.detections]
    variations = [("unchanged", 1.0, config), *varied(config, arguments.factors)]
    jobs = [(variation[2], file, scenes) for variation in variations for file in files]
    cells = run_jobs(_cell, jobs, arguments.workers or available_cores())
    columns = [f"{path.stem} x{factor:g}" for factor in arguments.factors for path in arguments.detections]
    for line in _lines([name for name, _, _ in variations], len(files), columns, cells):
        print(line, flush=True)


def _cell(config: TrackerConfig, detections: Results, scenes: list[Scene]) -> str:
    summary = tracking_metrics(track_results(detections, scenes, config), scenes).summary
    return f"{summary['amota']:.3f} ({summary['ids']:.0f})"


def _lines(names: list[str], n_files: int, columns: list[str], cells: Iterator[str]) -> Iterator[str]:
    """A Markdown table: a row a setting, for each factor one column a file: AMOTA (identity switches)."""
    yield "| setting | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, group in groupby(names):
        row = [next(cells) for _ in group for _ in range(n_files)]
        yield f"| {name} | " + " | ".join([*row, *[""] * (len(columns) - len(row))]) + " |"


if __name__ == "__main__":
    run_command(main)
