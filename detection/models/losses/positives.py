"""What losses are divided by: the number of matched predictions."""

import torch
from mmengine.dist import all_reduce
from torch import Tensor


def mean_positives(count: float, device: torch.device) -> Tensor:
    """The mean of `count` over the training processes, at least 1, so that few boxes do not weigh more in one of them.

    With one process it is `count`. Each process's gradients are averaged later, hence the mean and not the sum.
    """
    mean = torch.full((), float(count), device=device)
    all_reduce(mean, op="mean")
    return mean.clamp(min=1)
