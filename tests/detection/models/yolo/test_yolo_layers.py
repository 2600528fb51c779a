"""Layers of YOLOv7 beside oracles: torch's own pixel_unshuffle, and boxes decoded one by one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from detection.models.yolo.graph import GraphBuilder
from detection.models.yolo.layers import (
    AnchorPrediction,
    ReparameterizedConvolution,
    SpaceToDepth,
    SpatialPyramidPooling,
)

ANCHORS = (((10, 20), (30, 15)), ((64, 80), (120, 60)))
STRIDES = (8, 16)


def test_folding_is_pixel_unshuffle_with_channels_in_another_order() -> None:
    images = torch.randn(2, 3, 8, 12)
    unshuffled = nn.functional.pixel_unshuffle(images, 2).reshape(2, 3, 2, 2, 4, 6)  # channel, row, column
    expected = unshuffled.permute(0, 3, 2, 1, 4, 5).reshape(2, 12, 4, 6)
    torch.testing.assert_close(SpaceToDepth()(images), expected)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31 - 1))
def test_boxes_are_those_of_each_cell(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    prediction = AnchorPrediction((4, 6), ANCHORS, STRIDES, num_classes=2)
    sizes = ((2 * height, 2 * width), (height, width))
    logits = [torch.randn(2, 2, *size, 7, generator=generator) * 3 for size in sizes]
    decoded = prediction.decode(logits)
    expected = []
    for of_level, stride, anchors in zip(logits, STRIDES, ANCHORS, strict=True):
        for anchor, row, column in torch.cartesian_prod(*map(torch.arange, of_level.shape[1:4])).tolist():
            x, y, w, h, *rest = (1 / (1 + math.exp(-value)) for value in of_level[1, anchor, row, column].tolist())
            center = ((2 * x - 0.5 + column) * stride, (2 * y - 0.5 + row) * stride)
            size = ((2 * w) ** 2 * anchors[anchor][0], (2 * h) ** 2 * anchors[anchor][1])
            expected.append([*center, *size, *rest])
    torch.testing.assert_close(decoded[1], torch.tensor(expected), rtol=1e-5, atol=1e-4)


def test_prediction_adds_before_and_multiplies_after() -> None:
    prediction = AnchorPrediction((4, 6), ANCHORS, STRIDES, num_classes=2)
    maps = [torch.randn(1, 4, 2, 3), torch.randn(1, 6, 1, 2)]
    with torch.no_grad():
        plain = prediction(*maps)
        for factor in prediction.im:
            factor.implicit *= 2.0
        doubled = prediction(*maps)
        for added, level in zip(prediction.ia, maps, strict=True):
            level -= added.implicit
            added.implicit *= 2.0
        same = prediction(*maps)
    for before, after, again in zip(plain, doubled, same, strict=True):
        torch.testing.assert_close(after, 2.0 * before)
        torch.testing.assert_close(again, after)
    assert [tuple(of_level.shape) for of_level in plain] == [(1, 2, 2, 3, 7), (1, 2, 1, 2, 7)]


def test_anchors_are_kept_in_cells_and_in_pixels() -> None:
    prediction = AnchorPrediction((4, 6), ANCHORS, STRIDES, num_classes=2)
    assert prediction.anchors[1, 0].tolist() == [4.0, 5.0]
    assert tuple(prediction.anchor_grid.shape) == (2, 1, 2, 1, 1, 2)
    assert prediction.anchor_grid[1, 0, 0, 0, 0].tolist() == [64.0, 80.0]


def test_a_3x3_and_a_1x1_convolution_are_one_3x3_convolution() -> None:
    layer = ReparameterizedConvolution(3, 5).eval()
    kernel = torch.zeros(5, 3, 3, 3)
    bias = torch.zeros(5)
    for branch in (layer.rbr_dense, layer.rbr_1x1):
        convolution, norm = branch
        nn.init.uniform_(norm.running_mean)
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        kernel += (
            nn.functional.pad(convolution.weight, [(3 - convolution.kernel_size[0]) // 2] * 4)
            * factor[:, None, None, None]
        )
        bias += norm.bias - norm.running_mean * factor
    maps = torch.randn(2, 3, 6, 7)
    expected = nn.functional.silu(nn.functional.conv2d(maps, kernel, bias, padding=1))
    torch.testing.assert_close(layer(maps), expected)


def test_the_pyramid_keeps_the_size_and_sees_six_cells_far() -> None:
    layer = SpatialPyramidPooling(4, 6).eval()
    maps = torch.zeros(1, 4, 31, 31, requires_grad=True)
    output = layer(maps)
    assert output.shape == (1, 6, 31, 31)
    plain = layer.cv7(torch.cat((torch.zeros(1, 6, 31, 31), layer.cv2(maps)), dim=1))
    assert plain.shape == output.shape
    spread = maps.detach().clone()
    spread[0, :, 15, 15] = 40.0
    changed = (layer(spread) - output).abs().sum(dim=1)[0] > 1e-7
    reach = (changed.nonzero() - 15).abs().max()
    assert 6 <= int(reach) <= 8  # half of the widest maximum, and the 3x3 convolutions on both sides


def test_a_graph_gives_every_map_and_numbers_its_layers() -> None:
    builder = GraphBuilder(3, 5)
    image, other = builder.given
    narrow = builder.convolution(image, 4, 3, 2)
    wide = builder.upsampling(narrow)
    joined = builder.concatenation(wide, other)
    graph = builder.graph()
    images, others = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 4, 4)
    outputs = graph([images, others])
    assert (narrow.index, wide.index, joined.index, joined.channels) == (0, 1, 2, 9)
    torch.testing.assert_close(outputs[2][:, 4:], others)
    torch.testing.assert_close(outputs[2][:, :4, ::2, ::2], outputs[0])
    assert {name.split(".")[0] for name in graph.state_dict()} == {"0"}


@pytest.mark.parametrize(("depth", "every", "joined"), [(4, 2, 4), (6, 2, 5), (4, 1, 6)])
def test_an_aggregation_joins_some_of_its_chain(depth: int, every: int, joined: int) -> None:
    builder = GraphBuilder(8)
    node = builder.aggregation(builder.given[0], 2, depth, every, 6)
    graph = builder.graph()
    assert len(graph) == depth + 4 and node.channels == 6
    assert graph[-1].conv.in_channels == 2 * joined
    assert graph([torch.randn(1, 8, 4, 4)])[-1].shape == (1, 6, 4, 4)
