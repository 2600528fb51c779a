"""Rankings of queries and tokens by score, where nearly equal scores may change places."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from detection.parity import tolerances
from detection.parity.comparison import Array, Comparison

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
    values = scores.detach().numpy()
    mine, theirs = (np.take_along_axis(values, indices, axis=1) for indices in (ranking.numpy(), recorded))
    comparison.within(name, mine, theirs, np.where(ranking.numpy() == recorded, 0.0, tolerances.RANKED_SCORES))


def rows_in_recorded_order(pushed: Tensor, recorded: Array, num_rows: int) -> Indices:
    """(B, num_rows) where in the memory the recorded rows lie; -1 where a row was not pushed here.

    Args:
        pushed, recorded: (B, K) queries in the first K rows.
        num_rows: rows in all; those behind the first K are older and keep their places.
    """
    order = np.tile(np.arange(num_rows), (len(recorded), 1))
    for stream, (mine, theirs) in enumerate(zip(pushed.tolist(), recorded.tolist(), strict=True)):
        place = {query: row for row, query in enumerate(mine)}
        order[stream, : len(theirs)] = [place.get(query, -1) for query in theirs]
    return order


def reordered(rows: Array, order: Indices, recorded: Array) -> Array:
    """Rows (B, M, ...) in the recorded order; the recorded row itself where there is none."""
    axes = order.reshape(*order.shape, *[1] * (rows.ndim - 2))
    mine = np.take_along_axis(rows, np.maximum(axes, 0), axis=1)
    return np.where(axes < 0, recorded, mine)
