"""Polylines with arc length: what lanes, sidewalks and driven paths are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Polyline:
    """A line through points.

    Attributes:
        points_m: (N, 2), N >= 2.
        arc_m: (N,) arc length at each point, from 0.
    """

    points_m: FloatArray
    arc_m: FloatArray

    @classmethod
    def through(cls, points_m: FloatArray) -> Polyline:
        """The polyline through (N, 2) points; repeated points are dropped."""
        steps = np.linalg.norm(np.diff(points_m, axis=0), axis=1)
        kept = np.concatenate([[True], steps > 1e-6])
        points = points_m[kept]
        return cls(points, np.concatenate([[0.0], np.cumsum(steps[kept[1:]])]))

    @property
    def length_m(self) -> float:
        return float(self.arc_m[-1])

    def at(self, arc_m: FloatArray) -> FloatArray:
        """(..., 2) points at arc lengths; straight on beyond both ends."""
        arc = np.asarray(arc_m, dtype=np.float64)
        index = np.clip(np.searchsorted(self.arc_m, arc, side="right") - 1, 0, len(self.arc_m) - 2)
        span = self.arc_m[index + 1] - self.arc_m[index]
        ratio = (arc - self.arc_m[index]) / span
        start, end = self.points_m[index], self.points_m[index + 1]
        points: FloatArray = start + ratio[..., None] * (end - start)
        return points

    def yaw_at(self, arc_m: FloatArray, baseline_m: float = 1.0) -> FloatArray:
        """(...,) direction of the line around arc lengths, radians, over a short baseline."""
        arc = np.asarray(arc_m, dtype=np.float64)
        chord = self.at(arc + 0.5 * baseline_m) - self.at(arc - 0.5 * baseline_m)
        yaw: FloatArray = np.arctan2(chord[..., 1], chord[..., 0])
        return yaw


def straight(start_m: FloatArray, end_m: FloatArray, spacing_m: float) -> FloatArray:
    """(N, 2) points from start to end, about `spacing_m` apart."""
    count = max(2, int(np.ceil(float(np.linalg.norm(end_m - start_m)) / spacing_m)) + 1)
    ratio = np.linspace(0.0, 1.0, count)[:, None]
    points: FloatArray = start_m + ratio * (end_m - start_m)
    return points


def turn(start_m: FloatArray, corner_m: FloatArray, end_m: FloatArray, radius_m: float) -> FloatArray:
    """(N, 2) points from start to end around a corner, rounded by a Bezier quarter of about `radius_m`."""
    into, out = corner_m - start_m, end_m - corner_m
    radius = min(radius_m, float(np.linalg.norm(into)), float(np.linalg.norm(out)))
    into_unit, out_unit = into / np.linalg.norm(into), out / np.linalg.norm(out)
    first, last = corner_m - radius * into_unit, corner_m + radius * out_unit
    handle = _QUARTER_HANDLE * radius
    controls = np.array([first, first + handle * into_unit, last - handle * out_unit, last])
    t = np.linspace(0.0, 1.0, 17)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3], axis=1)
    return np.concatenate([straight(start_m, first, 2.0), (weights @ controls)[1:], straight(last, end_m, 2.0)[1:]])


_QUARTER_HANDLE = 0.5523
"""Handle length over radius with which a cubic Bezier comes closest to a quarter of a circle."""


def rounded_rectangle(low_m: FloatArray, high_m: FloatArray, radius_m: float, spacing_m: float) -> FloatArray:
    """(N, 2) closed outline (first point repeated), anticlockwise from the middle of the low side."""
    (x0, y0), (x1, y1) = low_m, high_m
    start = np.array([0.5 * (x0 + x1), y0])
    corners = np.array([[x1, y0], [x1, y1], [x0, y1], [x0, y0]])
    middles = np.array([[x1, 0.5 * (y0 + y1)], [0.5 * (x0 + x1), y1], [x0, 0.5 * (y0 + y1)], start])
    pieces = [start[None]]
    for corner, middle in zip(corners, middles, strict=True):
        outline = turn(pieces[-1][-1], corner, middle, radius_m)
        pieces.append(_resampled(outline, spacing_m)[1:])
    return np.concatenate(pieces)


def _resampled(points_m: FloatArray, spacing_m: float) -> FloatArray:
    """Points of a line, with long straight pieces subdivided."""
    pieces = np.diff(points_m, axis=0)
    counts = np.ceil(np.linalg.norm(pieces, axis=1) / spacing_m).astype(np.int64)
    piece = np.repeat(np.arange(len(pieces)), counts)
    step = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    inner = points_m[piece] + (step / counts[piece])[:, None] * pieces[piece]
    return np.concatenate([inner, points_m[-1:]])
