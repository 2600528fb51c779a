"""Which box belongs to which track: pairwise costs, and assignment within gates.

Costs are (T, B) arrays over T tracks and B boxes; `inf` forbids a pair.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from scenes.geometry import FloatArray

IndexArray = NDArray[np.int64]

Pairs = tuple[IndexArray, IndexArray]
"""Rows (tracks) and columns (boxes) that belong together."""


def centre_distance(tracks_xy_m: FloatArray, boxes_xy_m: FloatArray) -> FloatArray:
    """(T, B) distances in the ground plane, metres."""
    offset = tracks_xy_m[:, None, :] - boxes_xy_m[None, :, :]
    return np.hypot(offset[:, :, 0], offset[:, :, 1])


def mahalanobis_distance(
    tracks_xy_m: FloatArray, tracks_cov: FloatArray, boxes_xy_m: FloatArray, boxes_cov: FloatArray
) -> FloatArray:
    """(T, B) Mahalanobis distances in the ground plane under the sum of both covariances (T, 2, 2), (B, 2, 2)."""
    dx = tracks_xy_m[:, None, 0] - boxes_xy_m[None, :, 0]
    dy = tracks_xy_m[:, None, 1] - boxes_xy_m[None, :, 1]
    xx = tracks_cov[:, None, 0, 0] + boxes_cov[None, :, 0, 0]
    yy = tracks_cov[:, None, 1, 1] + boxes_cov[None, :, 1, 1]
    xy = tracks_cov[:, None, 0, 1] + boxes_cov[None, :, 0, 1]
    squared = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / (xx * yy - xy * xy)
    distance: FloatArray = np.sqrt(np.maximum(squared, 0.0))
    return distance


def assign_optimal(cost: FloatArray, gate: FloatArray | float) -> Pairs:
    """Pairs of least total cost, where leaving a pair apart costs as much as its gate.

    Args:
        cost: (T, B).
        gate: scalar or (T, 1); only pairs cheaper than it may form.
    """
    # A pair is worth what it saves against its gate. Pairs beyond it save nothing, so the assignment that saves most
    # never prefers two poor pairs to one good one.
    saving = np.maximum(gate - cost, 0.0)
    rows = np.flatnonzero(saving.any(axis=1))
    columns = np.flatnonzero(saving.any(axis=0))
    saving = saving[np.ix_(rows, columns)]
    picked_rows, picked_columns = linear_sum_assignment(saving, maximize=True)
    paired = saving[picked_rows, picked_columns] > 0.0
    return rows[picked_rows[paired]], columns[picked_columns[paired]]


def assign_greedy(cost: FloatArray, gate: FloatArray | float) -> Pairs:
    """Cheapest pair first, each track and box once. Arguments as in `assign_optimal`."""
    rows, columns = np.nonzero(cost < gate)
    order = np.argsort(cost[rows, columns], kind="stable")
    return _take_in_order(rows[order].tolist(), columns[order].tolist())


def assign_nearest(cost: FloatArray, gate: FloatArray | float) -> Pairs:
    """Boxes one after another, each takes its cheapest free track. Arguments as in `assign_optimal`.

    This is the assignment of the tracker that CenterPoint and StreamPETR ship.
    """
    columns, rows = np.nonzero((cost < gate).T)
    order = np.lexsort((cost[rows, columns], columns))
    return _take_in_order(rows[order].tolist(), columns[order].tolist())


ASSIGNMENTS: dict[str, Callable[[FloatArray, FloatArray | float], Pairs]] = {
    "optimal": assign_optimal,
    "greedy": assign_greedy,
    "nearest": assign_nearest,
}


def _take_in_order(rows: list[int], columns: list[int]) -> Pairs:
    """Of candidate pairs in order of preference, those whose track and box are still free."""
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows, columns, strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    picked = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return picked[:, 0], picked[:, 1]
