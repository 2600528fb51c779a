"""A share of hard frames that every stream spends evenly, whatever its scenes are like.

Left to a threshold, a router sends nearly all frames of a hard scene on and nearly none of an easy one. But the memory
carries what the second detector has found into the next frames, so that hard frames are worth more where they are
spread. With every frame a stream is given a share of a hard frame, and with every hard frame it spends one:

    left_0 = 0        left_t+1 = left_t + share - hard_t        hard_t = score_t < threshold of (share + left_t)

The router still chooses which of the frames that lie close together are the hard ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detection.models.routing.router import takes_easy_path
from scenes.errors import InputError


class HardBudget:
    """What the streams of a batch have left, on the CPU.

    At a share + left of 1 or more a frame is hard, at 0 or less easy, whatever its score: of the first
    frames of a scene, however many, the hard ones are the share up to one frame.
    """

    def __init__(self, share: float, hard_shares: Sequence[float], thresholds: Sequence[float]) -> None:
        """Nothing is given or spent yet.

        Args:
            share: of hard frames that each stream is given.
            hard_shares, thresholds: of `RouterThresholds`.

        Raises:
            InputError: the share is not between 0 and 1, or the thresholds do not rise from 0 to 1.
        """
        if not 0 < share < 1:
            raise InputError(f"hard budget: share is {share}, expected a number between 0 and 1")
        if len(hard_shares) != len(thresholds) or sorted(thresholds) != list(thresholds):
            raise InputError("hard budget: expected a threshold for every share, in rising order")
        self.share = share
        self._hard_shares = hard_shares
        self._thresholds = thresholds
        self._left = torch.zeros(0, dtype=torch.float64)

    def spend(self, scores: Tensor, continues_scene: Tensor) -> Tensor:
        """Which streams take the hard path in the next frame: (B,) bool.

        Args:
            scores: (B,) how easy the router finds them.
            continues_scene: (B,) bool, streams for which it is False begin with nothing given or spent.
        """
        if len(self._left) != len(scores):
            self._left = torch.zeros(len(scores), dtype=torch.float64)
        left = torch.where(continues_scene, self._left, 0.0)
        limits = np.interp((self.share + left).numpy(), self._hard_shares, self._thresholds)
        hard = ~takes_easy_path(scores.double(), torch.from_numpy(limits))
        self._left = left + self.share - hard.double()
        return hard
