"""Leaves out boxes that see again what a better box of their class already stands for.

Solid bodies do not overlap: a centre on another body's footprint is the same body seen twice. A camera sees the second
one anywhere along the viewing ray, so a footprint is taken as an ellipse, stretched by the uncertainty along the ray.
Such duplicates are what makes identities jump: they take a track over when it misses a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import mahalanobis_distance, near_pairs


def duplicates(
    xy_m: FloatArray,
    yaw_rad: FloatArray,
    size_wl_m: FloatArray,
    label: NDArray[np.int64],
    ray_cov: FloatArray,
    reach: float,
    ray_sigmas: float,
) -> NDArray[np.bool_]:
    """(B,) which boxes stand on a better one that is no duplicate itself.

    Args:
        xy_m: (B, 2) places, best box first.
        yaw_rad: (B,). size_wl_m: (B, 2) width and length. label: (B,).
        ray_cov: (B, 2, 2) measurement covariance of the places.
        reach: multiple of the footprint. ray_sigmas: multiple of the uncertainty that is added to it.
    """
    duplicate = np.zeros(len(xy_m), dtype=np.bool_)
    if len(xy_m) < 2:
        return duplicate
    footprint = reach**2 * _inscribed_ellipse(yaw_rad, size_wl_m)
    stretch = ray_sigmas**2 * ray_cov
    # No ellipse reaches farther than the root of its matrix's trace.
    unit_m = np.sqrt(_largest_of_class(footprint, label) + _largest_of_class(stretch, label))[:, None]
    upper, lower = near_pairs(xy_m / unit_m, label, xy_m / unit_m, label, 1.0)
    upper, lower = upper[upper < lower], lower[upper < lower]
    near = mahalanobis_distance(xy_m[lower] - xy_m[upper], footprint[upper] + stretch[lower]) < 1.0
    for better, worse in zip(upper[near].tolist(), lower[near].tolist(), strict=True):
        # Pairs come in the order of the better box, so whether that one counts is settled before it is asked.
        if not duplicate[better]:
            duplicate[worse] = True
    return duplicate


def _largest_of_class(shape: FloatArray, label: NDArray[np.int64]) -> FloatArray:
    """(B,) the largest trace of matrices (B, 2, 2) among those of each box's class."""
    largest = np.zeros(label.max() + 1)
    np.maximum.at(largest, label, shape[:, 0, 0] + shape[:, 1, 1])
    own: FloatArray = largest[label]
    return own


def _inscribed_ellipse(yaw_rad: FloatArray, size_wl_m: FloatArray) -> FloatArray:
    """(B, 2, 2) covariance-like shape: at distance 1 of it lie the middles of a footprint's sides."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    length_var, width_var = (0.5 * size_wl_m[:, 1]) ** 2, (0.5 * size_wl_m[:, 0]) ** 2
    shape = np.empty((len(yaw_rad), 2, 2))
    shape[:, 0, 0] = length_var * cos**2 + width_var * sin**2
    shape[:, 1, 1] = length_var * sin**2 + width_var * cos**2
    shape[:, 0, 1] = shape[:, 1, 0] = (length_var - width_var) * sin * cos
    return shape
