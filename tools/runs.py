"""What was run: list recorded runs, look at one, compare some, write the leaderboard.

    streamtrack runs list [--split mini_val] [--class car] [--scene scene-0103] [--error switches]
    streamtrack runs show 3
    streamtrack runs compare 3 5
    streamtrack runs page --out out/leaderboard.html

Runs come from `streamtrack test`, `track` and `evaluate` with --record.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from evaluation.runs.comparing import compare_runs
from evaluation.runs.leaderboard import check_names, runs_table, selected, write_leaderboard
from evaluation.runs.recording import default_store
from evaluation.runs.scene_counts import ERRORS
from evaluation.runs.store import ALL, RunStore
from scenes.command import run_command


def main() -> None:
    """Parse the command line, read the store, print or write."""
    arguments = _parser().parse_args()
    store = RunStore(arguments.store)
    if arguments.command == "list":
        runs = store.runs(scenes=arguments.scene != ALL)
        where = {"scene": arguments.scene, "class_": arguments.class_}
        of = {"command": arguments.of, "split": arguments.split}
        check_names(runs, metric=arguments.metric, **of, **where)
        chosen = selected(runs, **of, **where)
        print(runs_table(chosen, error=arguments.error, metric=arguments.metric, **where))
    elif arguments.command == "show":
        print(json.dumps(asdict(store.run(arguments.run)), indent=1))
    elif arguments.command == "compare":
        runs = [store.run(number) for number in arguments.runs]
        table = compare_runs(runs)
        print("runs " + ", ".join(f"{run.number}: {run.name}" for run in runs))
        print(table)
    else:
        write_leaderboard(arguments.out, store.runs())
        print(arguments.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="one row a run, the oldest first")
    listing.add_argument("--of", metavar="COMMAND", help="such as 'evaluate tracking'")
    listing.add_argument("--split", help="runs on this split, or this version, alone")
    listing.add_argument("--scene", default=ALL, help="the numbers of this scene (default: of all)")
    listing.add_argument(
        "--class", dest="class_", default=ALL, metavar="CLASS", help="the numbers of this class (default: of all)"
    )
    listing.add_argument("--error", choices=tuple(ERRORS), help="the runs that make the fewest first")
    listing.add_argument("--metric", help="a number to show besides the usual ones")
    showing = commands.add_parser("show", help="all that is known of a run, as JSON")
    showing.add_argument("run", type=int, help="its number in the list")
    comparing = commands.add_parser("compare", help="how results differ, by a paired bootstrap over scenes")
    comparing.add_argument("runs", type=int, nargs="+", metavar="RUN", help="the others are set against the first")
    page = commands.add_parser("page", help="the leaderboard of each split")
    page.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page to write")
    for command in commands.choices.values():
        command.add_argument("--store", type=Path, default=default_store(), help="default: %(default)s")
    return parser


if __name__ == "__main__":
    run_command(main)
