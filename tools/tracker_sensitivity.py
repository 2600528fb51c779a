"""Print how AMOTA and identity switches move when each of the tracker's settings is scaled, one at a time."""

import argparse
from pathlib import Path

from evaluation.tracking import tracking_metrics
from scenes import read_scenes, read_split_detections, read_taxonomy
from scenes.command import add_workers, between, run_command
from tracking import TrackerConfig, load_tracker_config
from tracking.sensitivity import FACTORS, sensitivity_table


def main() -> None:
    """Parse the command line, track with every variation, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, nargs="+", help="detection result files of the split")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root with annotations")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=FACTORS,
        action=between(0, 1e6),
        help="what each setting is scaled by (default: 0.5 to 1.5)",
    )
    add_workers(parser, None, "processes (default: all cores)")
    arguments = parser.parse_args()
    taxonomy = read_taxonomy(arguments.dataroot)
    config = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root)
    files = [(path.stem, read_split_detections(path, scenes, *root)) for path in arguments.detections]
    for line in sensitivity_table(config, files, scenes, tracking_metrics, arguments.factors, arguments.workers):
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
