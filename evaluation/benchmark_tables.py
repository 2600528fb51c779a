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

from evaluation.benchmark import BOXES_PER_FRAME, CLUTTER_PER_FRAME, Used, run_measured
from evaluation.benchmark_results import disturbed_detections, disturbed_tracks
from evaluation.evaluation import Task
from evaluation.table import text_table
from scenes import Scene, read_scenes, write_detections, write_tracks
from scenes.command import between, progress_bar
from scenes.large_tables.cache_files import CACHE_VARIABLE
from scenes.large_tables.full_size_tables import VERSION, make_full_size_tables
from scenes.splits import official_splits
from scenes.table_rows import SceneRow, read_table

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
        used: what it took.
        bytes_read: of the files that it cannot do without; None where the store spares it them.
    """

    name: str
    used: Used
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
            print(_compared("the first read", devkit.used, steps[0].used))
            print(_compared("a later read", devkit.used, steps[1].used))
        if arguments.commands:
            _measure_commands(folder, root, devkit, arguments.devkit_scenes or 0)


def measure_reads(folder: Path, root: Path) -> list[Step]:
    """The first read of the split, a later one, and the first and a later one of ten scenes of another split."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    os.environ[CACHE_VARIABLE] = str(folder / "cache")
    few = folder / "few.txt"
    present = {row.name for row in read_table(root / VERSION / "scene.json", SceneRow).values()}
    few.write_text("\n".join([name for name in official_splits()["train"] if name in present][:_FEW]))
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
            f"{step.used.wall_s:.2f}",
            f"{step.used.cpu_s:.2f}",
            f"{step.used.peak_bytes / 1e9:.2f}",
            "" if step.bytes_read is None else f"{step.bytes_read / 1e9:.2f}",
        ]
        for step in steps
    ]
    return text_table(["step", "s", "CPU s", "peak GB", "GB to read"], rows)


def _measure_commands(folder: Path, root: Path, devkit: Step | None, devkit_scenes: int) -> None:
    scenes = read_scenes(root, VERSION, _SPLIT)
    results = _results(folder, scenes)
    sizes = {task: path.stat().st_size for task, path in results.items()}
    where: list[str | Path] = ["--dataroot", str(root), "--version", VERSION, "--split", _SPLIT]
    commands: dict[str, tuple[list[str | Path], Task]] = {
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
    # Whole tables once are enough of the devkit: what it takes beyond them it takes scene by scene.
    small = folder / "devkit" / "root"
    make_full_size_tables(small, share=devkit_scenes / len(official_splits()[_SPLIT]))
    chosen = read_scenes(small, VERSION, _SPLIT)
    part = _results(folder / "devkit", chosen)
    load = _measured(f"the devkit's NuScenes(...) of tables with {len(chosen)} scenes of val", _LOAD, small)
    for task in _TASKS:
        step = _devkit_evaluation(folder / "devkit", task, part[task])
        print(step_table([load, step]))
        scale = len(scenes) / len(chosen)
        wall_s, cpu_s = (
            whole + (evaluated - loaded) * scale
            for whole, evaluated, loaded in zip(devkit.used[:2], step.used[:2], load.used[:2], strict=True)
        )
        how = f"{task} of {len(scenes)} scenes, tables and all, the devkit's from {len(chosen)} scenes"
        print(_compared(how, Used(wall_s, cpu_s, 0), steps[f"evaluate {task}"].used))


def _results(folder: Path, scenes: Sequence[Scene]) -> dict[Task, Path]:
    """Result files of the split, made unless they are there."""
    paths: dict[Task, Path] = {task: folder / f"{task}.json" for task in _TASKS}
    if not paths["detection"].exists():
        write_detections(paths["detection"], disturbed_detections(scenes, BOXES_PER_FRAME, seed=0))
    if not paths["tracking"].exists():
        write_tracks(paths["tracking"], disturbed_tracks(scenes, CLUTTER_PER_FRAME, seed=0))
    return paths


def _devkit_evaluation(folder: Path, task: Task, path: Path) -> Step:
    code = _EVALUATE.format(
        task=task,
        path=str(path),
        root=str(folder / "root"),
        version=VERSION,
        split=_SPLIT,
        engine="devkit",
        out=str(folder / "metrics" / task),
    )
    print(f"the devkit's {task} evaluation ...", flush=True)
    return Step(f"the devkit's {task} evaluation", run_measured([sys.executable, "-c", code]))


def _measured(name: str, code: str, root: Path, split: str = _SPLIT) -> Step:
    print(f"{name} ...", flush=True)
    filled = code.format(root=str(root), version=VERSION, split=split)
    return Step(name, run_measured([sys.executable, "-c", filled]))


def _command(name: str, words: Sequence[str | Path]) -> Step:
    print(f"{name} ...", flush=True)
    return Step(name, run_measured([sys.executable, "-c", _TOOL, *map(str, words)], quiet=True))


def _compared(what: str, theirs: Used, ours: Used) -> str:
    return (
        f"{what}: the devkit {theirs.wall_s:.1f} s, ours {ours.wall_s:.2f} s: {theirs.wall_s / ours.wall_s:.1f} times "
        f"as fast; {theirs.cpu_s:.1f} and {ours.cpu_s:.2f} s of CPU, {theirs.cpu_s / ours.cpu_s:.1f} times "
        f"(load {os.getloadavg()[0]:.1f})"
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
