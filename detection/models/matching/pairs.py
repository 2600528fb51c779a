"""Matchings of least cost, which are found on the CPU: the costs of all go there in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from detection.records import on_device

_UNDEFINED = 100.0  # cost of a pair whose cost is no number: the loss tells of it, not the matching

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def cheapest_pairs(costs: Sequence[Tensor]) -> list[Pairs]:
    """For each cost matrix (Q, N) the rows, rising, and the columns of its one-to-one matching: min(Q, N) pairs."""
    if not costs:
        return []
    flat = torch.cat([cost.flatten() for cost in costs])
    finite = torch.nan_to_num(flat, nan=_UNDEFINED, posinf=_UNDEFINED, neginf=-_UNDEFINED).cpu().numpy()
    parts = np.split(finite, np.cumsum([cost.numel() for cost in costs])[:-1])
    return [linear_sum_assignment(part.reshape(cost.shape)) for part, cost in zip(parts, costs, strict=True)]


def pairs_on(pairs: Sequence[Pairs], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The pairs as int64 tensors there, in one copy."""
    counts = [len(rows) for rows, _ in pairs]
    together = np.concatenate([np.zeros((2, 0), dtype=np.int64), *(np.stack(pair) for pair in pairs)], axis=1)
    rows, columns = on_device(torch.from_numpy(together), device).unbind()
    return list(zip(torch.split(rows, counts), torch.split(columns, counts), strict=True))
