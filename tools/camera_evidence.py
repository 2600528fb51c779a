"""Print what the boxes of a 2D detector are worth to the tracker on a synthetic city: with and without, over seeds.

Both detectors are simulated from the annotations (`scenes.city`), so images are not needed.
"""

import argparse
from pathlib import Path

from evaluation.tracking import tracking_metrics
from scenes import read_scenes
from scenes.command import add_workers, between, run_command
from tracking import TrackerConfig, load_tracker_config
from tracking.camera_evidence_worth import worth_table


def main() -> None:
    """Parse the command line, track with every seed, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", type=Path, required=True, help="a city, see `streamtrack make_city`")
    parser.add_argument("--version", default="v1.0-city", help="folder of tables in it (default: %(default)s)")
    parser.add_argument("--split", default="city_val", help="default: %(default)s")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=range(6), action=between(0), help="of the detectors (default: 0 to 5)"
    )
    parser.add_argument("--offline", action="store_true", help="look at each drive as a whole")
    add_workers(parser, None, "processes (default: all cores)")
    arguments = parser.parse_args()
    config = load_tracker_config(arguments.config) if arguments.config else TrackerConfig()
    scenes = read_scenes(arguments.dataroot, arguments.version, arguments.split)
    lines = worth_table(
        scenes, config, list(arguments.seeds), tracking_metrics, offline=arguments.offline, workers=arguments.workers
    )
    for line in lines:
        print(line)


if __name__ == "__main__":
    run_command(main)
