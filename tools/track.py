"""Track a detection result file: boxes in, boxes with a tracking_id out."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from scenes import InputError, Scene, read_scenes, read_split_detections, read_taxonomy, write_tracks
from scenes.boxes2d import CameraBoxes
from scenes.coco_results import read_coco_boxes
from scenes.command import add_workers, run_command
from tracking import TrackerConfig, load_tracker_config, read_calibration, track_results


def main() -> None:
    """Parse the command line, track, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detections", type=Path, help="detection result file, nuScenes submission format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root; images are not needed")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="tracking result file to write")
    add_workers(parser, os.cpu_count() or 1, "processes (default: all cores)")
    parser.add_argument(
        "--offline", action="store_true", help="look at each drive as a whole: better, not causal, not for a live car"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="what the detector's scores mean, from another recording by streamtrack calibrate "
        "(default: learned from the frames of each drive so far; with --offline from all of the file)",
    )
    parser.add_argument(
        "--camera-evidence",
        type=Path,
        nargs=2,
        metavar=("BOXES", "DATASET"),
        help="COCO results of a 2D detector in the camera images, and the COCO data set that it ran on",
    )
    arguments = parser.parse_args()
    taxonomy = read_taxonomy(arguments.dataroot)
    config = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    root = (arguments.dataroot, arguments.version, arguments.split)
    scenes = read_scenes(*root, annotations=False)
    detections = read_split_detections(arguments.detections, scenes, *root)
    inputs = {"detections": arguments.detections}
    if arguments.calibration:
        inputs |= {"calibration": arguments.calibration}
    if arguments.camera_evidence:
        inputs |= {"camera evidence": arguments.camera_evidence[0], "COCO data set": arguments.camera_evidence[1]}
    for name, path in inputs.items():
        if arguments.out.resolve() == path.resolve():
            raise InputError(f"{arguments.out}: would overwrite the {name}")
    camera_boxes = _camera_boxes(*arguments.camera_evidence, scenes) if arguments.camera_evidence else None
    tracks = track_results(
        detections,
        scenes,
        config,
        arguments.workers,
        offline=arguments.offline,
        calibration=read_calibration(arguments.calibration) if arguments.calibration else None,
        camera_evidence=camera_boxes,
    )
    write_tracks(arguments.out, tracks)
    boxes = sum(len(frame) for frame in tracks.boxes.values())
    identities = len({identity for frame in tracks.boxes.values() for identity in frame.track_id.tolist()})
    print(f"{len(scenes)} scenes, {len(tracks.boxes)} frames: {boxes} boxes of {identities} tracks -> {arguments.out}")


def _camera_boxes(results: Path, data_set: Path, scenes: Sequence[Scene]) -> CameraBoxes:
    """The boxes of the cameras; prints what was left out."""
    read = read_coco_boxes(results, data_set, scenes)
    for note in read.notes:
        print(note)
    found = [len(boxes) for of_frame in read.boxes.values() for boxes in of_frame.values()]
    images = sum(len(frame.cameras) for scene in scenes for frame in scene.frames)
    print(f"camera evidence: {sum(found)} boxes in {len(found)} of {images} camera images")
    return read.boxes


if __name__ == "__main__":
    run_command(main)
