"""Measure how fast parts of the project are.

    python tools/benchmark.py evaluation [--scenes 15 50 150] [--devkit-scenes 15]
    python tools/benchmark.py tracker [--boxes 10 30 120 300 1000]
    python tools/benchmark.py detector --config CONFIG [--compile] [--dtype bfloat16] [--flops]

One sub-command a benchmark; each is a module with `add_arguments(parser)` and `run(arguments)`.
"""

import argparse
from importlib import import_module

from scenes.command import run_command

_MODULES = {"detector": "detection.benchmark", "evaluation": "evaluation.benchmark", "tracker": "tracking.benchmark"}


def main() -> None:
    """Run the benchmark that is asked for; the others are not imported, so that two of them need no torch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=_MODULES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="BENCHMARK --help lists them")
    chosen = parser.parse_args()
    benchmark = import_module(_MODULES[chosen.benchmark])
    own = argparse.ArgumentParser(prog=f"{parser.prog} {chosen.benchmark}", description=benchmark.__doc__)
    benchmark.add_arguments(own)
    benchmark.run(own.parse_args(chosen.arguments))


if __name__ == "__main__":
    run_command(main)
