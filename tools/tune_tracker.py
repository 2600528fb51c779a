"""Find tracker settings for a detector of one's own, and say what mattered.

The scenes are parted: on some the settings are searched, on the rest the result is checked. A second run with the
same --out goes on where the first one stopped.
"""

import argparse
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from evaluation.tracking import tracking_metrics
from scenes import InputError, Results, Scene, read_scenes, read_split_detections
from scenes.command import run_command
from scenes.files import write_atomically
from tracking import TrackerConfig, load_tracker_config, track_results

try:
    from tracking.tuning import Tuned, config_source, tune
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
    parser.add_argument("--trials", type=int, default=100, help="of this run (default: %(default)s)")
    parser.add_argument("--held-out", type=int, help="scenes to check the result on; default: every third")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="for tuned.py and the journal of trials")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="of the search (default: %(default)s)")
    arguments = parser.parse_args()
    base = load_tracker_config(arguments.config) if arguments.config else TrackerConfig()
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root)
    detections = read_split_detections(arguments.detections, scenes, *root)
    searched, held_out = _parted(scenes, arguments.held_out)

    with Progress() as bar:
        task = bar.add_task(f"AMOTA on {len(searched)} scenes", total=arguments.trials)

        def objective(config: TrackerConfig) -> float:
            bar.advance(task)
            return _amota(config, detections, searched, arguments.workers)

        journal = arguments.out / "trials.journal"
        inputs = {"detections": _digest([arguments.detections.read_bytes()]), "scenes": _scenes_digest(searched)}
        tuned = tune(base, objective, arguments.trials, journal, arguments.seed, inputs=inputs)
    path = arguments.out / "tuned.py"
    comment = (
        f"Tuned on {arguments.detections.name}: AMOTA {tuned.start:.4f} -> {tuned.best:.4f} where it was searched."
    )
    write_atomically(path, config_source(tuned.config, comment).encode())
    _report(tuned)
    if held_out:
        before, after = (_amota(config, detections, held_out, arguments.workers) for config in (base, tuned.config))
        print(f"on the {len(held_out)} scenes held out: AMOTA {before:.4f} -> {after:.4f}")
    print(f"{tuned.n_trials} trials -> {path}")


def _parted(scenes: Sequence[Scene], n_held_out: int | None) -> tuple[list[Scene], list[Scene]]:
    """Scenes to search on and scenes to check on, the latter spread over the split."""
    count = len(scenes) // 3 if n_held_out is None else n_held_out
    if not 0 <= count < len(scenes):
        raise InputError(f"--held-out {count}: the split has {len(scenes)} scenes, at least one has to be searched on")
    held_out = {index * len(scenes) // count for index in range(count)} if count else set()
    kept = [scene for index, scene in enumerate(scenes) if index not in held_out]
    return kept, [scenes[index] for index in sorted(held_out)]


def _scenes_digest(scenes: Sequence[Scene]) -> str:
    """Tells scenes, in whatever split, from others."""
    return _digest(token.encode() for scene in scenes for token in scene.sample_tokens)


def _digest(parts: Iterable[bytes]) -> str:
    content = hashlib.sha256()
    for part in parts:
        content.update(part)
    return content.hexdigest()


def _amota(config: TrackerConfig, detections: Results, scenes: list[Scene], workers: int) -> float:
    return float(tracking_metrics(track_results(detections, scenes, config, workers), scenes).summary["amota"])


def _report(tuned: Tuned) -> None:
    print(f"AMOTA {tuned.start:.4f} -> {tuned.best:.4f}")
    known = bool(tuned.importance)
    table = Table("setting", *["share of what mattered"] * known, "factor of the best")
    for name, factor in sorted(tuned.factors.items(), key=lambda item: -tuned.importance.get(item[0], 0.0)):
        table.add_row(name, *[f"{tuned.importance.get(name, 0.0):.0%}"] * known, f"x{factor:.2f}")
    Console().print(table)
    if not known:
        print(f"{tuned.n_trials} trials are too few to tell which of the {len(tuned.factors)} settings mattered")


if __name__ == "__main__":
    run_command(main)
