"""Find the thresholds at which a dynamic detector sends 0, 10, ..., 100% of the validation data to its second half.

They are written beside the checkpoint, where `streamtrack test ... --hard-fraction 0.3` looks for them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction
from rich.console import Console
from rich.progress import Progress

from detection.config import read_config
from detection.dynamic.operating_point import find_thresholds, write_thresholds
from detection.tasks import task_of
from scenes.command import run_command


def main() -> None:
    """Parse the command line, look at every frame, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configs/dynamic/*_step2.py, configs/dynamic_yolo/*_step2.py")
    parser.add_argument("checkpoint", type=Path, help="of step 2: .pth or .safetensors")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help="values by dotted key"
    )
    arguments = parser.parse_args()
    config = read_config(arguments.config, arguments.cfg_options)
    with Progress(console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task(task_of(config).unit, total=None)
        found = find_thresholds(
            config, arguments.checkpoint, lambda done, total: progress.update(bar, completed=done, total=total)
        )
    for share, threshold in zip(found.hard_shares, found.thresholds, strict=True):
        print(f"{share:4.0%} hard: {threshold:.6f}")
    print(f"{found.frames} {task_of(config).unit} -> {write_thresholds(found, arguments.checkpoint)}")


if __name__ == "__main__":
    run_command(main)
