"""Widths of the three published detectors, and how their backbones and heads are put together from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor, nn

from detection.models.routing import SplitConvolution, sum_resized
from detection.models.yolo.graph import GraphBuilder, LayerGraph, Node
from detection.models.yolo.layers import (
    AnchorPrediction,
    ReparameterizedConvolution,
    SpaceToDepth,
    SpatialPyramidPooling,
)

Fuse = Callable[[int, Node], Node]
"""Adds to what a stage reads what another backbone has to say, given the stage's number from 0."""

_IMAGE_CHANNELS: Final = 3

_Anchors = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Aggregations:
    """The layer aggregations of a variant.

    Attributes:
        depth: number of 3x3 convolutions in a chain.
        backbone_widths: of those of the backbone, finest first.
        backbone_channels: of what they give.
        head_every: which convolutions of a chain in the head are joined, counted from its end.
        head_shrinkage: how much narrower the 3x3 convolutions of the head are than its 1x1 ones.
        down_widths: of those of the head's way from coarse to fine, coarsest first.
        up_widths: of those of its way back, finest first.
    """

    depth: int
    backbone_widths: tuple[int, ...]
    backbone_channels: tuple[int, ...]
    head_every: int
    head_shrinkage: int
    down_widths: tuple[int, ...]
    up_widths: tuple[int, ...]


@dataclass(frozen=True)
class Variant:
    """One of the published detectors.

    Attributes:
        stem_channels: of the convolutions before the first aggregation.
        folded: whether the image is folded into channels first; then the backbone halves with one strided convolution,
            else with one beside a maximum.
        stage_channels: of what each stage of the backbone reads, where a second backbone is fused.
        crossed: whether the strided branch of the second backbone's first reduction reads the first backbone's map
            instead of its own. So it is in one published detector, most likely by a slip in its numbering, and weights
            that were trained with it need it.
        aggregations: its layer aggregations.
        pyramid_channels: of the spatial pyramid pooling.
        down_channels: of the head's maps from coarse to fine, coarsest first.
        up_channels: of its maps on the way back, finest first, without the first.
        output_channels: of what each level predicts from.
        reparameterized: whether the last convolutions of the head have a 1x1 one beside them.
        anchors_px: of each level, width and height of each anchor.
        strides: of each level, pixels a cell.
    """

    stem_channels: tuple[int, ...]
    folded: bool
    stage_channels: tuple[int, ...]
    crossed: bool
    aggregations: Aggregations
    pyramid_channels: int
    down_channels: tuple[int, ...]
    up_channels: tuple[int, ...]
    output_channels: tuple[int, ...]
    reparameterized: bool
    anchors_px: tuple[_Anchors, ...]
    strides: tuple[int, ...]


_ANCHORS_OF_THREE_LEVELS: Final = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
_ANCHORS_OF_FOUR_LEVELS: Final = (
    ((19, 27), (44, 40), (38, 94)),
    ((96, 68), (86, 152), (180, 137)),
    ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)

VARIANTS: Final = {
    "dy-yolov7": Variant(
        stem_channels=(32, 64, 64, 128),
        folded=False,
        stage_channels=(64, 128, 256, 512, 1024),
        crossed=False,
        aggregations=Aggregations(4, (64, 128, 256, 256), (256, 512, 1024, 1024), 1, 2, (256, 128), (256, 512)),
        pyramid_channels=512,
        down_channels=(256, 128),
        up_channels=(256, 512),
        output_channels=(256, 512, 1024),
        reparameterized=True,
        anchors_px=_ANCHORS_OF_THREE_LEVELS,
        strides=(8, 16, 32),
    ),
    "dy-yolov7x": Variant(
        stem_channels=(40, 80, 80, 160),
        folded=False,
        stage_channels=(80, 160, 320, 640, 1280),
        crossed=True,
        aggregations=Aggregations(6, (64, 128, 256, 256), (320, 640, 1280, 1280), 2, 1, (256, 128), (256, 512)),
        pyramid_channels=640,
        down_channels=(320, 160),
        up_channels=(320, 640),
        output_channels=(320, 640, 1280),
        reparameterized=False,
        anchors_px=_ANCHORS_OF_THREE_LEVELS,
        strides=(8, 16, 32),
    ),
    "dy-yolov7-w6": Variant(
        stem_channels=(64, 128),
        folded=True,
        stage_channels=(128, 256, 512, 768, 1024),
        crossed=False,
        aggregations=Aggregations(
            depth=4,
            backbone_widths=(64, 128, 256, 384, 512),
            backbone_channels=(128, 256, 512, 768, 1024),
            head_every=1,
            head_shrinkage=2,
            down_widths=(384, 256, 128),
            up_widths=(256, 384, 512),
        ),
        pyramid_channels=512,
        down_channels=(384, 256, 128),
        up_channels=(256, 384, 512),
        output_channels=(256, 512, 768, 1024),
        reparameterized=False,
        anchors_px=_ANCHORS_OF_FOUR_LEVELS,
        strides=(8, 16, 32, 64),
    ),
}
"""The published detectors by name."""

