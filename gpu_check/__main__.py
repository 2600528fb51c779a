"""Compare, time and train the detectors on this machine's GPU; write what came of it as JSON and as Markdown.

Parity with the published implementations, tests marked `gpu`, frames a second eager and compiled in every precision,
one training in each, and detections of the synthetic city in bfloat16 beside those in float32. Needs neither nuScenes
nor a network. Exit code 1 where a check fails, 2 where nothing can be checked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gpu_check.packages import advice, missing


def main() -> int:
    """Parse the command line, run every part, write the report."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="in 3 minutes instead of 10: fewer models and frames")
    parser.add_argument("--out", type=Path, default=Path("out/gpu_check"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--profile", action="store_true", help="also a table of the kernels of a frame")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu: small models, to try the command itself")
    arguments = parser.parse_args()
    absent = missing()
    if absent.everywhere:
        print(f"error: {advice([*absent.everywhere, *absent.somewhere])}", file=sys.stderr)
        return 2
    if absent.somewhere:
        print(f"some parts are left out: {advice(absent.somewhere)}", file=sys.stderr)
    # Behind the look for what it needs.
    from gpu_check.command import check

    return check(arguments.device, arguments.quick, arguments.profile, arguments.out)


if __name__ == "__main__":
    if missing().everywhere:
        sys.exit(main())
    from scenes.command import run_command

    run_command(main)
