"""Which box belongs to which track: pairs that are near enough, their costs, and assignment.

Pairs are sparse: two index arrays of equal length, rows (tracks) and columns (boxes), in row-major order.
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


def near_pairs(
    rows_xy: FloatArray,
    rows_label: IndexArray,
    columns_xy: FloatArray,
    columns_label: IndexArray,
    radius: float | FloatArray,
) -> Pairs:
    """All pairs of one class whose places (T, 2) and (B, 2) lie near each other, in metres or units of the class.

    Args:
        rows_xy, rows_label, columns_xy, columns_label: places and classes.
        radius: how near; one for all rows, or (T,).
    """
    from tracking.pair_loops import within  # compiled: the compiler's import takes a while

    radii = np.full(len(rows_xy), radius, dtype=np.float64)
    rows_order = np.lexsort((rows_xy[:, 0], rows_label))
    columns_order = np.lexsort((columns_xy[:, 0], columns_label))
    swept = (
        rows_xy[rows_order],
        rows_label[rows_order],
        radii[rows_order],
        columns_xy[columns_order],
        columns_label[columns_order],
    )
    room = 4 * len(radii) + 16
    row, column, count = within(*swept, room)
    if count > room:
        row, column, count = within(*swept, count)
    row, column = rows_order[row[:count]], columns_order[column[:count]]
    order = np.argsort(row * len(columns_label) + column)
    return row[order], column[order]


def mahalanobis_distance(offset_m: FloatArray, cov: FloatArray) -> FloatArray:
    """(P,) lengths of offsets (P, 2) in standard deviations of their covariances (P, 2, 2)."""
    dx, dy = offset_m[:, 0], offset_m[:, 1]
    xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
    squared = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / (xx * yy - xy * xy)
    distance: FloatArray = np.sqrt(np.maximum(squared, 0.0))
    return distance


def assign_optimal(rows: IndexArray, columns: IndexArray, cost: FloatArray, gate: float) -> IndexArray:
    """Pairs of least total cost, where leaving a pair apart costs as much as the gate.

    Args:
        rows, columns: (P,) the pairs that may form. cost: (P,).
        gate: only pairs cheaper than it form.

    Returns:
        Positions, in `rows` and `columns`, of the pairs that form: each row and each column at most once.
    """
    # A pair is worth what it saves against the gate. Pairs beyond it save nothing, so the assignment that saves most
    # never prefers two poor pairs to one good one.
    useful = np.flatnonzero(cost < gate)
    if not len(useful):
        return useful
    used_rows, row = np.unique(rows[useful], return_inverse=True)
    used_columns, column = np.unique(columns[useful], return_inverse=True)
    saving = np.zeros((len(used_rows), len(used_columns)))
    saving[row, column] = gate - cost[useful]
    position = np.full(saving.shape, -1)
    position[row, column] = useful
    picked: IndexArray = position[linear_sum_assignment(saving, maximize=True)]
    return picked[picked >= 0]


def assign_greedy(rows: IndexArray, columns: IndexArray, cost: FloatArray, gate: float) -> IndexArray:
    """Cheapest pair first. Arguments and result as in `assign_optimal`."""
    useful = np.flatnonzero(cost < gate)
    return _take_in_order(rows, columns, useful[np.argsort(cost[useful], kind="stable")])


def assign_nearest(rows: IndexArray, columns: IndexArray, cost: FloatArray, gate: float) -> IndexArray:
    """Boxes one after another, each takes its cheapest free track. Arguments and result as in `assign_optimal`.

    This is the assignment of the tracker that CenterPoint and StreamPETR ship.
    """
    useful = np.flatnonzero(cost < gate)
    return _take_in_order(rows, columns, useful[np.lexsort((rows[useful], cost[useful], columns[useful]))])


ASSIGNMENTS: dict[str, Callable[[IndexArray, IndexArray, FloatArray, float], IndexArray]] = {
    "optimal": assign_optimal,
    "greedy": assign_greedy,
    "nearest": assign_nearest,
}


def _take_in_order(rows: IndexArray, columns: IndexArray, order: IndexArray) -> IndexArray:
    """Of pairs in order of preference, those whose row and column are still free."""
    if not len(order):
        return order
    from tracking.pair_loops import first_of_each

    free = first_of_each(rows[order], columns[order])
    picked: IndexArray = order[free]
    return picked
