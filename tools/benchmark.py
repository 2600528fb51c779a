"""Measure how fast parts of the project are.

    python tools/benchmark.py evaluation [--scenes 15 50 150] [--devkit-scenes 15]
    python tools/benchmark.py tracker [--boxes 10 30 120 300 1000]

One sub-command a benchmark; each is a module with `add_arguments(parser)` and `run(arguments)`.
"""

import argparse

from evaluation import benchmark as evaluation_benchmark
from scenes.command import run_command
from tracking import benchmark as tracker_benchmark

_BENCHMARKS = {"evaluation": evaluation_benchmark, "tracker": tracker_benchmark}


def main() -> None:
    """Run the benchmark that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in _BENCHMARKS.items():
        summary, _, _ = (benchmark.__doc__ or "").partition("\n")
        benchmark.add_arguments(commands.add_parser(name, help=summary, description=benchmark.__doc__))
    arguments = parser.parse_args()
    _BENCHMARKS[arguments.benchmark].run(arguments)


if __name__ == "__main__":
    run_command(main)
