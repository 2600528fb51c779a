"""How long tables of the size of nuScenes' trainval take to read, and commands on them, beside nuscenes-devkit.

Makes the tables (2.5 GB, sweeps included) and results for `val` (1.3 million detections), and runs everything in
processes of their own, imports included: the first read, later reads, the devkit's `NuScenes(...)` and its evaluation
on some scenes, then evaluation, tracking and pages of the whole split. Beside the times stand the bytes to be read.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from evaluation.benchmark import BOXES_PER_FRAME, CLUTTER_PER_FRAME, run_measured
from evaluation.benchmark_results import disturbed_detections, disturbed_tracks
from evaluation.evaluation import Task
from evaluation.table import text_table
from scenes import Results, Scene, read_detections, read_scenes, read_tracks, write_detections, write_tracks
from scenes.cache_files import CACHE_VARIABLE
from scenes.command import between, progress_bar
from scenes.full_size_tables import VERSION, make_full_size_tables

_SPLIT: Final = "val"
_TASKS: Final[tuple[Task, ...]] = ("detection", "tracking")
_LARGE: Final = ("sample_data", "ego_pose", "sample_annotation")
_READ: Final = "from scenes import read_scenes; read_scenes({root!r}, {version!r}, {split!r})"
_LOAD: Final = "from nuscenes import NuScenes; NuScenes({version!r}, {root!r}, verbose=False)"
_EVALUATE: Final = (
    "from evaluation import evaluate_{task} as evaluate\n"
    "evaluate({path!r}, {root!r}, {version!r}, {split!r}, engine={engine!r}).write({out!r})"
)
_TOOL: Final = "import sys; sys.argv[0] = 'streamtrack'; from streamtrack.command import main; main()"
_FEW: Final = 10


@dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        name: what it did.
        wall_s: from start to end.
        peak_bytes: see `evaluation.benchmark.EngineRun`.
        bytes_read: of the files that it cannot do without; None where the store spares it them.
    """

    name: str
    wall_s: float
    peak_bytes: int
    bytes_read: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("--folder", type=Path, help="where to make the tables, and leave them (default: nowhere)")
    parser.add_argument("--seed", type=int, default=0, action=between(0), help="default: %(default)s")
    parser.add_argument(
        "--share", type=float, default=1.0, action=between(0, 1), help="of the scenes; default: all 850"
    )
    parser.add_argument("--commands", action="store_true", help="time evaluation, tracking and pages as well")
    parser.add_argument(
        "--devkit-scenes",
        type=int,
        action=between(0),
        help="also load the tables with the devkit, and with --commands let it evaluate so many scenes",
    )


