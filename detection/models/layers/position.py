"""Encodings of positions, times and motions as features, and the depths at which image cells are lifted into space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000


def inverse_sigmoid(probability: Tensor, eps: float = 1e-5) -> Tensor:
    """Log odds of a probability; what lies outside [eps, 1 - eps] counts as the nearest bound."""
    probability = probability.clamp(0, 1)
    return torch.log(probability.clamp(min=eps) / (1 - probability).clamp(min=eps))


def sine_encoding(values: Tensor, num_features: int) -> Tensor:
    """Sines and cosines of a value at geometrically falling frequencies, interleaved, in the precision of `values`.

    Args:
        values: (...), one unit is one turn of the fastest wave.
        num_features: even number of features.

    Returns:
        (..., num_features)

    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.5.
    """
    exponents = torch.arange(num_features // 2, device=values.device, dtype=values.dtype) * 2 / num_features
    phases = values.unsqueeze(-1) * (2 * math.pi) / _TEMPERATURE**exponents
    return torch.stack((phases.sin(), phases.cos()), dim=-1).flatten(-2)


def sine_encoding_3d(points: Tensor, num_features: int) -> Tensor:
    """`num_features` sine features for each axis of points (..., 3), in the order y, x, z: (..., 3 num_features)."""
    x, y, z = points.unbind(-1)
    return sine_encoding(torch.stack((y, x, z), dim=-1), num_features).flatten(-2)


def frequency_encoding(values: Tensor, num_frequencies: int = 6) -> Tensor:
    """Sines and cosines of values (..., C) at frequencies 1, 2, 4, ...: (..., 2 num_frequencies C).

    Ordered by frequency; for each first all sines, then all cosines.

    Source: Mildenhall et al., NeRF, 2020, equation 4, without the factor pi.
    """
    frequencies = 2.0 ** torch.arange(num_frequencies, device=values.device, dtype=values.dtype)
    phases = values.unsqueeze(-2) * frequencies.unsqueeze(-1)
    return torch.stack((phases.sin(), phases.cos()), dim=-2).flatten(-3)


def linear_increasing_depths(num: int, nearest_m: float, farthest_m: float) -> Tensor:
    """(num,) depths in metres whose spacing grows linearly, from `nearest_m` to one step before `farthest_m`.

    Source: Reading et al., Categorical Depth Distribution Network, 2021, equation 6.
    """
    index = torch.arange(num, dtype=torch.float32)
    return nearest_m + (farthest_m - nearest_m) / (num * (num + 1)) * index * (index + 1)


def to_shares(points_m: Tensor, region: Tensor) -> Tensor:
    """Points (..., 3) in metres as shares of a region (6,), least x, y, z and greatest x, y, z; may leave [0, 1]."""
    return (points_m - region[:3]) / (region[3:] - region[:3])


def to_metres(shares: Tensor, region: Tensor) -> Tensor:
    """The inverse of `to_shares`."""
    return shares * (region[3:] - region[:3]) + region[:3]
