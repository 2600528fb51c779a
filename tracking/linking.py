"""Fragments of one object put together, for a whole drive at once.

Whether a fragment that begins goes on from one that has ended, their smoothed states tell. If it does, it begins where
the ended one was heading,

    N(begun; ended moved on, both covariances) * exp(-gap / t) / t        place, velocity and time, t = 1.5 s,

else it is one more object, of which the drive has so many a second and square metre, moving as its class does,

    N(velocity; 0, the class's speeds) * births.

A link is worth the log of the ratio, less what is asked of one; the set of links that is worth most, in which every
fragment has one successor and one predecessor at most, covers the drive with paths. As fragments only lead to later
ones, that is an assignment of ends to beginnings, which is solved exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scenes.geometry import FloatArray
from tracking.association import IndexArray, assign_optimal
from tracking.class_table import ClassTable
from tracking.filtering import observe, rows_by_model
from tracking.histories import Drive, Histories, blocks
from tracking.kalman import kalman_predict, solve_positive
from tracking.smoothing import Spans

_COMPARED = [0, 1, 3, 4]
"""Of what a detector sees, what tells whether two fragments are one object: place and velocity."""

_USUAL_GAP_S = 1.5
_LEAST_SPREAD = 0.01
"""Of a place in metres, and of a velocity in metres per second: nothing is known better."""
_IN_SIGHT_M2 = np.pi * 50.0**2

_PAIRS_AT_ONCE = 20_000
"""Bounds the memory that long drives take, and changes no result."""


@dataclass(frozen=True)
class Paths:
    """K smoothed tracks over C cells (`tracking.smoothing`).

    Attributes:
        label: (K,) class.
        spans: when the tracks live.
        mean, body: (C, ...) states and bodies.
        first_cov, last_cov: (K, STATE_SIZE, STATE_SIZE) where the tracks begin and end.
    """

    label: IndexArray
    spans: Spans
    mean: FloatArray
    body: FloatArray
    first_cov: FloatArray
    last_cov: FloatArray


def linked(histories: Histories, paths: Paths, drive: Drive) -> Histories:
    """The histories with fragments of one object put together, under the earliest."""
    earlier, later, log_odds = _candidates(paths, drive)
    linked_to = np.arange(len(paths.spans))
    for earliest, follower in _assigned(earlier, later, -log_odds, -drive.config.link_log_odds):
        linked_to[follower] = earliest
    # A follower was born after its fragment, so chains end at their first fragment.
    for track in range(len(linked_to)):
        linked_to[track] = linked_to[linked_to[track]]
    return histories.under(linked_to[histories.track])


def _assigned(rows: IndexArray, columns: IndexArray, cost: FloatArray, gate: float) -> Iterator[tuple[int, int]]:
    """`assign_optimal` group by connected group: one matrix would grow with the square of the drive's length."""
    useful = np.flatnonzero(cost < gate)
    if not len(useful):
        return
    rows, columns, cost = rows[useful], columns[useful], cost[useful]
    count = int(max(rows.max(), columns.max())) + 1
    graph = coo_array((np.ones(len(rows)), (rows, columns + count)), shape=(2 * count, 2 * count))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    for picked in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        pairs = picked[assign_optimal(rows[picked], columns[picked], cost[picked], gate)]
        yield from zip(rows[pairs].tolist(), columns[pairs].tolist(), strict=True)


def _candidates(paths: Paths, drive: Drive) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Pairs of an earlier and a later track, and the log odds that they are one object."""
    spans, times_s = paths.spans, drive.times_s
    births = _births(paths, drive)
    # Tracks are in the order of their births.
    begin = np.searchsorted(spans.first, spans.last, side="right")
    latest_s = times_s[spans.last] + drive.config.link_gap_s
    end = np.maximum(np.searchsorted(times_s[spans.first], latest_s, side="right"), begin)
    rows, columns, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for tracks in blocks(np.maximum(end - begin, 1), _PAIRS_AT_ONCE):
        counts = (end - begin)[tracks]
        earlier = np.repeat(np.arange(tracks.start, tracks.stop), counts)
        later = np.arange(len(earlier)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[earlier]
        alike = paths.label[earlier] == paths.label[later]
        log_odds = _log_odds(paths, earlier[alike], later[alike], drive, births)
        worth = np.flatnonzero(log_odds > drive.config.link_log_odds)
        rows.append(earlier[alike][worth])
        columns.append(later[alike][worth])
        found.append(log_odds[worth])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(found)


def _births(paths: Paths, drive: Drive) -> FloatArray:
    """(C,) fragments of each class that begin in a second and a square metre."""
    begun = np.bincount(paths.label, minlength=len(drive.table.tracked)) + 1.0
    length_s = drive.times_s[-1] - drive.times_s[0] + 0.5
    births: FloatArray = begun / (length_s * _IN_SIGHT_M2)
    return births


def _log_odds(paths: Paths, ended: IndexArray, begun: IndexArray, drive: Drive, births: FloatArray) -> FloatArray:
    """(P,) that tracks go on as others, against being two objects."""
    spans, table, label = paths.spans, drive.table, paths.label[ended]
    cells, begun_cells = spans.start[ended + 1] - 1, spans.start[begun]
    mean, cov, length_m = paths.mean[cells], paths.last_cov[ended], paths.body[cells, 2]
    gap_s = drive.times_s[spans.first[begun]] - drive.times_s[spans.last[ended]]
    for model, rows in rows_by_model(table, label):
        moved, transition = model.move(mean[rows], gap_s[rows], length_m[rows])
        added = model.process_noise(mean[rows], gap_s[rows], table.noise[label[rows]])
        mean[rows], cov[rows] = moved, kalman_predict(cov[rows], transition, added)
    expected, expected_cov = _seen(mean, cov, label, table)
    actual, actual_cov = _seen(paths.mean[begun_cells], paths.first_cov[begun], label, table)
    one = _log_density(actual - expected, expected_cov + actual_cov) - gap_s / _USUAL_GAP_S - np.log(_USUAL_GAP_S)
    speeds = actual_cov[:, 2:, 2:] + np.square(table.speed_mps[label])[:, None, None] * np.eye(2)
    two = _log_density(actual[:, 2:], speeds) + np.log(births[label])
    log_odds: FloatArray = one - two
    return log_odds


def _log_density(offset: FloatArray, cov: FloatArray) -> FloatArray:
    """(P,) of normal distributions of covariances (P, D, D), at offsets (P, D) from their means."""
    column = offset[:, :, None]
    squared = (column * solve_positive(cov, column)).sum(axis=(1, 2))
    _, log_determinant = np.linalg.slogdet(cov)
    density: FloatArray = -0.5 * (squared + log_determinant + offset.shape[1] * np.log(2.0 * np.pi))
    return density


def _seen(mean: FloatArray, cov: FloatArray, label: IndexArray, table: ClassTable) -> tuple[FloatArray, FloatArray]:
    """Place and velocity (P, 4) of states, and their covariances (P, 4, 4)."""
    expected, jacobian = observe(mean, label, table)
    rows = jacobian[:, _COMPARED]
    # A body that stands moves, as far as arcs can tell, along its heading alone: without a width that has no density.
    return expected[:, _COMPARED], rows @ cov @ rows.transpose(0, 2, 1) + _LEAST_SPREAD**2 * np.eye(len(_COMPARED))
