"""Find tracker settings for a detector of one's own, and say what mattered.

The scenes are parted: on some the settings are searched, on the rest the result is checked. A second run with the
same --out goes on where the first one stopped.
"""

import argparse
import os
from pathlib import Path

from rich.table import Table

from evaluation.tracking import tracking_metrics
from scenes import read_scenes, read_split_detections, read_taxonomy
from scenes.command import add_workers, between, progress_bar, run_command, table_console
from tracking import TrackerConfig, load_tracker_config

try:
    from tracking.tuning import Tuned
    from tracking.tuning_job import TuningJob, digest, parted
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error.name} is not installed: pip install -e '.[tune]'") from error


def main() -> None:
    """Parse the command line, search, write `tuned.py`, print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detections", type=Path, help="detection result file, nuScenes submission format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument(
        "--split", required=True, help="train, mini_train, ..., a custom split, or a file of scene names"
    )
    parser.add_argument("--config", type=Path, help="where to start; default: the built-in settings")
    parser.add_argument(
        "--trials", type=int, default=100, action=between(1), help="trials of this run (default: %(default)s)"
    )
    parser.add_argument("--held-out", type=int, help="scenes to check the result on; default: every third")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="for tuned.py and the journal of trials")
    add_workers(parser, os.cpu_count() or 1, "processes (default: all cores)")
    parser.add_argument(
        "--seed", type=int, default=0, action=between(0, 2**32 - 1), help="of the search (default: %(default)s)"
    )
    arguments = parser.parse_args()
    taxonomy = read_taxonomy(arguments.dataroot)
    base = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root)
    job = TuningJob(
        read_split_detections(arguments.detections, scenes, *root),
        digest([arguments.detections.read_bytes()]),
        arguments.detections.name,
        *parted(scenes, arguments.held_out),
        tracking_metrics,
        arguments.workers,
    )
    with progress_bar() as bar:
        task = bar.add_task(f"AMOTA on {len(job.searched)} scenes", total=arguments.trials)
        tuned = job.search(base, arguments.trials, arguments.out, arguments.seed, lambda: bar.advance(task))
    _report(tuned)
    if job.held_out:
        before, after = (job.amota(config, job.held_out) for config in (base, tuned.config))
        print(f"on the {len(job.held_out)} scenes held out: AMOTA {before:.4f} -> {after:.4f}")
    print(f"{tuned.n_trials} trials -> {arguments.out / 'tuned.py'}")


def _report(tuned: Tuned) -> None:
    print(f"AMOTA {tuned.start:.4f} -> {tuned.best:.4f}")
    known = bool(tuned.importance)
    table = Table("setting", *["share of what mattered"] * known, "factor of the best")
    for name, factor in sorted(tuned.factors.items(), key=lambda item: -tuned.importance.get(item[0], 0.0)):
        table.add_row(name, *[f"{tuned.importance.get(name, 0.0):.0%}"] * known, f"x{factor:.2f}")
    table_console().print(table)
    if not known:
        print(f"{tuned.n_trials} trials are too few to tell which of the {len(tuned.factors)} settings mattered")


if __name__ == "__main__":
    run_command(main)
