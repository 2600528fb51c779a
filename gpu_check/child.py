"""One part of the check, in a process of its own.

python -m gpu_check.child MODULE SUBJECT RECORD DEVICE full|quick FOLDER
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from gpu_check.parts import Run, Settings
from gpu_check.record import Record, SkippedError

_OURS: Final = ("scenes", "detection", "evaluation", "parity", "gpu_check")


def main() -> None:
    """Do the work; whatever goes wrong ends in the last line on stderr."""
    module, subject, path, device, length, folder = sys.argv[1:]
    record = Record(Path(path))
    try:
        run: Run = import_module(module).run
        run(Settings(device, length == "quick", Path(folder)), record, subject)
    except SkippedError as reason:
        record.skip(str(reason))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _OURS:
            raise
        record.skip(f"needs the package {package}")


if __name__ == "__main__":
    main()
