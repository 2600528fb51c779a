"""Modulating layers: the identity at start, and their formulas."""

import torch
from torch.nn.functional import layer_norm

from detection.models.layers.modulation import MotionAwareLayerNorm, SqueezeExcitation


def test_untrained_modulation_only_normalises() -> None:
    features, condition = torch.randn(2, 5, 8), torch.randn(2, 5, 3)
    torch.testing.assert_close(MotionAwareLayerNorm(3, 8)(features, condition), layer_norm(features, (8,)))
    torch.testing.assert_close(MotionAwareLayerNorm(3, 8, normalize=False)(features, condition), features)


def test_condition_scales_and_shifts() -> None:
    layer = MotionAwareLayerNorm(3, 8)
    for linear in (layer.gamma, layer.beta):
        torch.nn.init.normal_(linear.weight)
    features, condition = torch.randn(2, 5, 8), torch.randn(3)
    hidden = layer.reduce(condition)
    expected = layer_norm(features, (8,)) * layer.gamma(hidden) + layer.beta(hidden)
    torch.testing.assert_close(layer(features, condition), expected)  # one condition for all tokens


def test_gate_is_a_function_of_the_context() -> None:
    layer = SqueezeExcitation(4)
    torch.nn.init.zeros_(layer.conv_expand.weight)
    torch.nn.init.zeros_(layer.conv_expand.bias)
    features = torch.randn(2, 4)
    torch.testing.assert_close(layer(features, torch.randn(2, 4)), features / 2)
