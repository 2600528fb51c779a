"""Float32 islands: arithmetic that half precision would spoil, kept whole inside a region of autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(like: Tensor) -> torch.autocast:
    """A context without autocast on the device of `like`: pose arithmetic, frustum geometry, predictions, losses."""
    device = "cpu" if like.is_meta else like.device.type  # there is no autocast of shapes alone
    return torch.autocast(device, enabled=False)
