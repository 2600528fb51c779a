"""Track a detection result file: boxes in, boxes with a tracking_id out."""

import argparse
import os
from pathlib import Path

from scenes import InputError, read_scenes, read_split_detections, write_tracks
from scenes.command import run_command
from tracking import TrackerConfig, load_tracker_config, track_results


def main() -> None:
    """Parse the command line, track, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, help="detection result file, nuScenes submission format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root; images are not needed")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument("--out", type=Path, required=True, help="tracking result file to write")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument(
        "--offline", action="store_true", help="look at each drive as a whole: better, not causal, not for a live car"
    )
    arguments = parser.parse_args()
    config = load_tracker_config(arguments.config) if arguments.config else TrackerConfig()
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root, annotations=False)
    detections = read_split_detections(arguments.detections, scenes, *root)
    if arguments.out.resolve() == arguments.detections.resolve():
        raise InputError(f"{arguments.out}: would overwrite the detections")
    tracks = track_results(detections, scenes, config, arguments.workers, offline=arguments.offline)
    write_tracks(arguments.out, tracks)
    boxes = sum(len(frame) for frame in tracks.boxes.values())
    identities = len({identity for frame in tracks.boxes.values() for identity in frame.track_id.tolist()})
    print(f"{len(scenes)} scenes, {len(tracks.boxes)} frames: {boxes} boxes of {identities} tracks -> {arguments.out}")


if __name__ == "__main__":
    run_command(main)
