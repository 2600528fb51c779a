"""Converts a folder of drives into a data root: drive by drive, so that large sets resume and memory stays flat.

The root grows in a hidden folder beside its place and takes it when all is done. Each drive's rows lie in a folder of
their own until then; a drive that is there is not read again, unless the source's files of it have changed since.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import cv2
import msgspec
import numpy as np

from scenes.conversion.drive import Source
from scenes.conversion.drive_tables import TABLES, VOCABULARY, Counts, Naming, drive_of_file, write_drive
from scenes.errors import InputError, shown
from scenes.files import write_atomically
from scenes.jobs.executors import Workers, run_jobs
from scenes.new_rows import Row, token_of
from scenes.splits import is_official_split
from scenes.stamps import stamp_of
from scenes.taxonomy import CLASSES_FILE

ALL_SPLIT: Final = "all"
"""The split of `splits.json` that lists every drive."""

SLOWEST_HZ: Final = 0.1
FASTEST_HZ: Final = 100.0

_PARTS: Final = ".parts"
_JOB: Final = ".job.json"
_SUMMARY: Final = "summary.json"
_STAMP: Final = "stamp.txt"


@dataclass(frozen=True)
class Converted(Counts):
    """What was written, types without class with the most frequent first.

    Attributes:
        drives: how many scenes.
    """

    drives: int


@dataclass(frozen=True)
class _Job:
    source: Source
    drive: str
    root: Path
    key_frames_hz: float | None
    link: bool


def convert(
    source: Source,
    out: Path,
    *,
    link: bool = True,
    key_frames_hz: float | None = None,
    splits: Mapping[str, Sequence[str]] | None = None,
    workers: Workers = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write the drives of a source as a data root with the tables `<out>/<source.version>`.

    A run that was stopped, or ended at a broken file, goes on where it was when it is called the same way again. Drives
    whose files have changed since they were read (see `Source.files`) are read again.

    Args:
        source: see `Source`.
        out: folder to create; it may exist if it is empty.
        link: images become links to the source's files, else copies. What has to be written anew is.
        key_frames_hz: key frames a second; recordings between them become sweeps. None: every frame is one.
        splits: names of drives by the name of a split; besides them there is the split `all`.
        workers: processes, or where drives are read otherwise.
        progress: called with the finished drives and their number.

    Raises:
        InputError: `out` is not empty, a split is called `all`, names no drive or an unknown one, or a file of the
            source is missing or unusable.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder")
    if source.path.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"{out}: lies in the source {source.path}")
    names = source.drives()
    own_splits = {name: list(drives) for name, drives in (splits or {}).items()}
    _check_splits(own_splits, names, source.path)
    work = out.parent / f".{out.name}.conversion"
    _begin(work, {"source": str(source.path.resolve()), "format": repr(source), "hz": key_frames_hz, "link": link})
    finished = _take_over(work, source, names)
    report = progress or _silent
    report(len(finished), len(names))
    jobs = [(_Job(source, name, work, key_frames_hz, link),) for name in names if name not in finished]
    try:
        for _ in run_jobs(_convert_drive, jobs, workers):
            finished.append("")
            report(len(finished), len(names))
    except InputError as error:
        done = sum(1 for path in (work / _PARTS).iterdir() if path.suffix != ".tmp") if (work / _PARTS).is_dir() else 0
        if not done:
            shutil.rmtree(work, ignore_errors=True)
            raise
        raise InputError(f"{error} ({done} of {len(names)} drives are done; the same command goes on)") from error
    if source.taxonomy.path is not None:
        shutil.copyfile(source.taxonomy.path, work / CLASSES_FILE)
    converted = _finish(work, source.version, names, {ALL_SPLIT: names, **own_splits})
    if out.exists():
        out.rmdir()
    work.rename(out)
    return converted


def _check_splits(splits: Mapping[str, Sequence[str]], names: Sequence[str], path: Path) -> None:
    known = set(names)
    for split, drives in splits.items():
        if is_official_split(split):
            raise InputError(f"split {shown(split)}: is a name of nuScenes' own; take another, such as my_{split}")
        if split == ALL_SPLIT:
            raise InputError(f"split {shown(split)}: lists every drive; take another name")
        if not drives:
            raise InputError(f"split {shown(split)}: names no drive")
        if unknown := [drive for drive in drives if drive not in known]:
            raise InputError(f"split {shown(split)}: {path} has no drive {shown(unknown[0])}")


def _begin(work: Path, job: Mapping[str, Any]) -> None:
    """Make the folder to work in, or take over that of a stopped run of the same job."""
    content = msgspec.json.encode(job)
    path = work / _JOB
    if path.is_file() and path.read_bytes() == content:
        return
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    write_atomically(path, content)


def _take_over(work: Path, source: Source, names: Sequence[str]) -> list[str]:
    """The drives that are done and whose files are as they were then; whatever there is of others is removed."""
    parts = work / _PARTS
    kept = {name for name in names if _is_current(parts / name / _STAMP, source, name)}
    for part in parts.glob("*"):
        if part.name not in kept:
            shutil.rmtree(part)
    for kind in ("samples", "sweeps"):
        for channel in (work / kind).glob("*"):
            _remove_files(channel, kept)
            _remove_if_empty(channel)
        _remove_if_empty(work / kind)
    return [name for name in names if name in kept]


def _is_current(stamp: Path, source: Source, name: str) -> bool:
    return stamp.is_file() and stamp.read_text() == stamp_of(source.files(name))


def _remove_files(channel: Path, kept: Collection[str]) -> None:
    """Remove the files of all drives but some: when a drive is read again, it may have fewer."""
    for path in channel.iterdir():
        if drive_of_file(path.name, channel.name) not in kept:
            path.unlink()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _convert_drive(job: _Job) -> None:
    """Write a drive's files and its part of the tables."""
    # Where the source is one drive, the folder's name is the drive's.
    where = str(job.source.path) if job.source.path.resolve().name == job.drive else f"{job.source.path}: {job.drive}"
    stamp = stamp_of(job.source.files(job.drive))  # before they are read: they may change meanwhile
    naming = Naming(job.source.version, job.source.format, job.source.categories, job.source.taxonomy)
    # Absurd numbers are refused by name; that they overflow on the way there tells nobody anything.
    with np.errstate(all="ignore"):
        drive = job.source.read(job.drive)
        tables, counts = write_drive(drive, naming, where, job.root, job.key_frames_hz, job.link)
    part = job.root / _PARTS / job.drive
    temporary = part.with_name(f"{part.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, rows in tables.items():
        (temporary / f"{name}.json").write_bytes(msgspec.json.encode(rows))
    (temporary / _SUMMARY).write_bytes(msgspec.json.encode(counts))
    (temporary / _STAMP).write_text(stamp)
    temporary.rename(part)


def _finish(work: Path, version: str, names: Sequence[str], splits: Mapping[str, Sequence[str]]) -> Converted:
    """Join the parts into tables, write what all drives share, and count."""
    parts = [work / _PARTS / name for name in names]
    folder = work / version
    folder.mkdir(exist_ok=True)
    summary = _summary(parts)
    for name in TABLES:
        if name in VOCABULARY:
            (folder / f"{name}.json").write_bytes(msgspec.json.encode(_shared_rows(parts, name)))
        elif name != "map":
            with (folder / f"{name}.json").open("wb") as file:
                _join(parts, name, file)
    (folder / "map.json").write_bytes(msgspec.json.encode([_map(work, version, folder)]))
    (folder / "splits.json").write_bytes(msgspec.json.encode(splits))
    shutil.rmtree(work / _PARTS)
    (work / _JOB).unlink()
    return summary


def _join(parts: Sequence[Path], name: str, file: IO[bytes]) -> None:
    """Write the rows of all parts as one table, without decoding them."""
    file.write(b"[")
    separator = b""
    for part in parts:
        rows = (part / f"{name}.json").read_bytes()[1:-1]
        if rows:
            file.write(separator + rows)
            separator = b","
    file.write(b"]")


def _shared_rows(parts: Sequence[Path], name: str) -> list[Row]:
    """The rows of a table of which drives share rows, each once."""
    rows: dict[str, Row] = {}
    for part in parts:
        for row in msgspec.json.decode((part / f"{name}.json").read_bytes(), type=list[dict[str, Any]]):
            rows.setdefault(row["token"], row)
    return list(rows.values())


def _map(work: Path, version: str, folder: Path) -> Row:
    """The one map: empty, since nuscenes-devkit opens no data root in which a log has none."""
    token = token_of(version, "map")
    filename = f"maps/{token}.png"
    (work / "maps").mkdir(exist_ok=True)
    _, encoded = cv2.imencode(".png", np.zeros((64, 64), dtype=np.uint8))
    (work / filename).write_bytes(encoded.tobytes())
    logs = msgspec.json.decode((folder / "log.json").read_bytes(), type=list[dict[str, Any]])
    tokens = [row["token"] for row in logs]
    return {"token": token, "category": "semantic_prior", "filename": filename, "log_tokens": tokens}


def _summary(parts: Sequence[Path]) -> Converted:
    summaries = [msgspec.json.decode((part / _SUMMARY).read_bytes(), type=Counts) for part in parts]
    without_class: Counter[str] = Counter()
    for summary in summaries:
        without_class.update(summary.without_class)
    return Converted(
        drives=len(parts),
        frames=sum(summary.frames for summary in summaries),
        boxes=sum(summary.boxes for summary in summaries),
        objects=sum(summary.objects for summary in summaries),
        recordings=sum(summary.recordings for summary in summaries),
        files=sum(summary.files for summary in summaries),
        changing=sum(summary.changing for summary in summaries),
        without_class=dict(without_class.most_common()),
    )


def _silent(_: int, __: int) -> None:
    pass
