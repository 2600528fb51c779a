"""How much a detector's boxes err, learned from boxes that follow one another, without annotations.

Three boxes in a row of one track are a window. Objects hardly change their speed within it, so the middle box should
lie on the line between the others: how far it does not, along the viewing ray and across it, measured by what
`MeasurementNoise` assumes of such boxes, tells how much larger or smaller the errors of places are than assumed. And
the line's own velocity tells how much of it is in the velocities that the detector reports: some report next to
nothing, and no filter must believe them. Tracks that were started with such velocities lose what moves, and then no
window shows it: while no box has reported any movement at all, velocities count as unknown.

Outliers, such as windows of two objects, must not count: the median window does. Nor do objects count that stand still
before a standing sensor: it sees the same and errs the same again, which tells nothing of how far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from scenes.geometry import FloatArray

LONGEST_WINDOW_S: Final = 2.5
"""Within a longer time objects change their speed."""

_LEAST_SPEED_MPS: Final = 0.5
"""What moves more slowly, seen from the sensor, looks the same all the time."""

_LASTING: Final = 3.0
"""A box errs much like the one before it, and only what differs shows inside a window: whole errors are as many times
larger. Chosen on five detectors together, see docs/tracking.md, "How boxes err"."""
_LEAST_SCALE, _LARGEST_SCALE = 0.1, 2.0
_PRIOR_WINDOWS: Final = 20.0
_PRIOR_SPEED_MPS: Final = 2.0
_PRIOR_PAIRS: Final = 10.0
_MOST_WINDOWS: Final = 5000.0
"""What was seen longer ago fades."""

LEAST_REPORT_MPS: Final = 0.5
"""Slower reports are none of movement."""
_PROBABLE: Final = 0.5

_EDGES: Final = np.linspace(-14.0, 3.0, 171)
"""Windows are counted by the logarithm of half their squared distance along an axis; what lies beyond goes into the
outer bins."""
N_BINS: Final = len(_EDGES) + 1
N_SUMS: Final = 5


@dataclass(frozen=True)
class Windows:
    """W windows of three boxes.

    Attributes:
        squared: (W, 2) half the squared distance of the middle box from the line between the others along and across
            the viewing ray, in standard deviations as assumed.
        moved_mps: (W, 2) velocity along that line.
        moved_var: (W,) variance of each component of it, as assumed.
        told_mps: (W, 2) velocity that the middle box reports. tells: (W,) whether it does.
        weight: (W,) how probably the window is one of an object.
    """

    squared: FloatArray
    moved_mps: FloatArray
    moved_var: FloatArray
    told_mps: FloatArray
    tells: NDArray[np.bool_]
    weight: FloatArray


def windows(
    times_us: NDArray[np.int64],
    xy_m: FloatArray,
    told_mps: FloatArray,
    assumed_cov: FloatArray,
    weight: FloatArray,
    sensor_xy_m: FloatArray,
    sensor_mps: FloatArray,
) -> Windows:
    """The windows of consecutive boxes that are short enough and in which time runs on and the view changes.

    Args:
        times_us: (V, 3) of three boxes of a track. xy_m: (V, 3, 2) their places.
        told_mps: (V, 2) the velocity that the middle one reports, 0 where none.
        assumed_cov: (V, 2, 2) covariance of the places of such boxes, as assumed.
        weight: (V,) how probably they are boxes of an object.
        sensor_xy_m: (2,) where the viewing rays start. sensor_mps: (2,) velocity of the sensor.
    """
    from tracking.error_loops import measured_windows  # compiled: the compiler's import takes a while

    picked, squared, moved_mps, moved_var = measured_windows(
        times_us, xy_m, assumed_cov, sensor_xy_m, sensor_mps, LONGEST_WINDOW_S, _LEAST_SPEED_MPS
    )
    told_mps = told_mps[picked]
    return Windows(squared, moved_mps, moved_var, told_mps, (told_mps != 0.0).any(axis=1), weight[picked])


@dataclass(frozen=True)
class BoxErrors:
    """What the windows seen so far tell.

    Attributes:
        along, across: (N_BINS,) how many windows there were, by distance along and across the viewing ray.
        velocities: (N_SUMS,) of the windows whose middle box reports a velocity: how many there were; sums of the
            squares of what they moved by, of its assumed variances, of its products with what was told, and of the
            squares of what was told.
        fastest_mps: (1,) the fastest movement that a probable box has reported.
    """

    along: FloatArray
    across: FloatArray
    velocities: FloatArray
    fastest_mps: FloatArray

    @classmethod
    def unknown(cls) -> BoxErrors:
        """Nothing seen yet."""
        return cls(np.zeros(N_BINS), np.zeros(N_BINS), np.zeros(N_SUMS), np.zeros(1))

    def with_windows(self, seen: Windows) -> BoxErrors:
        """What is known when some more windows have been seen."""
        if not len(seen.squared):
            return self
        bins = np.searchsorted(_EDGES, np.log(np.maximum(seen.squared, 1e-12)))
        along, across = (
            before + np.bincount(of_axis, seen.weight, N_BINS)
            for before, of_axis in zip((self.along, self.across), bins.T, strict=True)
        )
        told = np.flatnonzero(seen.tells)
        moved_mps, told_mps, weight = seen.moved_mps[told], seen.told_mps[told], seen.weight[told]
        products = ((moved_mps * moved_mps), (moved_mps * told_mps), (told_mps * told_mps))
        squares, both, told_squares = (weight @ product.sum(axis=1) for product in products)
        variances = 2.0 * weight @ seen.moved_var[told]
        sums = self.velocities + np.array([weight.sum(), squares, variances, both, told_squares])
        fading = min(1.0, _MOST_WINDOWS / along.sum())
        return BoxErrors(along * fading, across * fading, sums * fading, self.fastest_mps)

    def with_reports(self, speed_mps: FloatArray, probability: FloatArray) -> BoxErrors:
        """What is known when boxes have reported speeds (B,), given how probably they are true (B,)."""
        fastest_mps = speed_mps.max(where=probability >= _PROBABLE, initial=self.fastest_mps[0])
        return replace(self, fastest_mps=np.array([fastest_mps]))

    @property
    def movement_reported(self) -> bool:
        """Whether any box has reported a movement, so that velocities say something."""
        return bool(self.fastest_mps[0] >= LEAST_REPORT_MPS)

    @cached_property
    def along_scale(self) -> float:
        """How many times larger than assumed the standard deviations of places are along the viewing ray."""
        return _scale(self.along)

    @cached_property
    def across_scale(self) -> float:
        """The same across it."""
        return _scale(self.across)

    @property
    def place_scale(self) -> float:
        """The same of both together: their geometric mean."""
        return float(np.sqrt(self.along_scale * self.across_scale))

    @cached_property
    def height_yaw_scale(self) -> float:
        """The same of heights and yaws, which nothing is learned of: they follow places half way."""
        return float(np.sqrt(self.place_scale))

    def velocity_mps(self, assumed_mps: float) -> float:
        """Standard deviation of what reported velocities are wrong by, given what is assumed before anything is seen;
        large where they do not rise with the movement."""
        pairs, moved, variances, both, told = self.velocities
        known = 2.0 * _PRIOR_PAIRS * _PRIOR_SPEED_MPS**2
        # What places err, from box to box, is no movement.
        moved = max(moved - (self.place_scale / _LASTING) ** 2 * variances, 0.0) + known
        both += known
        slope = max(both / moved, 1e-3)
        left = max(told + known + 2.0 * _PRIOR_PAIRS * assumed_mps**2 - slope * both, 0.0)
        error_mps = np.sqrt(left / (2.0 * (pairs + _PRIOR_PAIRS))) / slope
        return float(max(error_mps, _LEAST_SCALE * assumed_mps))


def _prior() -> FloatArray:
    """Counts of windows as many as `_PRIOR_WINDOWS`, whose boxes err as assumed."""
    below = erf(np.sqrt(np.exp(_EDGES)) * _LASTING)
    return _PRIOR_WINDOWS * np.diff(below, prepend=0.0, append=1.0)


def _median(counts: FloatArray) -> float:
    """Logarithm of half the squared distance that half of the windows stay below."""
    below = np.cumsum(counts)
    return float(np.interp(0.5 * below[-1], below[:-1], _EDGES))


def _scale(counts: FloatArray) -> float:
    """How much larger than assumed the errors are along an axis by which windows are counted (N_BINS,)."""
    ratio = np.exp(0.5 * (_median(_PRIOR + counts) - _PRIOR_MEDIAN))
    return float(np.clip(ratio, _LEAST_SCALE, _LARGEST_SCALE))


_PRIOR: Final = _prior()
_PRIOR_MEDIAN: Final = _median(_PRIOR)
