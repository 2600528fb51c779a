"""Focal loss of class scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documents use
from torch import Tensor


def sigmoid_focal_loss(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of every score: -alpha (1 - p)^gamma log p where it should be 1, and its mirror image where 0.

    Args:
        logits: (..., classes).
        labels: (...) int64; the number of classes stands for background.
        alpha: weight of the scores that should be 1; the others weigh 1 - alpha.
        gamma: how fast the weight of scores that are nearly right falls.

    Returns:
        (..., classes)

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5.
    """
    classes = torch.arange(logits.shape[-1], device=logits.device)
    wanted = (labels.unsqueeze(-1) == classes).to(logits.dtype)
    scores = logits.sigmoid()
    distance = (1 - scores) * wanted + scores * (1 - wanted)
    balance = alpha * wanted + (1 - alpha) * (1 - wanted)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * balance * distance**gamma
