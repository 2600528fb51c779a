"""Few numbers of the program as a tensor, without the CPU waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def filled(like: Tensor, *numbers: float) -> Tensor:
    """(n,) numbers with type and device of a tensor, filled there: `new_tensor` is a copy that is waited for."""
    return torch.stack([like.new_full((), number) for number in numbers])