def run(arguments: argparse.Namespace) -> None:
    """Make what is not there yet, measure, print a table and comparisons."""
    with _folder(arguments.folder) as folder:
        root = folder / "root"
        if not (root / VERSION).exists():
            with progress_bar() as bar:
                task = bar.add_task("making tables", total=None)
                made = make_full_size_tables(
                    root,
                    arguments.seed,
                    share=arguments.share,
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
            print(f"{made.bytes / 1e9:.2f} GB: {', '.join(f'{count} {name}' for name, count in made.rows.items())}")
        steps = measure_reads(folder, root)
        devkit = None if arguments.devkit_scenes is None else _measured("the devkit's NuScenes(...)", _LOAD, root)
        print(step_table(steps + ([devkit] if devkit else [])))
        if devkit:
            print(_compared("the first read", devkit.wall_s, steps[0].wall_s))
            print(_compared("a later read", devkit.wall_s, steps[1].wall_s))
        if arguments.commands:
            _measure_commands(folder, root, devkit, arguments.devkit_scenes or 0)


def measure_reads(folder: Path, root: Path) -> list[Step]:
    """The first read of the split, a later one, and the first and a later one of ten scenes of another split."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    os.environ[CACHE_VARIABLE] = str(folder / "cache")
    few = folder / "few.txt"
    few.write_text("\n".join(scene.name for scene in read_scenes(root, VERSION, "train", annotations=False)[:_FEW]))
    shutil.rmtree(folder / "cache", ignore_errors=True)
    # Compiled functions are there on any but the first run on a machine.
    read_scenes(root, VERSION, str(few))
    shutil.rmtree(folder / "cache", ignore_errors=True)
    n_bytes = sum((root / VERSION / f"{name}.json").stat().st_size for name in _LARGE)
    return [
        replace(_measured("first read of val", _READ, root), bytes_read=n_bytes),
        _measured("later read of val", _READ, root),
        _measured(f"first read of {_FEW} other scenes", _READ, root, split=str(few)),
        _measured(f"later read of {_FEW} scenes", _READ, root, split=str(few)),
        _measured("imports alone", "import scenes", root),
    ]


def step_table(steps: Sequence[Step]) -> str:
    """All steps as text."""
    rows = [
        [
            step.name,
            f"{step.wall_s:.2f}",
            f"{step.peak_bytes / 1e9:.2f}",
            "" if step.bytes_read is None else f"{step.bytes_read / 1e9:.2f}",
        ]
        for step in steps
    ]
    return text_table(["step", "s", "peak GB", "GB to read"], rows)


def _measure_commands(folder: Path, root: Path, devkit: Step | None, devkit_scenes: int) -> None:
    scenes = read_scenes(root, VERSION, _SPLIT)
    results = _results(folder, scenes)
    sizes = {task: path.stat().st_size for task, path in results.items()}
    where = ["--dataroot", str(root), "--version", VERSION, "--split", _SPLIT]
    commands = {
        "evaluate detection": (
            ["evaluate", "detection", results["detection"], *where, "--out", folder / "m1"],
            "detection",
        ),
        "evaluate tracking": (
            ["evaluate", "tracking", results["tracking"], *where, "--out", folder / "m2"],
            "tracking",
        ),
        "track": (["track", results["detection"], *where, "--out", folder / "tracks.json"], "detection"),
        "visualize, one page and the index": (
            [
                "visualize",
                results["tracking"],
                *where,
                "--scene",
                scenes[0].name,
                "--format",
                "html",
                "--out",
                folder / "p",
            ],
            "tracking",
        ),
    }
    steps = {}
    for name, (words, task) in commands.items():
        _command(name, words)  # compiled functions are there on any but the first run on a machine
        steps[name] = replace(_command(name, words), bytes_read=sizes[task])
    print(step_table(list(steps.values())))
    if devkit is None or not devkit_scenes:
        return
    few = folder / "devkit_scenes.txt"
    chosen = scenes[:devkit_scenes]
    few.write_text("\n".join(scene.name for scene in chosen))
    for task in _TASKS:
        step = _measured_evaluation(folder, root, task, few, _part(results[task], task, chosen))
        expected_s = devkit.wall_s + (step.wall_s - devkit.wall_s) * len(scenes) / len(chosen)
        print(step_table([step]))
        how = f"{task} of {len(scenes)} scenes, the devkit's from {len(chosen)}"
        print(_compared(how, expected_s, steps[f"evaluate {task}"].wall_s))


def _results(folder: Path, scenes: Sequence[Scene]) -> dict[Task, Path]:
    """Result files of the split, made unless they are there."""
    paths: dict[Task, Path] = {task: folder / f"{task}.json" for task in _TASKS}
    if not paths["detection"].exists():
        write_detections(paths["detection"], disturbed_detections(scenes, BOXES_PER_FRAME, seed=0))
    if not paths["tracking"].exists():
        write_tracks(paths["tracking"], disturbed_tracks(scenes, CLUTTER_PER_FRAME, seed=0))
    return paths


def _part(path: Path, task: Task, scenes: Sequence[Scene]) -> Path:
    """A result file of some of the scenes."""
    part = path.with_stem(f"{path.stem}_part")
    read, write = (read_detections, write_detections) if task == "detection" else (read_tracks, write_tracks)
    content: Results = read(path)
    boxes = {token: content.boxes[token] for scene in scenes for token in scene.sample_tokens}
    write(part, replace(content, boxes=boxes))
    return part


def _measured_evaluation(folder: Path, root: Path, task: Task, split: Path, path: Path) -> Step:
    code = _EVALUATE.format(
        task=task,
        path=str(path),
        root=str(root),
        version=VERSION,
        split=str(split),
        engine="devkit",
        out=str(folder / "devkit" / task),
    )
    return Step(f"the devkit's {task} evaluation of some scenes", *run_measured([sys.executable, "-c", code]))


def _measured(name: str, code: str, root: Path, split: str = _SPLIT) -> Step:
    print(f"{name} ...", flush=True)
    filled = code.format(root=str(root), version=VERSION, split=split)
    return Step(name, *run_measured([sys.executable, "-c", filled]))


def _command(name: str, words: Sequence[str | Path]) -> Step:
    print(f"{name} ...", flush=True)
    return Step(name, *run_measured([sys.executable, "-c", _TOOL, *map(str, words)], quiet=True))


def _compared(what: str, theirs_s: float, ours_s: float) -> str:
    load = f"{os.getloadavg()[0]:.1f}"
    return (
        f"{what}: the devkit {theirs_s:.1f} s, ours {ours_s:.2f} s: {theirs_s / ours_s:.1f} times as fast (load {load})"
    )


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder to work in; a temporary one is removed in the end."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="streamtrack-tables-") as temporary:
        yield Path(temporary)