_WIDTHS: Final = ("stem_channels", "stage_channels", "down_channels", "up_channels", "output_channels")
_WIDTHS_OF_AGGREGATIONS: Final = ("backbone_widths", "backbone_channels", "down_widths", "up_widths")
_DIVISOR: Final = 8
_BACKBONE_EVERY: Final = 2
_FIRST_REDUCTION: Final = 2  # the stage before which maps are first reduced beside a maximum


def scaled(variant: Variant, width: float, anchor_scale: float = 1.0) -> Variant:
    """A variant of another size.

    Args:
        variant: one of `VARIANTS`.
        width: factor of every number of channels, which are rounded to multiples of 8; above 0.
        anchor_scale: factor of the anchors' sides; above 0.
    """
    aggregations = replace(variant.aggregations, **_multiplied(variant.aggregations, _WIDTHS_OF_AGGREGATIONS, width))
    anchors = tuple(
        tuple((of_width * anchor_scale, of_height * anchor_scale) for of_width, of_height in level)
        for level in variant.anchors_px
    )
    return replace(
        variant,
        **_multiplied(variant, _WIDTHS, width),
        aggregations=aggregations,
        pyramid_channels=_rounded(variant.pyramid_channels * width),
        anchors_px=anchors,
    )


def _multiplied(owner: Any, names: Sequence[str], width: float) -> dict[str, Any]:
    return {name: tuple(_rounded(channels * width) for channels in getattr(owner, name)) for name in names}


def _rounded(channels: float) -> int:
    return max(_DIVISOR, _DIVISOR * round(channels / _DIVISOR))


@dataclass(frozen=True)
class Backbone:
    """A built backbone.

    Attributes:
        graph: its layers.
        stem: index of the layer whose map a second backbone starts from; None for the image itself.
        stages: indices of the layers that end its stages, finest first.
        routed: those whose maps a router looks at.
        channels: of the maps of all layers that are named here.
    """

    graph: LayerGraph
    stem: int | None
    stages: tuple[int, ...]
    routed: tuple[int, ...]
    channels: dict[int, int]


def first_backbone(variant: Variant) -> Backbone:
    """The backbone that every image passes."""
    builder = GraphBuilder(_IMAGE_CHANNELS)
    image = builder.given[0]
    source = builder.add(SpaceToDepth(), 4 * image.channels, image) if variant.folded else image
    build = _folded_stages if variant.folded else _plain_stages
    stem, stages = build(builder, variant, source, lambda stage, node: node)
    routed = [stem, *stages] if variant.folded else stages
    return Backbone(
        graph=builder.graph(),
        stem=source.index if variant.folded else None,
        stages=tuple(node.index for node in stages),
        routed=tuple(node.index for node in routed),
        channels={node.index: node.channels for node in routed},
    )


def second_backbone(variant: Variant, first_channels: Sequence[int]) -> Backbone:
    """The backbone behind: like the first one, and each of its stages also reads maps of the first.

    Args:
        variant: of the detector.
        first_channels: of the maps of the first backbone's stages. The network is given what the first backbone starts
            from, then those maps.
    """
    builder = GraphBuilder(_IMAGE_CHANNELS * (4 if variant.folded else 1), *first_channels)
    source, *maps = builder.given
    # The map of a stage goes to the stages up to its own.
    pieces = [variant.stage_channels[: stage + 1] for stage in range(len(maps))]
    split = [
        builder.add(SplitConvolution(node.channels, channels), sum(channels), node)
        for node, channels in zip(maps, pieces, strict=True)
    ]

    def fuse(stage: int, node: Node) -> Node:
        return builder.add(Fusion(stage), node.channels, *split[stage:], node)

    if variant.folded:
        _, stages = _folded_stages(builder, variant, source, fuse)
    else:
        _, stages = _plain_stages(builder, variant, source, fuse, maps[1] if variant.crossed else None)
    indices = tuple(node.index for node in stages)
    return Backbone(builder.graph(), None, indices, (), {node.index: node.channels for node in stages})


