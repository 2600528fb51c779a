"""Run a trained detector over the data of its config; write a result file, print the official metrics.

3D detectors write nuScenes' format; the boxes carry `query_id`, so that `streamtrack track` can follow the queries. 2D
detectors write COCO's, which it takes as evidence. Another data root with scenes is a matter of options; its info files
come from `streamtrack create_data`:

    streamtrack test CONFIG CHECKPOINT --out results_nusc.json --eval --dataroot D --version V --split S

Scene by scene, on any number of machines (docs/cluster.md), each worker holding the loaded network:

    streamtrack test CONFIG CHECKPOINT --shards DIR [--executor ray --gpus 1] [--resume]

A dynamic detector runs at any speed: --hard-fraction 0.3 sends about that share through its second half.

What `streamtrack export` has written runs by ONNX Runtime, on machines without torch and without info files:

    streamtrack test --onnx DIR --out results_nusc.json --eval --dataroot D --version V --split S
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detection.config import add_overrides, read_config
from detection.data.create_infos import info_file_name
from detection.launchers import LAUNCHERS
from detection.running.speed_options import add_speed_options
from evaluation.runs.recording import Recorder, add_record
from scenes import InputError, read_detections
from scenes.command import (
    add_executor,
    add_shards,
    check_shards,
    progress_bar,
    run_command,
    scene_bar,
    shards_failed,
    workers_from,
)
from scenes.jobs.executors import executor_of
from scenes.shipped import shipped_path

if TYPE_CHECKING:
    from mmengine.config import Config

    from detection.running.tasks import Task


def main() -> int:
    """Parse the command line, detect, write, evaluate."""
    arguments = _parse_arguments()
    if not (arguments.out or arguments.eval or arguments.shards):
        raise InputError("nothing to do: say --out FILE, --eval, --shards DIR or several of them")
    if arguments.onnx is not None:
        return _test_exported(arguments)
    return _test_trained(arguments)


def _test_trained(arguments: argparse.Namespace) -> int:
    """A detector of a config, with torch; the exit code."""
    # Inside, since a machine that runs exported detectors may have no torch.
    from mmengine.dist import is_main_process

    from detection.processes import joined_processes
    from detection.running.compilation import speed_of
    from detection.running.operating_point import set_hard_share, set_threshold
    from detection.running.tasks import task_of

    if arguments.config is None or arguments.checkpoint is None:
        raise InputError("what is to be tested? say CONFIG CHECKPOINT, or --onnx DIR")
    check_shards(arguments)
    if arguments.record and not (arguments.out or arguments.shards):
        raise InputError("--record: needs results that it can name: say --out FILE or --shards DIR")
    recorder = Recorder(arguments, "test")
    config = read_config(arguments.config, {**_data_set(arguments), **arguments.cfg_options})
    if arguments.dynamic_threshold is not None:
        set_threshold(config, arguments.dynamic_threshold)
    if arguments.hard_fraction is not None:
        set_hard_share(config, arguments.hard_fraction, arguments.checkpoint)
    task = task_of(config)
    if arguments.shards:
        return _detect_shards(arguments, config, task, recorder)
    if arguments.workers or arguments.executor or arguments.address or arguments.gpus:
        raise InputError("--workers, --executor, --address and --gpus go with --shards DIR; else there is --launcher")
    logging.getLogger("detection.running.trained").setLevel(logging.INFO)  # how long the network took, and all of it
    with joined_processes(arguments.launcher), _progress_bar(disable=not is_main_process()) as progress:
        bar = progress.add_task(task.unit, total=None, visible=False)
        found = task.detect(
            arguments.checkpoint,
            progress=lambda done, total: progress.update(bar, completed=done, total=total, visible=True),
            **speed_of(arguments),
        )
    if found is not None:
        _tell(arguments, task, found)
        _record(recorder, arguments, config)
    return 0


def _record(recorder: Recorder, arguments: argparse.Namespace, config: Config) -> None:
    """Add the run to a store, if it was asked for."""
    checkpoint = shipped_path(Path(arguments.checkpoint))
    read = [checkpoint] if checkpoint.is_file() else []
    recorder.record(arguments.out or arguments.shards, config=config.to_dict(), inputs=read)


def _detect_shards(arguments: argparse.Namespace, config: Config, task: Task, recorder: Recorder) -> int:
    """Detect scene by scene; the exit code."""
    from detection.running.compilation import speed_of
    from detection.running.scene_shards import detect_shards

    if arguments.launcher != "none":
        raise InputError("--shards: --launcher starts processes that work together; say --executor")
    executor = executor_of(workers_from(arguments), sys.maxsize)
    with executor, scene_bar(executor) as progress:
        shards, failed = detect_shards(
            config,
            arguments.checkpoint,
            arguments.shards,
            executor,
            gpus=arguments.gpus or 0.0,
            resume=arguments.resume,
            keep_going=arguments.keep_going,
            progress=progress,
            **speed_of(arguments),
        )
    if failed:
        return shards_failed(failed, arguments.shards)
    print(f"{len(shards.scenes)} scenes -> {arguments.shards}")
    if arguments.out or arguments.eval:
        _tell(arguments, task, read_detections(arguments.shards, task.taxonomy).boxes)
    _record(recorder, arguments, config)
    return 0


def _tell(arguments: argparse.Namespace, task: Task, found: Mapping[Any, Any]) -> None:
    """Write and evaluate what was found, as far as it is asked for."""
    if arguments.out:
        task.write(arguments.out, found)
        print(f"{len(found)} {task.unit}: {sum(map(len, found.values()))} boxes -> {arguments.out}")
    if arguments.eval:
        print(task.table(found))


def _test_exported(arguments: argparse.Namespace) -> int:
    """An exported detector, without torch; the exit code."""
    from detection.deployment.over_scenes import detect_scenes
    from evaluation import NotAnnotatedError, evaluate_detection
    from evaluation.table import metrics_table
    from scenes import write_detections

    if arguments.config is not None or arguments.cfg_options:
        raise InputError("--onnx: an exported detector takes no config and no checkpoint")
    if arguments.shards or arguments.record:
        raise InputError("--onnx: goes through all scenes at once, without --shards and --record")
    if None in (arguments.dataroot, arguments.version, arguments.split):
        raise InputError("--onnx: say --dataroot, --version and --split, too")
    where = Path(arguments.dataroot), arguments.version, arguments.split
    with _progress_bar() as progress:
        bar = progress.add_task("frames", total=None, visible=False)
        results = detect_scenes(
            arguments.onnx,
            *where,
            progress=lambda done, total: progress.update(bar, completed=done, total=total, visible=True),
        )
    if arguments.out:
        write_detections(arguments.out, results)
        print(f"{len(results.boxes)} frames: {sum(map(len, results.boxes.values()))} boxes -> {arguments.out}")
    if arguments.eval:
        try:
            print(metrics_table(evaluate_detection(results, *where)))
        except NotAnnotatedError as notice:
            print(notice)
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", help="configs/*/*.py")
    parser.add_argument(
        "checkpoint", nargs="?", help="weights of this model: .pth, .safetensors, or the address of such a file"
    )
    parser.add_argument(
        "--onnx", type=Path, metavar="DIR", help="what `streamtrack export` has written, in their place"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="results to write, in the nuScenes or the COCO format")
    parser.add_argument("--eval", action="store_true", help="print mAP, NDS and their parts, or COCO's AP")
    parser.add_argument("--dataroot", help="nuScenes data root with its info files (default: the config's)")
    parser.add_argument("--version", help="folder of tables in it, such as v1.0-trainval (default: the config's)")
    parser.add_argument("--split", help="of which there is an info file: val, mini_val, ... (default: the config's)")
    add_speed_options(parser)
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--dynamic-threshold", type=float, metavar="T", help="dynamic detector: what is scored below T is hard"
    )
    speed.add_argument(
        "--hard-fraction",
        type=float,
        metavar="F",
        help="dynamic detector: share that is hard, by the thresholds of `streamtrack dynamic_thresholds`",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="of several processes (default: none)")
    add_executor(parser, 1)
    parser.add_argument(
        "--gpus", type=float, metavar="N", help="GPUs that each worker of a cluster needs (default: none)"
    )
    add_shards(parser, "the detections")
    add_record(parser)
    add_overrides(parser)
    return parser.parse_args()


def _data_set(arguments: argparse.Namespace) -> dict[str, str]:
    """What --dataroot, --version and --split say, by the dotted keys of a config for scenes."""
    said: dict[str, str] = {}
    for name in ("dataroot", "version", "split"):
        value = getattr(arguments, name)
        if value is not None:
            said[f"val_evaluator.{name}"] = value
    if arguments.dataroot is not None:
        said["val_dataloader.dataset.dataroot"] = arguments.dataroot
    if arguments.split is not None:
        said["val_dataloader.dataset.ann_file"] = info_file_name(arguments.split)
    return said


def _progress_bar(disable: bool = False) -> Progress:
    """Of the first process's share; the others are about as far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return progress_bar(*columns, disable=disable)


if __name__ == "__main__":
    run_command(main)
