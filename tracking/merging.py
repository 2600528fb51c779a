"""Boxes of several files that are one object in one frame: which they are, and the one box that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes import Boxes3D
from scenes.geometry import FloatArray
from tracking.association import IndexArray, assign_optimal, mahalanobis_distance, near_pairs
from tracking.class_table import ClassTable
from tracking.measurement import Measured


def same_objects(parts: Sequence[Measured], table: ClassTable, gate_sigmas: float) -> list[IndexArray]:
    """Which boxes of one frame are one object: of each file's boxes the numbers of their objects, from 0 on.

    The boxes of a file are objects apart. File after file, boxes go to the objects found so far so that the whole costs
    least, where a pair costs its distance in standard deviations and leaving both apart the gate.

    Args:
        parts: the boxes of each file. table: class settings. gate_sigmas: the farthest that boxes of an object lie
            apart, besides `gate_m` of their class.
    """
    place_m, cov = np.zeros((0, 2)), np.zeros((0, 2, 2))
    label = np.zeros(0, dtype=np.int64)
    numbers = []
    for part in parts:
        own_m, own_cov, own_label = part.planar[:, :2], part.planar_cov[:, :2, :2], part.boxes.label
        number = np.full(len(part), -1)
        if len(part) and len(label):
            row, column = near_pairs(place_m, label, own_m, own_label, float(table.gate_m.max()))
            offset_m = own_m[column] - place_m[row]
            sigmas = mahalanobis_distance(offset_m, cov[row] + own_cov[column])
            sigmas[np.hypot(*offset_m.T) > table.gate_m[label[row]]] = np.inf
            pairs = assign_optimal(row, column, sigmas, gate_sigmas)
            number[column[pairs]] = row[pairs]
        fresh = np.flatnonzero(number < 0)
        number[fresh] = len(label) + np.arange(len(fresh))
        place_m = np.concatenate([place_m, own_m[fresh]])
        cov, label = np.concatenate([cov, own_cov[fresh]]), np.concatenate([label, own_label[fresh]])
        numbers.append(number)
    return numbers


def merged(parts: Sequence[Measured], numbers: Sequence[IndexArray], n_objects: int) -> Boxes3D:
    """The boxes (N,) of objects 0 to N - 1, each with at least one box: means of what the files say.

    Places count by the inverse of their covariances, and all by how probably their boxes are true; the heading, and the
    class, are those of the box that counts most.

    Args:
        parts: the boxes of each file. numbers: the object of each of them. n_objects: N.
    """
    number = np.concatenate(list(numbers))
    boxes = Boxes3D.concatenate([part.boxes.replace(query_id=None, attribute=None, track_id=None) for part in parts])
    planar_cov = np.concatenate([part.planar_cov[:, :2, :2] for part in parts])
    weight = np.concatenate([part.probability for part in parts]) / np.trace(planar_cov, axis1=1, axis2=2)
    # Ascending, so that of each object's boxes the one that counts most comes last.
    order = np.lexsort((weight, number))
    best = order[np.append(np.flatnonzero(np.diff(number[order])), len(order) - 1)]
    has_velocity = np.concatenate([part.has_velocity for part in parts])
    velocity = np.concatenate([part.planar[:, 3:] for part in parts])
    moving, known = _sums(velocity, weight * has_velocity, number, n_objects)
    center_m, total = _sums(boxes.center_m, weight, number, n_objects)
    size_wlh_m, _ = _sums(boxes.size_wlh_m, weight, number, n_objects)
    return boxes.select(best).replace(
        center_m=center_m / total,
        size_wlh_m=size_wlh_m / total,
        velocity_mps=moving / np.where(known > 0.0, known, np.nan),
    )


def _sums(values: FloatArray, weight: FloatArray, number: IndexArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Weighted sums (count, D) of values (B, D) by their numbers, and the sums of the weights (count, 1)."""
    total = np.bincount(number, weight, count).astype(np.float64)[:, None]
    sums: FloatArray = np.column_stack([np.bincount(number, weight * column, count) for column in values.T])
    return sums, total
