"""Print how faithful the query identities of a detector are, and what they are worth to the tracker.

    streamtrack query_identity detections.json --dataroot data/nuscenes --version v1.0-trainval --split val
    streamtrack query_identity --dataroot out/city --version v1.0-city --split city_val --seeds 0 1 2

Without a file of detections, which bear a `query_id` a box, the detector is simulated (`scenes.city`), once a seed.
"""

import argparse
from pathlib import Path

from evaluation.analysis.query_identity import faithfulness, query_steps, with_true_queries
from evaluation.tracking import tracking_metrics
from scenes import read_scenes, read_split_detections, read_taxonomy
from scenes.city.simulated_detector import simulate_detections
from scenes.command import add_workers, between, run_command
from tracking import TrackerConfig, load_tracker_config
from tracking.identity_worth import identity_worth


def main() -> None:
    """Parse the command line, measure, print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detections", nargs="*", type=Path, metavar="FILE", help="detection results with query_id")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=range(6), action=between(0), help="of the detector (default: 0 to 5)"
    )
    add_workers(parser, None, "processes (default: all cores)")
    arguments = parser.parse_args()
    taxonomy = read_taxonomy(arguments.dataroot)
    config = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    where = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*where)
    if arguments.detections:
        runs = [read_split_detections(path, scenes, *where) for path in arguments.detections]
    else:
        runs = [simulate_detections(scenes, seed=seed) for seed in arguments.seeds]
    for line in faithfulness([query_steps(run, scenes) for run in runs]):
        print(line)
    print()
    for line in identity_worth(runs, scenes, config, with_true_queries, tracking_metrics, arguments.workers):
        print(line)


if __name__ == "__main__":
    run_command(main)
