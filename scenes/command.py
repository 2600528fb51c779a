"""What every command-line tool does around its work: one clear line and exit code 2 for bad input."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scenes.errors import InputError
from scenes.jobs.executors import Executor, InProcess, LocalProcesses, Workers
from scenes.jobs.shards import FAILURES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

_LONGEST_MESSAGE = 2000
"""Beyond it the middle is left out: whatever was given as input, a terminal can still show what is wrong with it."""

EXECUTORS: Final = ("process", "local", "ray")
"""Where jobs can run."""

_UNLIMITED: Final = 10_000
"""Columns of a console that cuts nothing."""

_EXTRAS: Final[Mapping[str, str]] = {
    "mcap": "live",
    "nuscenes": "devkit",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "optuna": "tune",
    "py123d": "py123d",
    "pyarrow": "argoverse2",
    "pycocotools": "detection",
    "ray": "ray",
    "rerun": "rerun",
    "rosbags": "rosbag",
    "safetensors": "detection",
    "torch": "detection",
    "websockets": "live",
}
"""Packages that only extras bring, and the extra of each."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a tool's `main` and leave the process with its exit code.

    Input that cannot be used, a file system that refuses, and an extra that is not installed end in one line on stderr
    and exit code 2.
    """
    # What takes its time without a bar of its own says so here; elsewhere information is for whoever asks for it.
    logging.basicConfig(format="%(message)s")
    for name in ("scenes.compiled", "detection.running.compilation"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        code = main()
    except InputError as error:
        sys.exit(_report(str(error)))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _EXTRAS:
            raise
        sys.exit(_report(f"this needs the package {package}: pip install 'streamtrack[{_EXTRAS[package]}]'"))
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if _on_the_way_out(error):
            sys.exit(_stopped())
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_report(f"{where}{error.strerror or error}"))
    except KeyboardInterrupt:
        sys.exit(_stopped())
    sys.exit(code or 0)


def _on_the_way_out(error: BaseException) -> bool:
    """Whether an error came up while an interrupt was being dealt with, such as a lock that is released twice."""
    before = error.__context__
    return before is not None and (isinstance(before, KeyboardInterrupt) or _on_the_way_out(before))


def _stopped() -> int:
    """Say that the user has stopped the tool; the exit code."""
    print("stopped", file=sys.stderr)
    return 130


def add_workers(parser: argparse.ArgumentParser, default: int | None, help_: str) -> None:
    """Add the option `--workers`, a number of processes of at least one.

    Raises:
        InputError: from the parser, for another number.
    """
    parser.add_argument("--workers", type=int, default=default, action=between(1), help=help_)


def add_executor(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the options that say where a tool's jobs run; `workers_from` reads them.

    Args:
        parser: of the tool. default: the processes where nothing is said.
    """
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--workers",
        type=int,
        action=between(1),
        help=f"processes (default: {default}; on a cluster as many as it has processors)",
    )
    group.add_argument(
        "--executor",
        choices=EXECUTORS,
        help="in this process, in processes of this machine, or on a Ray cluster (extra `ray`); "
        "default: local, or process for one worker",
    )
    group.add_argument(
        "--address",
        help="of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT (default: Ray is started on this machine)",
    )
    parser.set_defaults(default_workers=default)


def workers_from(arguments: argparse.Namespace) -> Workers:
    """Where the options of `add_executor` say that jobs run.

    Raises:
        InputError: an address of a cluster, and jobs that do not run on one.
    """
    if arguments.address is not None and arguments.executor != "ray":
        raise InputError("--address is of a Ray cluster: say --executor ray")
    if arguments.executor == "ray":
        from scenes.jobs.ray_executor import RayExecutor

        return RayExecutor(arguments.address, arguments.workers)
    workers: int = arguments.workers or arguments.default_workers
    if arguments.executor == "process":
        return InProcess()
    return workers if arguments.executor is None else LocalProcesses(workers)


def add_shards(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the options of a tool that can go scene by scene, with a shard of each in a folder.

    Args:
        parser: of the tool. what: the folder holds, in words.
    """
    group = parser.add_argument_group("scene by scene")
    group.add_argument("--shards", type=Path, metavar="DIR", help=f"go scene by scene; DIR gets {what} of each")
    group.add_argument("--resume", action="store_true", help="keep the shards that a stopped run left, and go on")
    group.add_argument("--keep-going", action="store_true", help="log a scene that fails, and go on; exit code 1")


def check_shards(arguments: argparse.Namespace) -> None:
    """Check the options of `add_shards`.

    Raises:
        InputError: one of them means nothing without `--shards`.
    """
    for name in ("resume", "keep_going"):
        if getattr(arguments, name) and not arguments.shards:
            raise InputError(f"--{name.replace('_', '-')} goes with --shards DIR")


def shards_failed(failed: int, folder: Path) -> int:
    """Say how many scenes failed, on stderr; the exit code."""
    if failed:
        print(f"{failed} scenes failed, see {folder / FAILURES}; --resume tries them again", file=sys.stderr)
    return 1 if failed else 0


@contextmanager
def scene_bar(executor: Executor) -> Iterator[Callable[[int, int], None]]:
    """A bar of finished scenes, over all machines; what is yielded takes their number and that of all."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task(f"scenes, {executor.described()}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def between(least: float, most: float = math.inf) -> type[argparse.Action]:
    """What `add_argument` of an option takes as `action` to accept only numbers from `least` to `most`.

    Raises:
        InputError: from the parser, for another number.
    """
    expected = f"expected at least {least:g}" if most == math.inf else f"expected {least:g} to {most:g}"

    class Between(argparse.Action):
        def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
            for value in values if isinstance(values, list) else [values]:
                if not least <= value <= most:
                    raise InputError(f"{option} {value}: {expected}")
            setattr(namespace, self.dest, values)

    return Between


def progress_bar(*columns: str | ProgressColumn, disable: bool = False) -> Progress:
    """A progress bar on stderr; none where that is a file or a pipe, in which an error is to be the only line.

    Args:
        columns: by default those of rich.
        disable: show none.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    return Progress(*columns, console=console, disable=disable or not console.is_terminal)


def table_console() -> Console:
    """A console on stdout for tables; a file or a pipe gets all of their columns, however wide they are."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_UNLIMITED)


def _report(message: str) -> int:
    line = " ".join(message.splitlines())
    if len(line) > _LONGEST_MESSAGE:
        line = f"{line[: _LONGEST_MESSAGE // 2]} ... {line[-_LONGEST_MESSAGE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    return 2
