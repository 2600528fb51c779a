"""Fusion: pieces of one convolution, sums at the size of the last map."""

import torch
from torch.nn.functional import conv2d

from detection.models.routing.fusion import SplitConvolution, sum_resized


def test_pieces_are_those_of_the_whole_convolution() -> None:
    convolution, maps = SplitConvolution(4, (3, 2)), torch.randn(2, 4, 5, 6)
    whole = conv2d(maps, convolution.conv.weight, convolution.conv.bias)
    first, second = convolution(maps)
    assert torch.equal(torch.cat((first, second), dim=1), whole) and second.shape == (2, 2, 5, 6)


def test_other_maps_take_the_size_of_the_last() -> None:
    small, last = torch.tensor([[[[1.0, 2.0]]]]), torch.zeros(1, 1, 2, 4)
    assert sum_resized([small, last]).tolist() == [[[[1.0, 1.0, 2.0, 2.0]] * 2]]
    assert torch.equal(sum_resized([last]), last)
