"""A folder of shards: what was made of each scene in a file of its own, and a manifest that says of what it was made.

A shard is written whole or not at all, by whoever does the scene's job, on whatever machine; so the folder tells at any
moment what is done. It holds `manifest.json`, `shards/<scene>.<suffix>`, and after failures `failures.json`.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from scenes.errors import InputError, shown
from scenes.files import atomic_path, write_atomically
from scenes.jobs.executors import Executor, Job, Outcome, Setup, SetupError
from scenes.scene_files import scene_file_name
from scenes.stamps import stamp_of

MANIFEST: Final = "manifest.json"
FAILURES: Final = "failures.json"
_SHARDS: Final = "shards"
_FORMAT: Final = "streamtrack shards 1"
_BLOCK_BYTES: Final = 1 << 20
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Whatever the scene: no further one could be written either."""

_logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of finished scenes, and that of all."""


class _Manifest(msgspec.Struct):
    format: str
    kind: str
    suffix: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    versions: dict[str, str]
    scenes: list[str]


@dataclass(frozen=True)
class Shards:
    """A folder of shards.

    Attributes:
        folder: where it lies.
        kind: what the shards hold: `detections`, `tracks`, ...
        suffix: of their names, with its dot.
        scenes: the names of the scenes, in the order of the whole.
    """

    folder: Path
    kind: str
    suffix: str
    scenes: tuple[str, ...]

    def path(self, scene: str) -> Path:
        """Where the shard of a scene lies, or will."""
        return self.folder / _SHARDS / f"{scene_file_name(scene)}{self.suffix}"

    def missing(self) -> list[str]:
        """The scenes whose shards are not there, in order."""
        there = {path.name for path in (self.folder / _SHARDS).glob(f"*{self.suffix}")}
        return [scene for scene in self.scenes if self.path(scene).name not in there]

    def paths(self) -> Iterator[Path]:
        """The shards in the order of the scenes.

        Raises:
            InputError: one is missing.
        """
        if missing := self.missing():
            raise InputError(
                f"{self.folder}: the shard of scene {shown(missing[0])} is missing ({len(missing)} of "
                f"{len(self.scenes)} are); the command that wrote it goes on with --resume"
            )
        yield from map(self.path, self.scenes)


def begin_shards(
    folder: Path,
    kind: str,
    scenes: Sequence[str],
    *,
    suffix: str = ".json",
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    resume: bool,
) -> Shards:
    """Make a folder for the shards of a run, or take over that of a run that was stopped.

    Args:
        folder: may exist if it is empty.
        kind, suffix, scenes: see `Shards`.
        settings: whatever the shards depend on besides the inputs, as JSON has it.
        inputs: digests of what the shards are made of.
        resume: keep the shards of the same run that are there.

    Raises:
        InputError: the folder holds something else, shards of another run, or those of this run without `resume`.
    """
    own = _Manifest(
        format=_FORMAT,
        kind=kind,
        suffix=suffix,
        settings=msgspec.json.decode(msgspec.json.encode(dict(settings))),
        inputs=dict(inputs),
        versions={"streamtrack": importlib.metadata.version("streamtrack")},
        scenes=list(scenes),
    )
    if folder.is_dir() and any(folder.iterdir()):
        there = _read_manifest(folder)
        difference = _difference(msgspec.to_builtins(there), msgspec.to_builtins(own))
        if difference:
            raise InputError(f"{folder}: holds the shards of another run ({difference}); take another folder")
        if not resume and any((folder / _SHARDS).glob(f"*{suffix}")):
            raise InputError(f"{folder}: holds shards of this run; --resume keeps them and goes on")
        for leftover in (folder / _SHARDS).glob(f".*.tmp{suffix}"):  # of workers that were killed
            with suppress(OSError):
                leftover.unlink()
    else:
        (folder / _SHARDS).mkdir(parents=True, exist_ok=True)
        write_atomically(folder / MANIFEST, json.dumps(msgspec.to_builtins(own), indent=1, sort_keys=True).encode())
    return Shards(folder, kind, suffix, tuple(scenes))


def open_shards(folder: Path, *kinds: str) -> Shards:
    """A folder of shards that is there.

    Raises:
        InputError: it is none, or one of another kind than those that are asked for.
    """
    manifest = _read_manifest(folder)
    if manifest.kind not in kinds:
        raise InputError(f"{folder}: holds shards of {manifest.kind}, expected {' or '.join(kinds)}")
    return Shards(folder, manifest.kind, manifest.suffix, tuple(manifest.scenes))


def run_shards(
    shards: Shards,
    function: Callable[..., None],
    jobs: Iterable[tuple[str, Job]],
    executor: Executor,
    *,
    keep_going: bool = False,
    progress: Progress | None = None,
    setup: Setup | None = None,
    gpus: float = 0.0,
) -> int:
    """Make the shards that are missing.

    Args:
        shards: of the run.
        function: called as `function(*job, path)`; writes the shard to the path that it is given. With `setup` its
            first argument is what that made.
        jobs: the name and the arguments of each scene; those whose shard is there are left out.
        executor: where to run.
        keep_going: log a scene that fails, and go on with the others.
        progress: see `Progress`.
        setup, gpus: see `Executor.outcomes`.

    Returns:
        how many scenes failed; `failures.json` says why.

    Raises:
        InputError, OSError: a scene failed, without `keep_going`; or no scene can be done.
    """
    missing = set(shards.missing())
    done, report = len(shards.scenes) - len(missing), progress or _silent
    report(done, len(shards.scenes))
    names: list[str] = []

    def of_missing() -> Iterator[Job]:
        for name, job in jobs:
            if name in missing:
                names.append(name)
                yield (shards.folder, shards.path(name), *job)

    failures: dict[str, dict[str, str]] = {}
    write = partial(_write_with_state if setup else _write, function)
    with closing(executor.outcomes(write, of_missing(), setup, gpus)) as outcomes:  # type: ignore[type-var]
        for outcome in outcomes:
            name = names[outcome.number]
            if outcome.error is None:
                done += 1
                report(done, len(shards.scenes))
                continue
            _stop_unless(keep_going, outcome, name, f"{done} of {len(shards.scenes)} scenes are done")
            failures[name] = {"error": _said(outcome.error), "node": outcome.node, "trace": outcome.trace}
            _logger.warning("scene %s failed on %s: %s", shown(name), outcome.node, _said(outcome.error))
    if failures:
        write_atomically(shards.folder / FAILURES, json.dumps(failures, indent=1, sort_keys=True).encode())
    else:
        (shards.folder / FAILURES).unlink(missing_ok=True)
    return len(failures)


def _stop_unless(keep_going: bool, outcome: Outcome[None], name: str, done: str) -> None:
    error = outcome.error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = f"{error.filename}: " if error.filename else ""
        raise InputError(f"{where}{error.strerror} ({done}; --resume goes on)") from error
    if keep_going:
        return
    if isinstance(error, (InputError, OSError)):
        raise InputError(f"scene {shown(name)}: {_said(error)} ({done}; --resume goes on)") from error
    outcome.value()


def _said(error: Exception) -> str:
    """What an error says, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (InputError, OSError)) else f"{type(error).__name__}: {text}"


