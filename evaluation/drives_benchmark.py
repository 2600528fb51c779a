"""Thousands of simulated drives, from a detection file to tracks and metrics, scene by scene: time and memory.

The drives are copies of those of a small city, each with tokens of its own, and detections of one of several draws. No
image is needed. Every step is the command that users run, in a process of its own. Memory is what is held (anonymous
pages); a detection file of any size is mapped, and its pages are the kernel's to drop.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from evaluation.process_usage import cpu_s, memory_bytes, with_children
from evaluation.table import text_table
from scenes import InputError, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from scenes.command import between

SPLIT: Final = "drives"
_BASE_DRIVES: Final = 40
_DRAWS: Final = 5
_SAMPLING_PERIOD_S: Final = 0.5
_PLACE: Final = "########"
"""Stands in a drive's rows where a copy's tokens differ: for the last eight characters of each."""
_OF_A_DRIVE: Final = ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation")


@dataclass(frozen=True)
class Step:
    """A command that was run.

    Attributes:
        name: of the step. drives: how many it worked on.
        wall_s: from start to end. own_cpu_s: of the process that gives out the jobs. worker_cpu_s: of all its workers.
        own_bytes, worker_bytes: the most memory that it, and that any worker, held.
    """

    name: str
    drives: int
    wall_s: float
    own_cpu_s: float
    worker_cpu_s: float
    own_bytes: int
    worker_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("--work-dir", type=Path, default=Path("out/drives"), help="default: %(default)s")
    parser.add_argument(
        "--drives", type=int, action=between(1), nargs="+", default=[500, 5000], help="default: 500 5000"
    )
    parser.add_argument("--frames", type=int, action=between(1), default=20, help="of a drive; default: %(default)s")
    parser.add_argument("--workers", type=int, action=between(1), default=2, help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Make the drives unless they are there, measure, print a table.

    Raises:
        InputError: a command failed.
    """
    steps = []
    for count in sorted(arguments.drives):
        root = prepare(arguments.work_dir, count, arguments.frames)
        size = sum(path.stat().st_size for path in (root / VERSION).glob("*.json"))
        print(f"{count} drives: tables {size / 1e9:.2f} GB, detections {_gigabytes(root / 'detections.json')}")
        steps += measure(root, count, arguments.workers)
    print(steps_table(steps))


def prepare(work_dir: Path, count: int, frames: int) -> Path:
    """A data root of so many drives, with `detections.json` beside the tables; made unless it is there."""
    city, root = work_dir / f"city_x{frames}", work_dir / f"{count}x{frames}"
    if not city.exists():
        print(f"making {_BASE_DRIVES} drives in {city}", flush=True)
        make_city(city, train_scenes=0, val_scenes=_BASE_DRIVES, frames=frames, images=False)
    if not (root / "detections.json").exists():
        print(f"making {count} drives in {root}", flush=True)
        copy_drives(city, root, count)
    return root


