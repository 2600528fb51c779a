"""Run the live pipeline through the city with faults injected: `streamtrack soak --minutes 60 --speed 5`.

The detector is simulated: it knows what is in the city. Images are decoded, put together to steps, tracked and
published as in a live run; cameras fail, clocks jump, the detector stalls, the run is stopped and goes on from its
state. Exit code 1 if an identity is lost, or a fault is not named in the log.
"""

import argparse
import logging

from rich.table import Table

from scenes.command import between, progress_bar, run_command, table_console
from streaming.soak.run import SoakReport, soak


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, action=between(0.1), help="of data (default: 60)")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        action=between(0.1),
        help="faster than real time by this (default: %(default)s)",
    )
    parser.add_argument("--restarts", type=int, default=3, action=between(0), help="of the run (default: 3)")
    parser.add_argument("--seed", type=int, default=0, action=between(0), help="default: 0")
    parser.add_argument("--verbose", action="store_true", help="say every fault on stderr")
    arguments = parser.parse_args()
    if not arguments.verbose:
        logging.getLogger("streaming").setLevel(logging.ERROR)
    with progress_bar() as bar:
        task = bar.add_task("steps")
        report = soak(
            arguments.minutes,
            arguments.speed,
            arguments.restarts,
            arguments.seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _print(report)
    return 1 if report.lost or report.unnamed else 0


def _print(report: SoakReport) -> None:
    console = table_console()
    faults = Table("fault", "injected")
    for name, number in report.injected.items():
        faults.add_row(name, str(number))
    named = Table("in the log", "at least", "said")
    for kind, number in sorted(report.counted.items()):
        named.add_row(kind, str(report.expected.get(kind, 0)), str(number))
    latency = Table("stage", "steps", "p50 ms", "p95 ms", "p99 ms", "dropped")
    for row in report.statistics.rows():
        latency.add_row(*row)
    for table in (faults, named, latency):
        console.print(table)
    dropped = ", ".join(f"{number} before {stage}" for stage, number in report.dropped.items()) or "none"
    console.print(f"{report.published} of {report.steps} steps published in {report.wall_s:.0f} s; dropped: {dropped}")
    console.print(f"{report.identities} identities, {report.lost} lost; {report.restarts} restarts")
    memory = ", ".join(f"{megabytes:.0f}" for megabytes in report.memory_mb)
    console.print(f"resident memory in MB through the run: {memory}")


if __name__ == "__main__":
    run_command(main)
