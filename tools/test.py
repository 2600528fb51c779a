"""Run a trained detector over the data of its config; write a result file, print the official metrics.

3D detectors write nuScenes' format; the boxes carry `query_id`, so that tools/track.py can follow the queries. 2D
detectors write COCO's, which tools/track.py takes as evidence. Another data set is a matter of options:

    python tools/test.py CONFIG CHECKPOINT --out results_nusc.json --eval \\
        --cfg-options val_dataloader.dataset.dataroot=D val_evaluator.dataroot=D val_evaluator.split=val

A dynamic detector runs at any speed: --hard-fraction 0.3 sends about that share through its second half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.dist import is_main_process
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detection.config import add_overrides, read_config
from detection.processes import LAUNCHERS, joined_processes
from detection.running.operating_point import set_hard_share, set_threshold
from detection.running.tasks import task_of
from scenes import InputError
from scenes.command import progress_bar, run_command


def main() -> None:
    """Parse the command line, detect, write, evaluate."""
    arguments = _parse_arguments()
    if not (arguments.out or arguments.eval):
        raise InputError("nothing to do: say --out FILE, --eval or both")
    config = read_config(arguments.config, arguments.cfg_options)
    if arguments.dynamic_threshold is not None:
        set_threshold(config, arguments.dynamic_threshold)
    if arguments.hard_fraction is not None:
        set_hard_share(config, arguments.hard_fraction, arguments.checkpoint)
    task = task_of(config)
    with joined_processes(arguments.launcher), _progress_bar() as progress:
        bar = progress.add_task(task.unit, total=None)
        found = task.detect(
            arguments.checkpoint,
            amp=arguments.amp,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if found is None:
        return
    if arguments.out:
        task.write(arguments.out, found)
        print(f"{len(found)} {task.unit}: {sum(map(len, found.values()))} boxes -> {arguments.out}")
    if arguments.eval:
        print(task.table(found))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configs/*/*.py")
    parser.add_argument("checkpoint", help="weights of this model: .pth, .safetensors, or the address of such a file")
    parser.add_argument("--out", type=Path, help="result file to write, nuScenes submission format or COCO results")
    parser.add_argument("--eval", action="store_true", help="print mAP, NDS and their parts, or COCO's AP")
    parser.add_argument("--amp", action="store_true", help="run in bfloat16 where that keeps the results")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--dynamic-threshold", type=float, metavar="T", help="dynamic detector: what is scored below T is hard"
    )
    speed.add_argument(
        "--hard-fraction",
        type=float,
        metavar="F",
        help="dynamic detector: share that is hard, by the thresholds that tools/dynamic_thresholds.py has written",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="who has started several processes")
    add_overrides(parser)
    return parser.parse_args()


def _progress_bar() -> Progress:
    """Of the first process's share; the others are about as far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return progress_bar(*columns, disable=not is_main_process())


if __name__ == "__main__":
    run_command(main)
