"""Quality focal loss: a class score that learns how well its box fits (Li et al., NeurIPS 2020)."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def quality_focal_loss(logits: Tensor, targets: Tensor, beta: float = 2.0) -> Tensor:
    """Sum over all scores of |target - score|^beta times their binary cross entropy.

    Args:
        logits: (...) class logits.
        targets: (...) in [0, 1]: the box's IoU at the true class of a matched prediction, 0 elsewhere.
        beta: how much the scores that are nearly right are held back.
    """
    distance = (targets - logits.sigmoid()).abs()
    loss: Tensor = binary_cross_entropy_with_logits(logits, targets, reduction="none") * distance**beta
    return torch.sum(loss)
