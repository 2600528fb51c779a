"""Options of a command line that say how a network runs, for parsers that do not wait for torch."""

from __future__ import annotations

import argparse
from typing import Final

DTYPE_NAMES: Final = ("float32", "bfloat16", "float16")


def add_speed_options(parser: argparse.ArgumentParser) -> None:
    """Add what `detection.running.compilation.speed_of` reads."""
    parser.add_argument(
        "--dtype",
        choices=DTYPE_NAMES,
        default="float32",
        help="of the network where it keeps the results (%(default)s)",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile; the first frames are slow")
    parser.add_argument("--tf32", action="store_true", help="on a GPU: products of float32 in TF32, with 10 bits of 23")
    parser.add_argument(
        "--cudnn-benchmark",
        action="store_true",
        help="on a GPU: try algorithms of each convolution in the first frame; results may differ from run to run",
    )
