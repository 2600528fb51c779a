"""Layers that change features by what is known about them: motion, calibration, other features."""

from __future__ import annotations

from torch import Tensor, nn


class MotionAwareLayerNorm(nn.Module):
    """Scales and shifts normalised features by functions of a condition; the identity on normalised features at start.

    Source: Wang et al., StreamPETR, 2023, section 3.3, equation 5.
    """

    def __init__(self, condition_dims: int, embed_dims: int, normalize: bool = True) -> None:
        """A layer for features of `embed_dims`.

        Args:
            condition_dims: channels of the condition.
            embed_dims: channels of the features.
            normalize: whether to pass the features through a layer norm without parameters first.
        """
        super().__init__()
        self.reduce = nn.Sequential(nn.Linear(condition_dims, embed_dims), nn.ReLU())
        self.gamma = nn.Linear(embed_dims, embed_dims)
        self.beta = nn.Linear(embed_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims, elementwise_affine=False) if normalize else nn.Identity()
        nn.init.zeros_(self.gamma.weight)
        nn.init.ones_(self.gamma.bias)
        nn.init.zeros_(self.beta.weight)
        nn.init.zeros_(self.beta.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features (..., embed_dims), condition (..., condition_dims) -> (..., embed_dims)."""
        condition = self.reduce(condition)
        modulated: Tensor = self.gamma(condition) * self.norm(features) + self.beta(condition)
        return modulated


class SqueezeExcitation(nn.Module):
    """Gates features, channel by channel, by a function of other features.

    Source: Hu et al., Squeeze-and-Excitation Networks, 2018; here for each token, without pooling.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Linear(embed_dims, embed_dims)
        self.conv_expand = nn.Linear(embed_dims, embed_dims)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """Both (..., embed_dims)."""
        gate: Tensor = self.conv_expand(self.conv_reduce(context).relu()).sigmoid()
        return features * gate
