"""Print how methods differ over seeds: mean and standard deviation of each, and of the difference from the first.

    streamtrack compare_methods plain=a_0.json,a_1.json new=b_0.json,b_1.json --dataroot D --version V --split S

The files are detections, one a seed, in the same order of seeds for every method. Tracks are made by the tracker's
built-in settings. `ray duplicates` are those of an annotation beyond 30 m, see `evaluation.analysis.ray_duplicates`.
"""

import argparse
from functools import partial
from pathlib import Path

from evaluation.comparison.methods import methods_table
from scenes import InputError
from scenes.command import add_workers, run_command
from tracking import TrackerConfig, track_results


def main() -> None:
    """Parse the command line, measure every file, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", metavar="NAME=FILE,FILE,...", help="detection result files, one a seed")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    add_workers(parser, None, "processes (default: all cores)")
    arguments = parser.parse_args()
    track = partial(track_results, config=TrackerConfig())
    files = dict(_named_files(text) for text in arguments.methods)
    for line in methods_table(files, arguments.dataroot, arguments.version, arguments.split, track, arguments.workers):
        print(line)


def _named_files(text: str) -> tuple[str, list[Path]]:
    name, equals, files = text.partition("=")
    if not (name and equals and files):
        raise InputError(f"{text}: expected NAME=FILE,FILE,...")
    return name, [Path(file) for file in files.split(",")]


if __name__ == "__main__":
    run_command(main)
