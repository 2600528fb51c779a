"""Rankings of queries and tokens by score, where nearly equal scores may change places."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from detection.models.memory import TemporalMemory
from detection.models.predictions import HeadOutputs
from parity import tolerances
from parity.comparison import Array, Comparison, array_of

Indices = npt.NDArray[np.int64]


def compare_ranking(comparison: Comparison, name: str, scores: Tensor, ranking: Tensor, recorded: Array) -> None:
    """Compare, rank by rank, the score of what is ranked there with the score of what was recorded there.

    Args:
        comparison: where to.
        name: of the recorded ranking.
        scores: (B, Q).
        ranking, recorded: (B, K) indices, best first.
    """
    if tuple(ranking.shape) != recorded.shape:
        comparison.lacks(name, f"has shape {tuple(ranking.shape)}, recorded {recorded.shape}")
        return
    values, ranks = array_of(scores), array_of(ranking)
    mine, theirs = (np.take_along_axis(values, indices, axis=1) for indices in (ranks, recorded))
    comparison.within(name, mine, theirs, np.where(ranks == recorded, 0.0, tolerances.RANKED_SCORES))


def compare_remembered(comparison: Comparison, name: str, outputs: HeadOutputs, recorded: Array | None) -> None:
    """Compare which queries of a frame were put into memory.

    Args:
        comparison: where to.
        name: of the recorded ranking.
        outputs: of the head.
        recorded: (B, topk) indices, best first; None where they were not recorded.
    """
    if recorded is None:
        return
    if outputs.pushed is None:
        comparison.lacks(name, "nothing is remembered")
        return
    compare_ranking(comparison, name, outputs.predictions.logits[-1].amax(-1).sigmoid(), outputs.pushed, recorded)


def recorded_ranking(logits: Array, count: int) -> Indices:
    """(B, count) the best queries by their recorded logits (B, Q, classes): those that were put into memory."""
    best: Indices = np.argsort(-logits.max(axis=-1), axis=1, kind="stable")[:, :count]
    return best


@contextmanager
def remembered_as_recorded(memory: TemporalMemory | None, recorded: Array | None) -> Iterator[None]:
    """Inside the block, the queries that were recorded as the best of a frame are put into memory, in that order.

    Processors round differently, and nearly equal scores then change places. What follows is the same, but in another
    order in every row. `HeadOutputs.pushed` still says which queries are the best here: `compare_remembered`.

    Args:
        memory: of the detector; None for one that has none.
        recorded: (B, topk) indices, best first; None where they were not recorded.
    """
    if memory is None or recorded is None:
        yield
        return
    push = memory.push

    def push_recorded(scores: Tensor, *rows: Tensor) -> Tensor:
        best = push(scores, *rows)
        if tuple(best.shape) == recorded.shape:
            order = torch.from_numpy(recorded).to(scores.device)
            places = torch.arange(order.shape[1], 0, -1, dtype=scores.dtype, device=scores.device).expand(order.shape)
            push(torch.zeros_like(scores).scatter(1, order, places), *rows)
        return best

    with patch.object(memory, "push", push_recorded):
        yield
