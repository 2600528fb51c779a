"""Compare the detectors with recordings of the published ones: a line a file, exit code 1 beyond tolerance."""

import argparse
from pathlib import Path

from parity import check_folder
from scenes.command import run_command

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def main() -> int:
    """Parse the command line, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m parity", description=__doc__)
    parser.add_argument("recordings", type=Path, help="folder of the recordings; file names say which model each is of")
    parser.add_argument("--rule", type=Path, help="file that makes weights and inputs (default: rule.py beside them)")
    arguments = parser.parse_args()
    agree = True
    for report in check_folder(arguments.recordings, CONFIGS, arguments.rule):
        print(report, flush=True)
        agree = agree and report.agrees
    return 0 if agree else 1


if __name__ == "__main__":
    run_command(main)
