"""Where arithmetic is kept whole."""

import copy

import pytest
import torch
from torch import Tensor, nn

from detection.models.layers.attention import MultiheadAttention
from detection.models.layers.precision import full_precision, round_weights


def test_whole_within_autocast() -> None:
    matrix = torch.eye(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (matrix @ matrix).dtype == torch.bfloat16
        with full_precision(matrix):
            assert (matrix @ matrix).dtype == torch.float32


def test_shapes_alone() -> None:
    with full_precision(torch.zeros(2, device="meta")):
        pass


class _Head(nn.Module):
    full_precision_parts = ("told",)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(2))
        self.attention = MultiheadAttention(4, 2)
        self.norm = nn.LayerNorm(4)
        self.told = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.body(images).mT
        tokens = self.norm(self.attention(tokens, tokens, tokens))
        with full_precision(tokens):
            told: Tensor = self.told(tokens.float())
        return told


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_that_are_rounded_once_give_what_autocast_gives(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = _Head().eval()
    rounded = copy.deepcopy(head)
    round_weights(rounded, dtype)
    assert {name for name, value in rounded.state_dict().items() if value.dtype == dtype} == {
        "body.0.weight", "body.0.bias",
        "attention.in_proj_weight", "attention.in_proj_bias", "attention.out_proj.weight", "attention.out_proj.bias",
    }  # fmt: skip
    images = torch.randn(2, 3, 6, 5)
    with torch.no_grad(), torch.autocast("cpu", dtype):
        assert torch.equal(rounded(images), head(images))
