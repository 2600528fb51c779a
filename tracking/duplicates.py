"""Leaves out boxes that see again what a better box of their class already stands for.

Solid bodies do not overlap: a centre on another body's footprint is the same body seen twice. A camera sees the second
one anywhere along the viewing ray, so a footprint is taken as an ellipse, stretched by the uncertainty along the ray.
Such duplicates are what makes identities jump: they take a track over when it misses a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import mahalanobis_distance


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
    footprint = reach**2 * _inscribed_ellipse(yaw_rad, size_wl_m)
    near = mahalanobis_distance(xy_m, footprint, xy_m, ray_sigmas**2 * ray_cov) < 1.0
    # Rows are the boxes stood upon, columns those that stand.
    better, worse = np.nonzero(np.triu(near & (label[:, None] == label), k=1))
    duplicate = np.zeros(len(xy_m), dtype=np.bool_)
    for upper, lower in zip(better.tolist(), worse.tolist(), strict=True):
        # Pairs come in the order of the better box, so whether that one counts is settled before it is asked.
        if not duplicate[upper]:
            duplicate[lower] = True
    return duplicate


def _inscribed_ellipse(yaw_rad: FloatArray, size_wl_m: FloatArray) -> FloatArray:
    """(B, 2, 2) covariance-like shape: at distance 1 of it lie the middles of a footprint's sides."""
    half = 0.5 * size_wl_m
    along = np.stack([np.cos(yaw_rad), np.sin(yaw_rad)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    length_var, width_var = half[:, 1, None, None] ** 2, half[:, 0, None, None] ** 2
    shape: FloatArray = length_var * along[:, :, None] * along[:, None, :]
    shape += width_var * across[:, :, None] * across[:, None, :]
    return shape
