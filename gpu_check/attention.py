"""Attention by flash-attn beside torch's own, in the shapes of a decoder with 428 queries."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Final

import torch
from torch import Tensor

from detection.models.layers.attention import MultiheadAttention
from gpu_check.parts import Settings
from gpu_check.record import Record, SkippedError

_QUERIES, _TOKENS, _CHANNELS, _HEADS = 428, 4224, 256, 8
_REPEATS: Final = 100
_MOST: Final = 2e-2  # of the largest output; bfloat16 rounds by 4e-3, here several times in a row


def run(settings: Settings, record: Record, subject: str) -> None:
    """Time both on the same numbers, in bfloat16."""
    if not settings.on_gpu:
        raise SkippedError("needs a GPU")
    if find_spec("flash_attn") is None:
        raise SkippedError("flash-attn is not installed")
    torch.manual_seed(0)
    queries, tokens = (torch.randn(1, count, _CHANNELS, device=settings.device) for count in (_QUERIES, _TOKENS))
    outputs = {}
    for name in ("sdpa", "flash_attn"):
        torch.manual_seed(1)
        layer = MultiheadAttention(_CHANNELS, _HEADS, implementation=name).to(settings.device).eval()
        outputs[name], ms = _timed(layer, queries, tokens)
        record.row(implementation=name, ms=round(ms, 3))
    difference = float((outputs["sdpa"] - outputs["flash_attn"]).abs().max() / outputs["sdpa"].abs().max())
    record.check("both give the same", difference <= _MOST, f"apart by {difference:.1e} of the largest output")


@torch.no_grad()
def _timed(layer: MultiheadAttention, queries: Tensor, tokens: Tensor) -> tuple[Tensor, float]:
    """What the layer gives, and the milliseconds that it takes."""
    with torch.autocast("cuda", torch.bfloat16):
        for repeat in range(2 * _REPEATS):
            if repeat == _REPEATS:
                torch.cuda.synchronize()
                started_s = time.perf_counter()
            found: Tensor = layer(queries, tokens, tokens)
        torch.cuda.synchronize()
    return found.float(), (time.perf_counter() - started_s) / _REPEATS * 1e3