def copy_drives(city: Path, root: Path, count: int) -> None:
    """Write a data root of copies of a city's drives, and detections of them, row by row."""
    tables = {path.stem: json.loads(path.read_bytes()) for path in (city / VERSION).glob("*.json")}
    base = tables["splits"][VAL_SPLIT]
    parts = [_rows_of_drive(tables, name) for name in base]
    own = {row["token"] for part in parts for rows in part.values() for row in rows}
    templates = [{name: _template(rows, own) for name, rows in part.items()} for part in parts]
    detections = [_detection_templates(city, base, own, draw, root) for draw in range(_DRAWS)]
    folder = root / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for name in tables.keys() - {"splits", *_OF_A_DRIVE}:
        (folder / f"{name}.json").write_bytes(json.dumps(tables[name]).encode())
    for row in tables["map"]:
        (root / row["filename"]).parent.mkdir(exist_ok=True)
        shutil.copyfile(city / row["filename"], root / row["filename"])
    for name in _OF_A_DRIVE:
        with (folder / f"{name}.json").open("wb") as file:
            _write_joined(file, b"[", (templates[n % len(base)][name] for n in range(count)), b"]")
    names = [f"{base[number % len(base)]}-{number:08d}" for number in range(count)]
    (folder / "splits.json").write_bytes(json.dumps({SPLIT: names}).encode())
    partial = root / "detections.json.tmp"
    with partial.open("wb") as file:
        drawn = (detections[number // len(base) % _DRAWS][number % len(base)] for number in range(count))
        _write_joined(file, b'{"meta": {"use_camera": true}, "results": {', drawn, b"}}")
    partial.rename(root / "detections.json")


def _write_joined(file: IO[bytes], begin: bytes, templates: Iterator[bytes], end: bytes) -> None:
    file.write(begin)
    for number, template in enumerate(templates):
        file.write((b", " if number else b"") + template.replace(_PLACE.encode(), f"{number:08d}".encode()))
    file.write(end)


def _rows_of_drive(tables: Mapping[str, Any], name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that belong to one drive; of the recordings those of the lidar alone."""
    lidars = {row["token"] for row in tables["sensor"] if row["channel"] == "LIDAR_TOP"}
    mounted = {row["token"] for row in tables["calibrated_sensor"] if row["sensor_token"] in lidars}
    scene = next(row for row in tables["scene"] if row["name"] == name)
    samples = [row for row in tables["sample"] if row["scene_token"] == scene["token"]]
    of_samples = {row["token"] for row in samples}
    data = [
        {**row, "prev": "", "next": ""}
        for row in tables["sample_data"]
        if row["sample_token"] in of_samples and row["calibrated_sensor_token"] in mounted
    ]
    annotations = [row for row in tables["sample_annotation"] if row["sample_token"] in of_samples]
    poses, instances = {row["ego_pose_token"] for row in data}, {row["instance_token"] for row in annotations}
    return {
        "scene": [{**scene, "name": f"{name}-{_PLACE}"}],
        "sample": samples,
        "sample_data": data,
        "ego_pose": [row for row in tables["ego_pose"] if row["token"] in poses],
        "instance": [row for row in tables["instance"] if row["token"] in instances],
        "sample_annotation": annotations,
    }


def _template(content: Any, own: set[str]) -> bytes:
    """Rows as text, without the brackets around them, in which a place stands for a copy's number."""
    return msgspec.json.encode(_marked(content, own))[1:-1]


def _marked(value: Any, own: set[str]) -> Any:
    if isinstance(value, str):
        return f"{value[: -len(_PLACE)]}{_PLACE}" if value in own else value
    if isinstance(value, list):
        return [_marked(inner, own) for inner in value]
    if isinstance(value, dict):
        return {_marked(key, own): _marked(inner, own) for key, inner in value.items()}
    return value


def _detection_templates(city: Path, names: Sequence[str], own: set[str], draw: int, root: Path) -> list[bytes]:
    """The detections of each drive as text, of one draw of the simulated detector."""
    templates = []
    for name in names:
        (scene,) = read_scenes(city, VERSION, (name,), cameras=False)
        path = root / "draw.json"
        write_detections(path, simulate_detections([scene], seed=draw))
        templates.append(_template(json.loads(path.read_bytes())["results"], own))
        path.unlink()
    return templates


def measure(root: Path, count: int, workers: int) -> list[Step]:
    """Track, and evaluate detections and tracks, as users do."""
    where = ["--dataroot", str(root), "--version", VERSION, "--split", SPLIT, "--workers", str(workers)]
    out = root / "out"
    shutil.rmtree(out, ignore_errors=True)
    detections, tracks = str(root / "detections.json"), str(out / "tracks")

    def evaluated(task: str, results: str) -> list[str]:
        return ["evaluate", task, results, *where, "--shards", str(out / task), "--out", str(out / f"{task}_metrics")]

    commands = {
        "track": ["track", detections, *where, "--shards", tracks],
        "evaluate tracks": evaluated("tracking", tracks),
        "evaluate detections": evaluated("detection", detections),
    }
    steps = []
    for name, command in commands.items():
        steps.append(_measured(name, count, command))
        print(steps_table(steps[-1:]).splitlines()[-1], flush=True)
    return steps


def _measured(name: str, count: int, command: Sequence[str]) -> Step:
    print(f"{name}, {count} drives ...", flush=True)
    program = "from streamtrack.command import main; main()"
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *command], stdout=subprocess.DEVNULL)
    used_s: dict[int, float] = {}
    own_bytes = worker_bytes = 0
    while process.poll() is None:
        for pid in with_children(process.pid):
            held = memory_bytes(pid, "RssAnon")
            used_s[pid] = max(used_s.get(pid, 0.0), cpu_s(pid))
            if pid == process.pid:
                own_bytes = max(own_bytes, held)
            else:
                worker_bytes = max(worker_bytes, held)
        time.sleep(_SAMPLING_PERIOD_S)
    if process.returncode:
        raise InputError(f"{name} of {count} drives failed")
    own_cpu_s = used_s.pop(process.pid, 0.0)
    wall_s = time.perf_counter() - started
    return Step(name, count, wall_s, own_cpu_s, sum(used_s.values()), own_bytes, worker_bytes)


def steps_table(steps: Sequence[Step]) -> str:
    """All steps as text."""
    header = ["step", "drives", "wall s", "workers' CPU ms a drive", "own CPU ms a drive", "own MB", "worker MB"]
    rows = [
        [step.name, str(step.drives), f"{step.wall_s:.0f}"]
        + [f"{1e3 * seconds / step.drives:.1f}" for seconds in (step.worker_cpu_s, step.own_cpu_s)]
        + [f"{held / 1e6:.0f}" for held in (step.own_bytes, step.worker_bytes)]
        for step in steps
    ]
    return text_table(header, rows)


def _gigabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e9:.2f} GB"
