"""The router: how easy an input is, from the feature maps of the first backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scenes.errors import InputError

_REDUCTION = 4  # of the hidden layer


@dataclass(frozen=True, eq=False)
class Routing:
    """Where the inputs of a batch, the streams of a frame or single images, went.

    Attributes:
        hard: (B,) bool on the CPU.
        scores: (B,) how easy the router found them; None where the threshold leaves nothing to decide.
    """

    hard: Tensor
    scores: Tensor | None = None


class Router(nn.Module):
    """Global means of all maps, and a summary of anything else, to a score: two 1x1 convolutions with ReLU between.

    The last layer begins with zeros, by which a router that was never trained is known.

    Source: Lin et al., DynamicDet, 2023, section 3.3.
    """

    def __init__(self, in_channels: Sequence[int], num_summary: int = 0) -> None:
        """A router.

        Args:
            in_channels: channels of each map.
            num_summary: numbers of the summary; 0 for no summary.
        """
        super().__init__()
        channels = sum(in_channels) + num_summary
        hidden = sum(in_channels) // _REDUCTION
        self.num_summary = num_summary
        self.layer1 = nn.Conv2d(channels, hidden, 1)
        self.layer2 = nn.Conv2d(hidden, 1, 1)
        for parameter in self.layer2.parameters():
            nn.init.zeros_(parameter)
        self._asked: tuple[int, int] | None = None
        self._is_trained = False

    @property
    def is_trained(self) -> bool:
        """Whether it tells inputs apart. Asked anew only where the weights have changed: a GPU has to be waited for."""
        weight = self.layer2.weight
        now = None if weight.is_inference() else (id(weight), weight._version)  # without versions it is asked each time
        if now is None or now != self._asked:
            self._asked, self._is_trained = now, bool(weight.any())
        return self._is_trained

    def forward(self, features: Sequence[Tensor], summary: Tensor | None = None) -> Tensor:
        """How easy each input is: (B,) float32 in [0, 1].

        Args:
            features: maps (B, C_i, H_i, W_i), or (B, N, C_i, H_i, W_i) of N cameras, over which the mean goes too.
            summary: (B, num_summary) numbers of the order of 1; None where the router takes none.
        """
        if (0 if summary is None else summary.shape[1]) != self.num_summary:
            raise ValueError(f"this router takes a summary of {self.num_summary} numbers")
        described = pooled(features)
        if summary is not None:
            described = torch.cat((described, summary.to(described)), dim=1)
        hidden = self.layer1(described[:, :, None, None]).relu()
        scores: Tensor = self.layer2(hidden).flatten().float().sigmoid()
        return scores


def fixed_routing(threshold: float, count: int, router: Router) -> Routing | None:
    """Where all inputs go at a threshold of 0 or 1, at which the router is not asked; None in between.

    Args:
        threshold: in [0, 1].
        count: number of inputs.
        router: which would be asked.

    Raises:
        InputError: there is something to decide, and the router has never been trained.
    """
    if threshold in (0, 1):
        return Routing(torch.full((count,), threshold == 1))
    if not router.is_trained:
        raise InputError(
            f"the router of these weights has never been trained: only the thresholds 0 and 1 can be used, "
            f"not {threshold:g}"
        )
    return None


def pooled(features: Sequence[Tensor]) -> Tensor:
    """(B, sum of C_i) means of maps (B, C_i, H_i, W_i) or (B, N, C_i, H_i, W_i) over all pixels and cameras."""
    means = [maps.mean(dim=(-2, -1)) for maps in features]
    return torch.cat([mean if mean.dim() == 2 else mean.mean(dim=1) for mean in means], dim=1)


def takes_easy_path(scores: Tensor, threshold: Tensor | float) -> Tensor:
    """Which inputs (B,) bool leave after the first detector: those whose score is not below the threshold.

    A threshold of 1 sends all of them on, also those whose score has been rounded to 1.

    Args:
        scores: (B,) of the router.
        threshold: one for all, or (B,).
    """
    return (scores >= threshold) & (threshold < 1)