def _write(function: Callable[..., None], folder: Path, path: Path, *job: Any) -> None:
    if not (folder / MANIFEST).is_file():
        raise SetupError(f"{folder}: not seen by a worker; every node has to see it under this path")
    with atomic_path(path) as temporary:
        function(*job, temporary)


def _write_with_state(function: Callable[..., None], state: Any, folder: Path, path: Path, *job: Any) -> None:
    _write(partial(function, state), folder, path, *job)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content; of a folder of shards, that of its manifest and of the sizes of its shards.

    Raises:
        InputError: it cannot be read.
    """
    hashed = hashlib.sha256()
    try:
        if path.is_dir():
            hashed.update((path / MANIFEST).read_bytes())
            for shard in sorted((path / _SHARDS).iterdir()):
                hashed.update(f"{shard.name} {shard.stat().st_size}\n".encode())
            return hashed.hexdigest()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                hashed.update(block)
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}") from error
    return hashed.hexdigest()


def tables_digest(dataroot: Path, version: str) -> str:
    """What tells the tables of a data root from others: their sizes and times. Reading them would take too long."""
    return stamp_of(sorted((dataroot / version).glob("*.json")))


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: a folder without {MANIFEST}: not one of shards") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not the manifest of a folder of shards: {error}") from error
    if manifest.format != _FORMAT:
        raise InputError(f"{path}: format {shown(manifest.format)}, expected {_FORMAT!r}")
    return manifest


def _difference(there: Mapping[str, Any], own: Mapping[str, Any], place: str = "") -> str:
    """The first part in which two manifests differ; "" for none."""
    for key in sorted({*there, *own}):
        name = f"{place}{key}"
        first, second = there.get(key), own.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            if inner := _difference(first, second, f"{name}."):
                return inner
        elif first != second:
            plain = not isinstance(first, (list, dict)) and not isinstance(second, (list, dict))
            values = f": {shown(first)} there, {shown(second)} here" if plain else ""
            return f"{name} differs{values}"
    return ""


def _silent(_: int, __: int) -> None:
    pass
