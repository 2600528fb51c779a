"""Train a detector: checkpoints, logs and curves go to the work directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from detection.config import add_overrides, read_config
from detection.launchers import LAUNCHERS
from detection.training import train
from scenes.command import run_command


def main() -> None:
    """Parse the command line, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="configs/*/*.py")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/<name of the config>")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="newest",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a name from the newest in the work directory, if there is one",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: bfloat16, or float16 on GPUs without it")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="of several processes (default: none)")
    add_overrides(parser, "schedule.epochs=12 ...")
    arguments = parser.parse_args()
    config = read_config(arguments.config, arguments.cfg_options)
    train(config, work_dir=arguments.work_dir, resume=arguments.resume, amp=arguments.amp, launcher=arguments.launcher)


if __name__ == "__main__":
    run_command(main)
