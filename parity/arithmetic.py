"""In which arithmetic a detector is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import torch

Arithmetic = Callable[[torch.device], AbstractContextManager[None]]
"""A context in which torch computes on a device."""


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Inside the block torch computes with one thread and without oneDNN, and on a GPU without TF32.

    Threads change the order of sums, and oneDNN takes other convolution kernels on other processors: gradients through
    a whole backbone differ by that alone as much as is tolerated.
    """
    with_kernels, threads = torch.backends.mkldnn.enabled, torch.get_num_threads()
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # torch calls its switch a property
    torch.set_num_threads(1)
    try:
        with tensor_float32(False):
            yield
    finally:
        torch.backends.mkldnn.enabled = with_kernels
        torch.set_num_threads(threads)


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Inside the block a GPU may, or may not, round the factors of float32 products to 10 bits.

    torch allows it for convolutions and not for matrix products unless it is told otherwise.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def _bfloat16(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, torch.bfloat16):
        yield


ARITHMETICS: Final[Mapping[str, Arithmetic]] = {
    "float32": exact_float32,
    "TF32": lambda device: tensor_float32(True),
    "bfloat16": _bfloat16,
}
"""By name: what the tolerances are of, and what a GPU is fast in."""