class Fusion(nn.Module):
    """Adds one piece of each of several split maps to a map."""

    def __init__(self, piece: int) -> None:
        super().__init__()
        self.piece = piece

    def forward(self, *maps: tuple[Tensor, ...] | Tensor) -> Tensor:
        """Of several split maps and then a map, the map with the pieces resized to it added."""
        *split, last = maps
        assert isinstance(last, Tensor)
        return sum_resized([*(pieces[self.piece] for pieces in split), last])


def _plain_stages(
    builder: GraphBuilder, variant: Variant, source: Node, fuse: Fuse, crossed: Node | None = None
) -> tuple[Node, list[Node]]:
    """The stem's first map, and the maps that end the stages; `crossed` goes into the first reduction."""
    first, *others = variant.stem_channels
    stem = builder.convolution(source, first, 3)
    node = fuse(0, builder.convolution(stem, others[0], 3, 2))
    stages = [builder.convolution(node, others[1], 3)]
    node = fuse(1, builder.convolution(stages[0], others[2], 3, 2))
    blocks = variant.aggregations
    for stage, (width, channels) in enumerate(zip(blocks.backbone_widths, blocks.backbone_channels, strict=True), 1):
        if stage >= _FIRST_REDUCTION:
            strided_source = crossed if stage == _FIRST_REDUCTION else None
            reduced = builder.pooled_reduction(stages[-1], stages[-1].channels // 2, strided_source=strided_source)
            node = fuse(stage, reduced)
        stages.append(builder.aggregation(node, width, blocks.depth, _BACKBONE_EVERY, channels))
    return stem, stages


def _folded_stages(builder: GraphBuilder, variant: Variant, source: Node, fuse: Fuse) -> tuple[Node, list[Node]]:
    """The stem's first map, and the maps that end the stages."""
    stem = node = builder.convolution(source, variant.stem_channels[0], 3)
    stages: list[Node] = []
    blocks = variant.aggregations
    columns = (variant.stage_channels, blocks.backbone_widths, blocks.backbone_channels)
    for stage, (reduced, width, channels) in enumerate(zip(*columns, strict=True)):
        node = fuse(stage, builder.convolution(node, reduced, 3, 2))
        node = builder.aggregation(node, width, blocks.depth, _BACKBONE_EVERY, channels)
        stages.append(node)
    return stem, stages


def head(variant: Variant, map_channels: Sequence[int], num_classes: int) -> LayerGraph:
    """Neck and prediction behind a backbone; the last layer is an `AnchorPrediction`.

    Args:
        variant: of the detector.
        map_channels: of the maps that it is given: one a level, finest first.
        num_classes: of objects.
    """
    builder = GraphBuilder(*map_channels)
    *finer, coarsest = builder.given
    pyramid = SpatialPyramidPooling(coarsest.channels, variant.pyramid_channels)
    on_the_way_down = [builder.add(pyramid, variant.pyramid_channels, coarsest)]
    blocks = variant.aggregations
    columns = (finer[::-1], variant.down_channels, blocks.down_widths)
    for maps, channels, width in zip(*columns, strict=True):
        wide = builder.upsampling(builder.convolution(on_the_way_down[-1], channels))
        joined = builder.concatenation(builder.convolution(maps, channels), wide)
        on_the_way_down.append(_head_aggregation(builder, blocks, joined, width, channels))
    *coarser, finest = on_the_way_down
    levels = [finest]
    for other, channels, width in zip(coarser[::-1], variant.up_channels, blocks.up_widths, strict=True):
        joined = _joined_with_coarser(builder, variant, levels[-1], other, channels)
        levels.append(_head_aggregation(builder, blocks, joined, width, channels))
    outputs = [_output(builder, variant, *pair) for pair in zip(levels, variant.output_channels, strict=True)]
    prediction = AnchorPrediction(variant.output_channels, variant.anchors_px, variant.strides, num_classes)
    builder.add(prediction, 0, *outputs)
    return builder.graph()


def _head_aggregation(builder: GraphBuilder, blocks: Aggregations, source: Node, width: int, channels: int) -> Node:
    inner = width // blocks.head_shrinkage
    return builder.aggregation(source, width, blocks.depth, blocks.head_every, channels, inner)


def _joined_with_coarser(builder: GraphBuilder, variant: Variant, fine: Node, coarse: Node, channels: int) -> Node:
    """Half the size of `fine`, beside `coarse`."""
    if variant.folded:
        return builder.concatenation(builder.convolution(fine, channels, 3, 2), coarse)
    return builder.pooled_reduction(fine, fine.channels, coarse)


def _output(builder: GraphBuilder, variant: Variant, source: Node, channels: int) -> Node:
    if variant.reparameterized:
        return builder.add(ReparameterizedConvolution(source.channels, channels), channels, source)
    return builder.convolution(source, channels, 3)
