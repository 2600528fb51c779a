"""Find the thresholds at which a dynamic detector sends 0, 10, ..., 100% of the validation data to its second half.

They are written beside the checkpoint, where `streamtrack test ... --hard-fraction 0.3` looks for them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detection.config import add_overrides, read_config
from detection.running.operating_point import find_thresholds, write_thresholds
from detection.running.tasks import task_of
from scenes.command import progress_bar, run_command


def main() -> None:
    """Parse the command line, look at every frame, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configs/dynamic/*_step2.py, configs/dynamic_yolo/*_step2.py")
    parser.add_argument("checkpoint", type=Path, help="of step 2: .pth or .safetensors")
    add_overrides(parser)
    arguments = parser.parse_args()
    config = read_config(arguments.config, arguments.cfg_options)
    with progress_bar() as progress:
        bar = progress.add_task(task_of(config).unit, total=None, visible=False)
        found = find_thresholds(
            config,
            arguments.checkpoint,
            lambda done, total: progress.update(bar, completed=done, total=total, visible=True),
        )
    for share, threshold in zip(found.hard_shares, found.thresholds, strict=True):
        print(f"{share:4.0%} hard: {threshold:.6f}")
    print(f"{found.frames} {task_of(config).unit} -> {write_thresholds(found, arguments.checkpoint)}")


if __name__ == "__main__":
    run_command(main)
