"""What every command-line tool does around its work: one clear line and exit code 2 for bad input."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from scenes.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

_LONGEST_MESSAGE = 2000
"""Beyond it the middle is left out: whatever was given as input, a terminal can still show what is wrong with it."""

_UNLIMITED: Final = 10_000
"""Columns of a console that cuts nothing."""

_EXTRAS: Final[Mapping[str, str]] = {
    "mcap": "live",
    "nuscenes": "devkit",
    "optuna": "tune",
    "py123d": "py123d",
    "pyarrow": "argoverse2",
    "pycocotools": "detection",
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
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_report(f"{where}{error.strerror or error}"))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(code or 0)


def add_workers(parser: argparse.ArgumentParser, default: int | None, help_: str) -> None:
    """Add the option `--workers`, a number of processes of at least one.

    Raises:
        InputError: from the parser, for another number.
    """
    parser.add_argument("--workers", type=int, default=default, action=between(1), help=help_)


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
