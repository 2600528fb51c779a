"""Track a detection result file: boxes in, boxes with a tracking_id out; or fuse several.

    streamtrack track detections.json --dataroot D --version V --split S --out tracks.json [--offline]
    streamtrack track a.json b.json --offline --dataroot D --version V --split S --out tracks.json
    streamtrack track detections.json --dataroot D --version V --split S --shards DIR [--executor ray] [--resume]

Several files, with --offline, are the detections of several detectors, or the tracks of several trackers, on the same
scenes. One result comes out.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.runs.recording import Recorder, add_record
from evaluation.runs.store import Metric
from scenes import (
    InputError,
    Results,
    Scene,
    read_scenes,
    read_several_split_results,
    read_split_detections,
    read_taxonomy,
    write_tracks,
)
from scenes.boxes2d import CameraBoxes
from scenes.coco_results import read_coco_boxes
from scenes.command import (
    add_executor,
    add_shards,
    check_shards,
    run_command,
    scene_bar,
    shards_failed,
    workers_from,
)
from scenes.jobs.executors import executor_of
from scenes.jobs.shards import begin_shards, file_digest, tables_digest
from scenes.result_format import DETECTION_FORMAT
from scenes.stored_results import open_results
from tracking import (
    Calibration,
    TrackerConfig,
    load_tracker_config,
    read_calibration,
    track_results,
    track_several,
)
from tracking.shards import join_tracks, track_shards


def main() -> int:
    """Parse the command line, track, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="detection result file, nuScenes submission format; with --offline several, or several of tracks",
    )
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root; images are not needed")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", required=True, help="val, mini_val, ..., a custom split, or a file of scene names")
    parser.add_argument("--config", type=Path, help="configs/tracking/*.py; default: the built-in settings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="tracking result file to write")
    add_executor(parser, os.cpu_count() or 1)
    add_shards(parser, "the tracks")
    add_record(parser)
    parser.add_argument(
        "--offline", action="store_true", help="look at each drive as a whole: better, not causal, not for a live car"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        action="append",
        metavar="FILE",
        help="what is known of the detector, from another recording by streamtrack calibrate "
        "(default: learned from the frames of each drive so far; with --offline from all of the file). "
        "Of several files once for each, in their order",
    )
    parser.add_argument(
        "--camera-evidence",
        type=Path,
        nargs=2,
        metavar=("BOXES", "DATASET"),
        help="COCO results of a 2D detector in the camera images, and the COCO data set that it ran on",
    )
    arguments = parser.parse_args()
    check_shards(arguments)
    recorder = Recorder(arguments, "track")
    if not (arguments.out or arguments.shards):
        parser.error("one of the following arguments is required: --out, --shards")
    taxonomy = read_taxonomy(arguments.dataroot)
    config = load_tracker_config(arguments.config, taxonomy) if arguments.config else TrackerConfig.of(taxonomy)
    root = (arguments.dataroot, arguments.version, arguments.split)
    # Of thousands of drives the cameras would fill the memory, where nobody looks at them.
    with_cameras = arguments.shards is None or arguments.camera_evidence is not None
    scenes = read_scenes(*root, annotations=False, cameras=with_cameras)
    _check_overwritten(arguments)
    calibrations = [read_calibration(path) for path in arguments.calibration or ()]
    camera_boxes = _camera_boxes(*arguments.camera_evidence, scenes) if arguments.camera_evidence else None
    if arguments.shards:
        return _track_shards(arguments, scenes, config, calibrations, camera_boxes, recorder)
    files = _results(arguments, scenes)
    workers = workers_from(arguments)
    if len(files) > 1:
        tracks = track_several(
            files, scenes, config, workers, calibrations=calibrations or None, camera_evidence=camera_boxes
        )
    else:
        tracks = track_results(
            files[0],
            scenes,
            config,
            workers,
            offline=arguments.offline,
            calibration=calibrations[0] if calibrations else None,
            camera_evidence=camera_boxes,
        )
    write_tracks(arguments.out, tracks)
    boxes = sum(len(frame) for frame in tracks.boxes.values())
    identities = len({identity for frame in tracks.boxes.values() for identity in frame.track_id.tolist()})
    print(f"{len(scenes)} scenes, {len(tracks.boxes)} frames: {boxes} boxes of {identities} tracks -> {arguments.out}")
    _record(recorder, arguments, config, arguments.out, boxes, identities)
    return 0


def _record(
    recorder: Recorder, arguments: argparse.Namespace, config: TrackerConfig, results: Path, boxes: int, tracks: int
) -> None:
    read = [*arguments.results, *(arguments.calibration or ()), *(arguments.camera_evidence or ())]
    metrics = [Metric("boxes", boxes), Metric("tracks", tracks)]
    recorder.record(results, config=config, inputs=read, metrics=metrics)


def _track_shards(
    arguments: argparse.Namespace,
    scenes: Sequence[Scene],
    config: TrackerConfig,
    calibrations: Sequence[Calibration],
    camera_boxes: CameraBoxes | None,
    recorder: Recorder,
) -> int:
    """Track scene by scene; the exit code."""
    if len(arguments.results) > 1:
        raise InputError(f"--shards: {len(arguments.results)} result files; to fuse them takes all of their boxes")
    detections = open_results(arguments.results[0], DETECTION_FORMAT)
    detections.check_split(scenes, arguments.dataroot, arguments.version, arguments.split)
    inputs = {
        "detections": file_digest(arguments.results[0]),
        "tables": tables_digest(arguments.dataroot, arguments.version),
        "calibration": [file_digest(path) for path in arguments.calibration or ()],
        "camera_evidence": [file_digest(path) for path in arguments.camera_evidence or ()],
    }
    with executor_of(workers_from(arguments), len(scenes)) as executor, scene_bar(executor) as progress:
        shards = begin_shards(
            arguments.shards,
            "tracks",
            [scene.name for scene in scenes],
            settings={"tracker": config, "offline": arguments.offline},
            inputs=inputs,
            resume=arguments.resume,
        )
        failed = track_shards(
            detections,
            scenes,
            shards,
            config,
            executor,
            offline=arguments.offline,
            calibration=calibrations[0] if calibrations else None,
            camera_evidence=camera_boxes,
            keep_going=arguments.keep_going,
            progress=progress,
        )
    if failed:
        return shards_failed(failed, arguments.shards)
    frames = sum(len(scene.frames) for scene in scenes)
    print(f"{len(scenes)} scenes, {frames} frames -> {arguments.shards}")
    if arguments.out:
        boxes, identities = join_tracks(shards, arguments.out, scenes, detections.meta)
        print(f"{boxes} boxes of {identities} tracks -> {arguments.out}")
        _record(recorder, arguments, config, arguments.out, boxes, identities)
    else:
        recorder.record(arguments.shards, config=config, inputs=arguments.results)
    return 0


def _check_overwritten(arguments: argparse.Namespace) -> None:
    """Check that nothing that is read is written.

    Raises:
        InputError: it is.
    """
    inputs = [("results" if len(arguments.results) > 1 else "detections", path) for path in arguments.results]
    inputs += [("calibration", path) for path in arguments.calibration or ()]
    if arguments.camera_evidence:
        inputs += zip(("camera evidence", "COCO data set"), arguments.camera_evidence, strict=True)
    for name, path in inputs:
        for out in filter(None, (arguments.out, arguments.shards)):
            if out.resolve() == path.resolve():
                raise InputError(f"{out}: would overwrite the {name}")


def _results(arguments: argparse.Namespace, scenes: Sequence[Scene]) -> list[Results]:
    """What the result files hold of the split's scenes; says on stderr what they lack."""
    paths = arguments.results
    if arguments.calibration and len(arguments.calibration) != len(paths):
        raise InputError(f"--calibration: {len(arguments.calibration)} for {len(paths)} result files")
    root = (arguments.dataroot, arguments.version, arguments.split)
    if len(paths) == 1:
        return [read_split_detections(paths[0], scenes, *root)]
    if not arguments.offline:
        raise InputError(f"{len(paths)} result files: to fuse several takes --offline, which looks at whole drives")
    files = read_several_split_results(paths, scenes, *root)
    frames = sum(len(scene.frames) for scene in scenes)
    for path, results in zip(paths, files, strict=True):
        if len(results.boxes) < frames:
            print(f"warning: {path}: lacks {frames - len(results.boxes)} of {frames} frames", file=sys.stderr)
    return files


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
