"""Write the student of a distillation as an ordinary detector, which `streamtrack test` and others load.

    streamtrack distill_convert work_dirs/distill_raydn_r50_r18/iter_42000.pth student.safetensors
    streamtrack distill_convert CHECKPOINT student.pth --config configs/raydn/CONFIG.py

With --config the weights are first loaded into that model, and nothing is written where they do not fit.
"""

import argparse
from pathlib import Path

from detection.checkpoints import describe, set_weights, write_weights
from detection.config import read_config
from detection.distillation.conversion import student_weights
from detection.registry import MODELS
from scenes.command import run_command


def main() -> None:
    """Read, check if asked to, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="of a distillation")
    parser.add_argument("out", type=Path, help="ends in .safetensors or .pth")
    parser.add_argument("--config", type=Path, help="the student's own config, which the weights have to fit")
    arguments = parser.parse_args()
    weights = student_weights(arguments.checkpoint)
    if arguments.config:
        set_weights(MODELS.build(read_config(arguments.config)["model"]), weights, arguments.checkpoint)
    write_weights(weights, arguments.out)
    print(f"{arguments.out}: {len(weights)} tensors, {describe(weights)}")


if __name__ == "__main__":
    run_command(main)
