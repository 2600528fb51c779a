"""Learn from a recording, without annotations, what a detector's scores mean and how its boxes err.

`streamtrack track --calibration` starts from there.
"""

import argparse
from pathlib import Path

from rich.table import Table

from scenes import InputError, read_scenes, read_split_detections, read_taxonomy
from scenes.command import run_command, table_console
from tracking import TrackerConfig, calibrate, load_tracker_config
from tracking.calibration import described, described_errors, write_calibration


def main() -> None:
    """Parse the command line, learn, print what was found, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, help="detection result file, nuScenes submission format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root; images are not needed")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="calibration to write, such as detector.json"
    )
    arguments = parser.parse_args()
    taxonomy = read_taxonomy(arguments.dataroot)
    config = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root, annotations=False, cameras=False)
    detections = read_split_detections(arguments.detections, scenes, *root)
    if arguments.out.resolve() == arguments.detections.resolve():
        raise InputError(f"{arguments.out}: would overwrite the detections")
    calibration = calibrate(detections, scenes, config)
    scale = calibration.score_scale
    if not scale.frames:
        raise InputError(f"{arguments.detections}: no boxes to learn from what scores mean")
    write_calibration(arguments.out, calibration)
    header, *rows = described(scale)
    table = Table(title=f"{scale.count.sum():,.0f} boxes of {scale.frames:,} frames")
    for title in header:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    table_console().print(table)
    if config.learn_noise:
        print(*described_errors(calibration.box_errors, config.noise), sep="\n")
    print(f"-> {arguments.out}")


if __name__ == "__main__":
    run_command(main)
