"""Write the weights of a checkpoint alone, under this project's names.

    streamtrack convert_checkpoint CHECKPOINT OUT.safetensors
    streamtrack convert_checkpoint CHECKPOINT OUT.pth --config configs/streampetr/CONFIG.py

CHECKPOINT is a .pth of a published model, of a training run or of a wrapped model (`module.`, `student.`), or a
.safetensors file. Optimizer and schedule are left out. With --config the weights are first loaded into that model, and
nothing is written where they do not fit.
"""

import argparse
from pathlib import Path

from detection.checkpoints import describe, in_half_precision, load_weights, read_checkpoint, write_weights
from detection.config import read_config
from detection.registry import MODELS
from scenes.command import run_command


def main() -> None:
    """Read, check if asked to, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="file, or address (https://...)")
    parser.add_argument("out", type=Path, help="ends in .safetensors or .pth")
    parser.add_argument("--config", type=Path, help="the model that the weights have to fit")
    parser.add_argument("--half", action="store_true", help="write float16: half the size, three digits")
    arguments = parser.parse_args()
    weights = read_checkpoint(arguments.checkpoint)
    if arguments.config:
        load_weights(MODELS.build(read_config(arguments.config)["model"]), arguments.checkpoint)
    if arguments.half:
        weights = in_half_precision(weights, arguments.checkpoint)
    write_weights(weights, arguments.out)
    print(f"{arguments.out}: {len(weights)} tensors, {describe(weights)}")


if __name__ == "__main__":
    run_command(main)
