"""Networks as lists of layers, each of which reads some of those before it: what is built is numbered as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from detection.models.yolo.layers import Concatenation, ConvolutionBlock


@dataclass(frozen=True)
class Node:
    """A map that a layer gives, or one that the network is given.

    Attributes:
        index: of the layer; given maps count backwards from -1.
        channels: of the map.
    """

    index: int
    channels: int


class LayerGraph(nn.ModuleList):
    """Layers in the order in which they run; state-dict names are their numbers."""

    def __init__(self, layers: Sequence[nn.Module], sources: Sequence[Sequence[int]]) -> None:
        """A network.

        Args:
            layers: each gives a map, or several at once, which only layers that expect them read.
            sources: of each layer, the indices of what it reads; see `Node.index`.
        """
        super().__init__(layers)
        self._sources = tuple(map(tuple, sources))

    def forward(self, given: Sequence[Tensor]) -> list[Any]:
        """What every layer gives.

        Args:
            given: the maps that the network is given, the one with index -1 first.
        """
        outputs: list[Any] = []
        for layer, sources in zip(self, self._sources, strict=True):
            outputs.append(layer(*(outputs[source] if source >= 0 else given[-1 - source] for source in sources)))
        return outputs


class GraphBuilder:
    """Puts a `LayerGraph` together; every method adds layers and returns the last one's node."""

    def __init__(self, *given_channels: int) -> None:
        """A builder.

        Args:
            given_channels: of each map that the network is given.
        """
        self.given = [Node(-1 - index, channels) for index, channels in enumerate(given_channels)]
        self._layers: list[nn.Module] = []
        self._sources: list[list[int]] = []

    def graph(self) -> LayerGraph:
        """The network."""
        return LayerGraph(self._layers, self._sources)

    def add(self, layer: nn.Module, channels: int, *sources: Node) -> Node:
        """A layer of any kind."""
        self._layers.append(layer)
        self._sources.append([source.index for source in sources])
        return Node(len(self._layers) - 1, channels)

    def convolution(self, source: Node, channels: int, kernel: int = 1, stride: int = 1) -> Node:
        """A convolution block."""
        return self.add(ConvolutionBlock(source.channels, channels, kernel, stride), channels, source)

    def concatenation(self, *sources: Node) -> Node:
        """Maps of one size as one."""
        return self.add(Concatenation(), sum(source.channels for source in sources), *sources)

    def upsampling(self, source: Node) -> Node:
        """Twice the size, by the nearest pixel."""
        return self.add(nn.Upsample(scale_factor=2.0, mode="nearest"), source.channels, source)

    def aggregation(
        self, source: Node, width: int, depth: int, every: int, out_channels: int, inner_width: int | None = None
    ) -> Node:
        """An efficient layer aggregation: two 1x1 convolutions, 3x3 ones in a chain behind the second; most are joined.

        Args:
            source: of the block.
            width: of the 1x1 convolutions.
            depth: number of 3x3 convolutions.
            every: of the chain, counted from its end, which convolutions are joined; the 1x1 ones always are.
            out_channels: of the 1x1 convolution that joins them.
            inner_width: of the 3x3 convolutions; the same as `width` if None.
        """
        beside = self.convolution(source, width)
        chain = [self.convolution(source, width)]
        for _ in range(depth):
            chain.append(self.convolution(chain[-1], inner_width or width, 3))
        joined = self.concatenation(*chain[:0:-every], chain[0], beside)
        return self.convolution(joined, out_channels)

    def pooled_reduction(self, source: Node, channels: int, *others: Node, strided_source: Node | None = None) -> Node:
        """Half the size: a 3x3 convolution of stride 2 beside a maximum, joined with each other and with `others`.

        Args:
            source: of the block.
            channels: of each of the two branches.
            others: maps of half the size.
            strided_source: what the strided branch reads instead; None for `source`.
        """
        maxima = self.add(nn.MaxPool2d(2, 2), source.channels, source)
        pooled = self.convolution(maxima, channels)
        narrow = self.convolution(strided_source or source, channels)
        strided = self.convolution(narrow, channels, 3, 2)
        return self.concatenation(strided, pooled, *others)
