"""What every command-line tool does around its work: one clear line and exit code 2 for bad input."""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Final

from scenes.errors import InputError

_EXTRAS: Final[Mapping[str, str]] = {
    "nuscenes": "devkit",
    "optuna": "tune",
    "pycocotools": "detection",
    "rerun": "rerun",
    "safetensors": "detection",
    "torch": "detection",
}
"""Packages that only extras bring, and the extra of each."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a tool's `main` and leave the process with its exit code.

    Input that cannot be used, a file system that refuses, and an extra that is not installed end in one line on stderr
    and exit code 2.
    """
    # What takes its time without a bar of its own says so here; elsewhere information is for whoever asks for it.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("scenes.compiled").setLevel(logging.INFO)
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


def _report(message: str) -> int:
    print("error: " + " ".join(message.splitlines()), file=sys.stderr)
    return 2
