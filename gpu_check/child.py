"""One part of the check, in a process of its own: `python -m gpu_check.child PART RECORD DEVICE QUICK FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from gpu_check.parts import Settings, part_of
from gpu_check.record import Record, SkippedError

_OURS: Final = ("scenes", "detection", "evaluation", "parity", "gpu_check")


def main() -> None:
    """Do the work; whatever goes wrong ends in the last line on stderr."""
    name, path, device, quick, folder = sys.argv[1:]
    part, record = part_of(name), Record(Path(path))
    try:
        part.run(Settings(device, quick == "quick", Path(folder)), record, part.subject)
    except SkippedError as reason:
        record.skip(str(reason))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _OURS:
            raise
        record.skip(f"needs the package {package}")


if __name__ == "__main__":
    main()
