"""Matrices between frames."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_poses(poses: Tensor) -> Tensor:
    """The inverses of matrices (..., 4, 4), computed in float64; they may scale, as augmented poses do.

    No error is raised, since that would wait for the device: the data set checks calibrations when it reads them.
    """
    inverses: Tensor = torch.linalg.inv_ex(poses.double()).inverse
    return inverses.to(poses.dtype)
