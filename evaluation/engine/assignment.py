"""Minimum-cost assignment, compiled.

The algorithm is the shortest augmenting path of Jonker and Volgenant in the rectangular form of D. Crouse, "On
implementing 2D rectangular assignment algorithms", IEEE Trans. Aerospace and Electronic Systems 52(4), 2016. Among
assignments of equal cost the one of `scipy.optimize.linear_sum_assignment` is returned: columns are visited from the
last to the first, and of equally near columns a free one wins. The official evaluation uses scipy, so ties must fall
as they fall there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.compiled import compiled
from scenes.geometry import FloatArray

IntArray = NDArray[np.int64]

FREE = -1


@compiled(nogil=True)
def minimum_cost_assignment(cost: FloatArray) -> IntArray:
    """The column of each row, `FREE` for rows that are left over, of an assignment of least total cost.

    Args:
        cost: (R, C) finite costs. min(R, C) pairs are formed.
    """
    rows, columns = cost.shape
    if rows <= columns:
        return _assign_rows(cost)[0]
    # A copy, where `cost.T` would do: another memory layout would be compiled another time.
    turned = np.empty((columns, rows))
    for row in range(rows):
        for column in range(columns):
            turned[column, row] = cost[row, column]
    return _assign_rows(turned)[1]


@compiled(nogil=True)
def _assign_rows(cost: FloatArray) -> tuple[IntArray, IntArray]:
    """Give every row a column; R <= C. Returns the column of each row and the row of each column."""
    rows, columns = cost.shape
    row_potential = np.zeros(rows)
    column_potential = np.zeros(columns)
    column_of_row = np.full(rows, FREE)
    row_of_column = np.full(columns, FREE)
    distance = np.empty(columns)
    came_from = np.empty(columns, np.int64)
    open_columns = np.empty(columns, np.int64)
    for start in range(rows):
        n_open, sink = _shortest_path(
            cost, row_potential, column_potential, row_of_column, start, distance, came_from, open_columns
        )
        # The columns that the search closed stand behind the open ones; the sink closed last.
        length = distance[sink]
        row_potential[start] += length
        for position in range(n_open, columns):
            column = open_columns[position]
            if row_of_column[column] != FREE:
                row_potential[row_of_column[column]] += length - distance[column]
            column_potential[column] -= length - distance[column]
        column = sink
        while True:
            row = came_from[column]
            row_of_column[column] = row
            column, column_of_row[row] = column_of_row[row], column
            if row == start:
                break
    return column_of_row, row_of_column


@compiled(nogil=True)
def _shortest_path(
    cost: FloatArray,
    row_potential: FloatArray,
    column_potential: FloatArray,
    row_of_column: IntArray,
    start: int,
    distance: FloatArray,
    came_from: IntArray,
    open_columns: IntArray,
) -> tuple[int, int]:
    """Dijkstra's search over reduced costs from row `start` to a free column.

    Fills `distance` and `came_from` of the columns and sorts `open_columns` into those still open and, behind them,
    those closed. Returns how many are open and the free column that was reached.
    """
    columns = len(distance)
    distance[:] = np.inf
    for position in range(columns):
        open_columns[position] = columns - 1 - position
    n_open = columns
    row = start
    reached = 0.0
    while True:
        nearest = -1
        nearest_distance = np.inf
        for position in range(n_open):
            column = open_columns[position]
            candidate = reached + cost[row, column] - row_potential[row] - column_potential[column]
            if candidate < distance[column]:
                distance[column] = candidate
                came_from[column] = row
            nearer = distance[column] < nearest_distance
            if nearer or (distance[column] == nearest_distance and row_of_column[column] == FREE):
                nearest = position
                nearest_distance = distance[column]
        reached = nearest_distance
        column = open_columns[nearest]
        n_open -= 1
        open_columns[nearest] = open_columns[n_open]
        open_columns[n_open] = column
        if row_of_column[column] == FREE:
            return n_open, column
        row = row_of_column[column]
