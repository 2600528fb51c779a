"""Maps of one backbone fed into another: projected, resized, added.

Source: Liang et al., CBNet: A Composite Backbone Network Architecture for Object Detection, 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class SplitConvolution(nn.Module):
    """One 1x1 convolution whose output is cut into the maps for several places."""

    def __init__(self, in_channels: int, out_channels: Sequence[int]) -> None:
        """A convolution.

        Args:
            in_channels: of its map.
            out_channels: of each piece.
        """
        super().__init__()
        self.out_channels = tuple(out_channels)
        self.conv = nn.Conv2d(in_channels, sum(self.out_channels), 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Pieces (B, out_channels[i], H, W) of maps (B, in_channels, H, W)."""
        pieces: tuple[Tensor, ...] = self.conv(maps).split(self.out_channels, dim=1)
        return pieces


class BackboneFusion(nn.Module):
    """Projects the maps of a first backbone for the stages of a second one: each stage gets those of its own number
    and of the later ones, which are coarser.

    The projections start at zero: the second backbone begins as if it were alone, with all that it has learned before.
    """

    def __init__(self, in_channels: Sequence[int], in_stages: Sequence[int], stage_channels: Sequence[int]) -> None:
        """A fusion.

        Args:
            in_channels: of each map of the first backbone.
            in_stages: from which of its stages each comes, from 0.
            stage_channels: of what each stage of the second backbone reads.
        """
        super().__init__()
        self._num_stages = len(stage_channels)
        self.projections = nn.ModuleList(
            SplitConvolution(channels, stage_channels[: stage + 1])
            for channels, stage in zip(in_channels, in_stages, strict=True)
        )
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Sequence[Tensor]) -> list[list[Tensor]]:
        """For each stage of the second backbone the maps that are added to what it reads, not yet resized.

        Args:
            features: (B, in_channels[i], H_i, W_i) of the first backbone.
        """
        added: list[list[Tensor]] = [[] for _ in range(self._num_stages)]
        for projection, maps in zip(self.projections, features, strict=True):
            for stage, piece in enumerate(projection(maps)):
                added[stage].append(piece)
        return added


def sum_resized(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps (B, C, H_i, W_i), all but the last resized by nearest neighbour to the last one's size."""
    *others, last = maps
    total = last
    for other in others:
        total = total + functional.interpolate(other, size=last.shape[-2:], mode="nearest")
    return total
