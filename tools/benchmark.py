"""Measure how fast parts of the project are.

    streamtrack benchmark evaluation [--scenes 15 50 150] [--devkit-scenes 15]
    streamtrack benchmark drives [--drives 500 5000] [--frames 20] [--workers 2]
    streamtrack benchmark tables [--folder DIR] [--commands] [--devkit-scenes 10]
    streamtrack benchmark tracker [--boxes 10 30 120 300 1000]
    streamtrack benchmark offline [--minutes 4 15 60] [--hertz 10] [--tracks 60]
    streamtrack benchmark detector --config CONFIG [--compile] [--dtype bfloat16] [--onnx DIR ...] [--flops]
    streamtrack benchmark dynamic --config CONFIG --checkpoint CHECKPOINT [--random-seeds 3]

One sub-command a benchmark; each is a module with `add_arguments(parser)` and `run(arguments)`. One of them measures
tracks as well: its `run` also takes the tracker, which its room must not import.
"""

import argparse
from importlib import import_module

from scenes import Results, Scene
from scenes.command import run_command
from tracking import TrackerConfig, track_results

_MODULES = {
    "detector": "detection.running.benchmark",
    "drives": "evaluation.drives_benchmark",
    "dynamic": "detection.running.dynamic_benchmark",
    "evaluation": "evaluation.benchmark",
    "offline": "tracking.offline_benchmark",
    "tables": "evaluation.benchmark_tables",
    "tracker": "tracking.benchmark",
}
_WITH_TRACKS = ("dynamic",)


def main() -> None:
    """Run the benchmark that is asked for; the others are not imported, so that two of them need no torch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=tuple(_MODULES))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="BENCHMARK --help lists them")
    chosen = parser.parse_args()
    benchmark = import_module(_MODULES[chosen.benchmark])
    own = argparse.ArgumentParser(prog=f"{parser.prog} {chosen.benchmark}", description=benchmark.__doc__)
    benchmark.add_arguments(own)
    arguments = own.parse_args(chosen.arguments)
    if chosen.benchmark in _WITH_TRACKS:
        benchmark.run(arguments, _track)
    else:
        benchmark.run(arguments)


def _track(detections: Results, scenes: list[Scene]) -> Results:
    """Tracks by the built-in settings."""
    return track_results(detections, scenes, TrackerConfig())


if __name__ == "__main__":
    run_command(main)
