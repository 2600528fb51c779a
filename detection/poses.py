"""Matrices between frames."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_poses(poses: Tensor) -> Tensor:
    """The inverses of affine matrices (..., 4, 4), with 0, 0, 0, 1 for the last row, computed in float64.

    They may scale, as augmented poses do, or project to homogeneous pixels. A closed form: factorizations wait for the
    device. No error is raised, the data set checks calibrations when it reads them.
    """
    matrices = poses.double()
    linear = inverse_3x3(matrices[..., :3, :3])
    translations = -(linear * matrices[..., None, :3, 3]).sum(-1, keepdim=True)
    inverses = torch.cat((torch.cat((linear, translations), dim=-1), matrices[..., 3:, :]), dim=-2)
    return inverses.to(poses.dtype)


def inverse_3x3(matrices: Tensor) -> Tensor:
    """The inverses of (..., 3, 3), see `inverse_poses`, in the precision of the matrices."""
    first, second, third = matrices.unbind(-2)
    pairs = (second, third), (third, first), (first, second)
    cofactors = torch.stack([torch.linalg.cross(one, other) for one, other in pairs], dim=-1)
    determinants = (first * cofactors[..., 0]).sum(-1)
    return cofactors / determinants[..., None, None]
