"""Evaluate a detection or tracking result file with the nuScenes metrics.

    python tools/evaluate.py tracking RESULTS --dataroot D --version V --split S --out DIR

Prints a table and writes `metrics_summary.json` and `metrics_details.json`, in the schema of nuscenes-devkit, to DIR.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from evaluation import DEFAULT_ENGINE, ENGINES, NotAnnotatedError, evaluate_detection, evaluate_tracking
from evaluation.check import TOLERANCE, first_difference
from evaluation.table import metrics_table
from scenes.command import run_command


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    for task in ("detection", "tracking"):
        command = tasks.add_parser(task, help=f"evaluate a {task} result file")
        command.add_argument("results", type=Path, help="result file in the nuScenes submission format")
        command.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root")
        command.add_argument("--version", required=True, help="folder of the tables, such as v1.0-trainval")
        command.add_argument("--split", required=True, help="split of the devkit or of splits.json, or a file of names")
        command.add_argument("--out", type=Path, required=True, help="folder for the metrics")
        command.add_argument("--engine", choices=ENGINES, default=DEFAULT_ENGINE, help="default: %(default)s")
        command.add_argument("--partial", action="store_true", help="leave out scenes that the results do not hold")
        command.add_argument("--check", action="store_true", help="run both engines and compare all numbers")
    return parser.parse_args()


def main() -> int:
    """Evaluate, write, print."""
    arguments = _parse_arguments()
    evaluate = partial(
        evaluate_tracking if arguments.task == "tracking" else evaluate_detection,
        arguments.results,
        arguments.dataroot,
        arguments.version,
        arguments.split,
        partial=arguments.partial,
    )
    try:
        evaluation = evaluate(engine=arguments.engine)
    except NotAnnotatedError as notice:
        print(notice)
        return 0
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.check:
        difference = first_difference(evaluate(engine="ours"), evaluate(engine="devkit"))
        if difference:
            print(f"error: the engines differ (ours against devkit): {difference}", file=sys.stderr)
            return 1
        print(f"both engines agree within {TOLERANCE:g}")
    evaluation.write(arguments.out)
    print(metrics_table(evaluation))
    print(f"written to {arguments.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
