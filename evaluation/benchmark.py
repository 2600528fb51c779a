"""How long our engine and the devkit take, from files to metrics, on a city of any number of scenes.

Each engine runs in a process of its own, start and imports included, on the same data root and the same result file.
Ours runs once before, so that its compiled functions are there, as they are on any but the first run on a machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.benchmark_results import disturbed_detections, disturbed_tracks
from evaluation.evaluation import Task
from evaluation.process_usage import cpu_s, memory_bytes, with_children
from evaluation.table import text_table
from scenes import InputError, read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.command import between
from scenes.files import write_atomically

BOXES_PER_FRAME = 217
"""1.3 million detections in 6,000 frames."""

CLUTTER_PER_FRAME = 40
_TASKS: tuple[Task, ...] = ("tracking", "detection")
_SAMPLING_PERIOD_S = 0.05


@dataclass(frozen=True)
class EngineRun:
    """One run.

    Attributes:
        task, engine: what ran.
        n_scenes: on how many scenes.
        wall_s: from start to end.
        peak_bytes: the most resident memory that the process and its children held together; what they share counts
            several times.
    """

    task: Task
    engine: str
    n_scenes: int
    wall_s: float
    peak_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("--work-dir", type=Path, default=Path("out/benchmark"), help="default: %(default)s")
    parser.add_argument(
        "--scenes", type=int, action=between(1), nargs="+", default=[15, 50, 150], help="default: 15 50 150"
    )
    parser.add_argument(
        "--devkit-scenes",
        type=int,
        action=between(0),
        default=15,
        help="scenes the devkit runs on; default: %(default)s",
    )
    parser.add_argument(
        "--frames", type=int, action=between(1), default=40, help="key frames of a scene; default: %(default)s"
    )


def run(arguments: argparse.Namespace) -> None:
    """Make what is not there yet, measure, print a table.

    Raises:
        InputError: the devkit is to run on a number of scenes that is not measured.
    """
    sizes = sorted(set(arguments.scenes))
    if arguments.devkit_scenes not in sizes:
        raise InputError(f"--devkit-scenes {arguments.devkit_scenes} is none of --scenes {sizes}")
    roots = {size: prepare(arguments.work_dir, size, max(sizes), arguments.frames) for size in sizes}
    for task in _TASKS:
        measure(task, "ours", sizes[0], roots[sizes[0]])
    measurements = [measure(task, "ours", size, roots[size]) for task in _TASKS for size in sizes]
    slow = arguments.devkit_scenes
    measurements += [measure(task, "devkit", slow, roots[slow]) for task in _TASKS]
    print(measurement_table(measurements))
    for task in _TASKS:
        print(comparison(task, measurements))


def prepare(work_dir: Path, n_scenes: int, n_all: int, frames: int) -> Path:
    """A data root of the first scenes of a city, with result files beside it; made unless it is there."""
    city, root = work_dir / f"city_{n_all}x{frames}", work_dir / f"first_{n_scenes}_of_{n_all}x{frames}"
    if not city.exists():
        print(f"making a city of {n_all} scenes in {city}: minutes", flush=True)
        make_city(city, train_scenes=0, val_scenes=n_all, frames=frames, images=False)
    if not (root / "detection.json").exists():
        print(f"making {n_scenes} scenes in {root}", flush=True)
        copy_first_scenes(city, root, n_scenes)
        scenes = read_scenes(root, VERSION, VAL_SPLIT)
        write_tracks(root / "tracking.json", disturbed_tracks(scenes, CLUTTER_PER_FRAME, seed=0))
        write_detections(root / "detection.json", disturbed_detections(scenes, BOXES_PER_FRAME, seed=0))
    return root


def copy_first_scenes(city: Path, root: Path, n_scenes: int) -> None:
    """A data root with the rows that belong to the first scenes of a city, so that nobody reads more than they need."""
    tables: dict[str, Any] = {path.stem: json.loads(path.read_bytes()) for path in (city / VERSION).glob("*.json")}
    names = tables["splits"][VAL_SPLIT][:n_scenes]
    tables["splits"] = {VAL_SPLIT: names}
    tables["scene"] = [row for row in tables["scene"] if row["name"] in set(names)]
    for table, key, parent in (
        ("sample", "scene_token", "scene"),
        ("sample_data", "sample_token", "sample"),
        ("sample_annotation", "sample_token", "sample"),
    ):
        kept = {row["token"] for row in tables[parent]}
        tables[table] = [row for row in tables[table] if row[key] in kept]
    for table, child, key in (
        ("ego_pose", "sample_data", "ego_pose_token"),
        ("instance", "sample_annotation", "instance_token"),
    ):
        kept = {row[key] for row in tables[child]}
        tables[table] = [row for row in tables[table] if row["token"] in kept]
    for name, rows in tables.items():
        write_atomically(root / VERSION / f"{name}.json", json.dumps(rows).encode())
    for row in tables["map"]:
        write_atomically(root / row["filename"], (city / row["filename"]).read_bytes())


def measure(task: Task, engine: str, n_scenes: int, root: Path) -> EngineRun:
    """Evaluate in a process of its own."""
    print(f"{task}, {engine}, {n_scenes} scenes ...", flush=True)
    code = (
        f"from evaluation import evaluate_{task} as evaluate\n"
        f"evaluate({str(root / f'{task}.json')!r}, {str(root)!r}, {VERSION!r}, {VAL_SPLIT!r}, engine={engine!r})"
        f".write({str(root / 'metrics' / task / engine)!r})"
    )
    used = run_measured([sys.executable, "-c", code])
    return EngineRun(task, engine, n_scenes, used.wall_s, used.peak_bytes)


class Used(NamedTuple):
    """What a program took: from start to end, of all cores together, and of memory, see `EngineRun`."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run_measured(command: Sequence[str], quiet: bool = False) -> Used:
    """Run a program and its workers.

    Args:
        command: the program and its arguments.
        quiet: keep what it prints to oneself.

    Raises:
        InputError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL if quiet else None)
    peak_bytes, used_s = 0, 0.0
    while process.poll() is None:
        processes = list(with_children(process.pid))
        peak_bytes = max(peak_bytes, sum(memory_bytes(pid, "VmRSS") for pid in processes))
        used_s = max(used_s, sum(cpu_s(pid, ended_children=True) for pid in processes))
        time.sleep(_SAMPLING_PERIOD_S)
    if process.returncode:
        raise InputError(f"a measured program failed: {' '.join(command[1:])}")
    return Used(time.perf_counter() - started, used_s, peak_bytes)


def measurement_table(measurements: Sequence[EngineRun]) -> str:
    """All runs as text."""
    rows = [
        [
            m.task,
            m.engine,
            str(m.n_scenes),
            f"{m.wall_s:.1f}",
            f"{m.wall_s / m.n_scenes:.3f}",
            f"{m.peak_bytes / 1e9:.2f}",
        ]
        for m in measurements
    ]
    return text_table(["task", "engine", "scenes", "s", "s a scene", "peak GB"], rows)


def comparison(task: Task, measurements: Sequence[EngineRun]) -> str:
    """One sentence that sets the devkit's time against ours on all scenes."""
    by_engine: Mapping[str, list[EngineRun]] = {
        engine: [m for m in measurements if (m.task, m.engine) == (task, engine)] for engine in ("ours", "devkit")
    }
    ours = max(by_engine["ours"], key=lambda m: m.n_scenes)
    devkit = by_engine["devkit"][0]
    expected_s = devkit.wall_s * ours.n_scenes / devkit.n_scenes
    how = "" if devkit.n_scenes == ours.n_scenes else f", from {devkit.n_scenes} scenes in proportion,"
    return (
        f"{task} on {ours.n_scenes} scenes: the devkit takes{how} {expected_s:.0f} s, ours {ours.wall_s:.1f} s: "
        f"{expected_s / ours.wall_s:.0f} times as fast"
    )
