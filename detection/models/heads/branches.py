"""What a head says of a decoded query: class logits and a box code."""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from detection.models.box_coder import CODE_SIZE

INITIAL_SCORE: Final = 0.01  # of every class, Lin et al., Focal Loss, 2017, section 4.1


def class_branch(embed_dims: int, num_classes: int) -> nn.Sequential:
    """Query to class logits."""
    last = nn.Linear(embed_dims, num_classes)
    nn.init.constant_(last.bias, math.log(INITIAL_SCORE / (1 - INITIAL_SCORE)))
    return nn.Sequential(
        nn.Linear(embed_dims, embed_dims),
        nn.LayerNorm(embed_dims),
        nn.ReLU(),
        nn.Linear(embed_dims, embed_dims),
        nn.LayerNorm(embed_dims),
        nn.ReLU(),
        last,
    )


def box_branch(embed_dims: int) -> nn.Sequential:
    """Query to box code, its centre relative to the reference point in log odds."""
    return nn.Sequential(
        nn.Linear(embed_dims, embed_dims),
        nn.ReLU(),
        nn.Linear(embed_dims, embed_dims),
        nn.ReLU(),
        nn.Linear(embed_dims, CODE_SIZE),
    )
