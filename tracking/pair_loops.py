"""The loops of `tracking.association` and `tracking.displacement`, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.compiled import compiled
from scenes.geometry import FloatArray

_IndexArray = NDArray[np.int64]


@compiled()
def within(
    rows_xy: FloatArray,
    rows_label: _IndexArray,
    radii: FloatArray,
    columns_xy: FloatArray,
    columns_label: _IndexArray,
    room: int,
) -> tuple[_IndexArray, _IndexArray, int]:
    """`near_pairs` of rows and columns that are both sorted by label, then by x: a sweep over both.

    Returns:
        The first `room` pairs, and how many there are.
    """
    row, column = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    widest = 0.0
    for radius in radii:
        widest = max(widest, radius)
    count, begin = 0, 0
    for index in range(len(rows_xy)):
        x, y, label, radius = rows_xy[index, 0], rows_xy[index, 1], rows_label[index], radii[index]
        while begin < len(columns_label) and (
            columns_label[begin] < label or (columns_label[begin] == label and columns_xy[begin, 0] < x - widest)
        ):
            begin += 1
        place = begin
        while place < len(columns_label) and columns_label[place] == label and columns_xy[place, 0] <= x + radius:
            if (columns_xy[place, 0] - x) ** 2 + (columns_xy[place, 1] - y) ** 2 <= radius**2:
                if count < room:
                    row[count], column[count] = index, place
                count += 1
            place += 1
    return row, column, count


@compiled()
def first_of_each(rows: _IndexArray, columns: _IndexArray) -> NDArray[np.bool_]:
    """(P,) of at least one pair, those whose row and column no picked pair before them has."""
    row_taken = np.zeros(rows.max() + 1, dtype=np.bool_)
    column_taken = np.zeros(columns.max() + 1, dtype=np.bool_)
    picked = np.zeros(len(rows), dtype=np.bool_)
    for pair in range(len(rows)):
        if not row_taken[rows[pair]] and not column_taken[columns[pair]]:
            row_taken[rows[pair]] = column_taken[columns[pair]] = True
            picked[pair] = True
    return picked


@compiled()
def beaten_in_place(
    order: _IndexArray, xy_m: FloatArray, length_m: FloatArray, label: _IndexArray, score: FloatArray, share: float
) -> NDArray[np.bool_]:
    """`displaced` of tracks (T,) with bodies that reach `share` of the longer one's length; `order` sorts them by x."""
    beaten = np.zeros(len(order), dtype=np.bool_)
    widest_m = share * length_m.max()
    for place in range(len(order)):
        one = order[place]
        following = place + 1
        while following < len(order) and xy_m[order[following], 0] - xy_m[one, 0] < widest_m:
            other = order[following]
            following += 1
            if label[one] == label[other] or score[one] == score[other]:
                continue
            reach_m = share * max(length_m[one], length_m[other])
            if (xy_m[other, 0] - xy_m[one, 0]) ** 2 + (xy_m[other, 1] - xy_m[one, 1]) ** 2 < reach_m**2:
                beaten[one if score[one] < score[other] else other] = True
    return beaten
