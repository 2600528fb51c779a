"""Focal loss on a heat map with a Gaussian around each object's centre (Law and Deng, CornerNet, ECCV 2018)."""

import torch
from torch import Tensor

_LOWEST_SCORE = 1e-4  # keeps the logarithms finite


def gaussian_focal_loss(logits: Tensor, heat_map: Tensor, alpha: float = 2.0, gamma: float = 4.0) -> Tensor:
    """Sum over all cells of the focal loss, with cells near a centre punished less than the rest.

    Args:
        logits: (...) of the predicted heat map.
        heat_map: (...) in [0, 1], 1 at the centres.
        alpha: how much the cells that are nearly right are held back.
        gamma: how fast the weight of a cell falls towards a centre.
    """
    scores = logits.sigmoid().clamp(_LOWEST_SCORE, 1 - _LOWEST_SCORE)
    at_center = -scores.log() * (1 - scores) ** alpha
    elsewhere = -(1 - scores).log() * scores**alpha * (1 - heat_map) ** gamma
    return torch.where(heat_map == 1, at_center, elsewhere).sum()


def center_heat_map(centers: Tensor, radii: Tensor, size: tuple[int, int]) -> Tensor:
    """The heat map that has a Gaussian around each centre; where two meet, the higher counts.

    Args:
        centers: (M, 2) int64, column and row of each centre's cell.
        radii: (M,) in cells: each Gaussian covers the square of 2 r + 1 cells a side and has sigma (2 r + 1) / 6.
        size: rows and columns of the map.

    Returns:
        (rows, columns) float32 in [0, 1].
    """
    if not len(centers):
        return centers.new_zeros(size, dtype=torch.float32)
    return gaussians(centers, radii, size).amax(0)


def gaussians(centers: Tensor, radii: Tensor, size: tuple[int, int]) -> Tensor:
    """(M, rows, columns) the Gaussian around each centre, see `center_heat_map`."""
    rows, columns = (torch.arange(length, device=centers.device) for length in size)
    across = columns - centers[:, :1]
    down = rows - centers[:, 1:]
    radius = radii[:, None]
    sigma = (2 * radius + 1) / 6
    down_bell, across_bell = (
        torch.exp(-(offset**2) / (2 * sigma**2)) * (offset.abs() <= radius) for offset in (down, across)
    )
    return down_bell[:, :, None] * across_bell[:, None, :]
