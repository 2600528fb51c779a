"""The loss of the router: the loss of the path that it takes, the two made even by the usual gain of the second.

    L = s (L_easy - D / 2) + (1 - s) (L_hard + D / 2)

with score s and the running median D of L_easy - L_hard. Without D every input would be hard, since the second detector
is the better one nearly always; with it half of them gain more than usual and should be hard.

Source: Lin et al., DynamicDet, 2023, section 3.4.
"""

from __future__ import annotations

import numpy as np
import torch
from mmengine.dist import all_gather
from torch import Tensor

from scenes.errors import InputError

_ALWAYS_BEFORE = 10_000
_INTERVAL = 1000


class AdaptiveOffset:
    """The median of all differences of losses so far; from iteration 10000 on renewed every 1000 iterations only."""

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._iterations = 0
        self._offset = 0.0

    def update(self, differences: Tensor) -> float:
        """The offset D of an iteration.

        Args:
            differences: (n,) loss of the first detector minus that of the second, for each input of the iteration.
        """
        self._differences += differences.detach().flatten().tolist()
        self._iterations += 1
        if self._iterations < _ALWAYS_BEFORE or self._iterations % _INTERVAL == 0:
            self._offset = float(np.median(self._differences))
        return self._offset

    def state(self) -> dict[str, Tensor]:
        """Everything a later run needs to go on."""
        return {
            "differences": torch.tensor(self._differences, dtype=torch.float64),
            "iterations": torch.tensor(self._iterations),
            "offset": torch.tensor(self._offset, dtype=torch.float64),
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state()`.

        Raises:
            InputError: it is none.
        """
        own = self.state()
        if state.keys() != own.keys():
            raise InputError(f"adaptive offset: a state has {', '.join(own)}, this one {', '.join(state)}")
        self._differences = state["differences"].tolist()
        self._iterations = int(state["iterations"])
        self._offset = float(state["offset"])


def routing_losses(scores: Tensor, easy_losses: Tensor, hard_losses: Tensor, offset: float) -> Tensor:
    """(B,) losses of a router; gradients pass to the scores only.

    Args:
        scores: (B,) share of the easy path.
        easy_losses, hard_losses: (B,) of the two detectors.
        offset: D of the module's formula.
    """
    easy, hard = easy_losses.detach() - offset / 2, hard_losses.detach() + offset / 2
    return scores * easy + (1 - scores) * hard


def router_losses(adaptive_offset: AdaptiveOffset, scores: Tensor, easy: Tensor, hard: Tensor) -> dict[str, Tensor]:
    """What a detector whose router trains gives the optimizer: `loss_router`, and beside it what the log shows of it.

    The offset is that of the inputs of all processes.

    Args:
        adaptive_offset: is brought up to date.
        scores: (B,) of the router.
        easy, hard: (B,) losses of the two detectors.

    Returns:
        The mean loss, the means of `score` and of the `gain` of the hard detector over the easy one, and the `offset`.
    """
    offset = adaptive_offset.update(torch.cat(all_gather(easy - hard)))
    return {
        "loss_router": routing_losses(scores, easy, hard, offset).mean(),
        "score": scores.detach().mean(),
        "gain": (easy - hard).mean(),
        "offset": scores.new_full((), offset),
    }
