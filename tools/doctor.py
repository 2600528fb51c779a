"""Find what is wrong in one's own data: calibration, poses, times, boxes, identities, images, splits, results.

    streamtrack doctor DATAROOT [--version V] [--results FILE] [--out DIR]

Prints a table of findings; with --out also a page with pictures, contact sheets of boxes in every camera, and JSON.
Exit code 1 if there is an error, 0 with warnings and notes alone.
"""

import argparse
from pathlib import Path

from scenes.command import run_command
from scenes.doctor import DataRoot, Diagnosis, Severity, examine, only_version
from visualization.doctor_page import facts, write_diagnosis


def main() -> int:
    """Examine, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataroot", metavar="DATAROOT", type=Path, help="data root in the nuScenes format")
    parser.add_argument("--version", help="folder of the tables, such as v1.0-mini (default: the only one)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="result file for this data root")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for index.html, contact sheets and doctor.json")
    arguments = parser.parse_args()

    root = DataRoot(arguments.dataroot, arguments.version or only_version(arguments.dataroot))
    diagnosis = examine(root, arguments.results)
    _print(diagnosis)
    if arguments.out:
        page, *_ = write_diagnosis(root, diagnosis, arguments.out)
        print(page)
    return 1 if diagnosis.count(Severity.ERROR) else 0


def _print(diagnosis: Diagnosis) -> None:
    for finding in diagnosis.findings:
        of = f" of {finding.of}" if finding.of else ""
        print(f"{finding.severity.value:8}{finding.check:24}{finding.count}{of}: {finding.what}")
        print(f"{'':8}{finding.example.table} {finding.example.token}: {finding.example.text}")
        print(f"{'':8}-> {finding.advice}")
    print(facts(diagnosis))


if __name__ == "__main__":
    run_command(main)
