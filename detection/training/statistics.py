"""What batch norms have seen, brought together over the processes of a training."""

from __future__ import annotations

from mmengine.dist import all_reduce
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def average_statistics(model: nn.Module) -> None:
    """Give every process the mean of what the batch norms of all processes have gathered, so that they validate alike
    and a checkpoint holds what was validated. Norms that are not in training have gathered nothing.

    Each process normalises by its own batch all the same, except with `sync_bn`.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats:
            for statistic in (module.running_mean, module.running_var):
                all_reduce(statistic, op="mean")
