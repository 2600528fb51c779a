"""Attention: every implementation against torch's own module."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from detection.models.layers.attention import MultiheadAttention
from scenes.errors import InputError

CHANNELS, HEADS = 16, 4


@pytest.fixture
def oracle() -> nn.MultiheadAttention:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
    nn.init.normal_(module.in_proj_bias)
    nn.init.normal_(module.out_proj.bias)
    return module


@pytest.mark.parametrize("implementation", ["sdpa", "math"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_torch(oracle: nn.MultiheadAttention, implementation: str, masked: bool) -> None:
    attention = MultiheadAttention(CHANNELS, HEADS, implementation=implementation)
    attention.load_state_dict(oracle.state_dict())  # the names are the same
    query, key, value = (torch.randn(2, size, CHANNELS, requires_grad=True) for size in (5, 7, 7))
    blocked = torch.rand(5, 7) < 0.4 if masked else None
    mine = attention(query, key, value, blocked)
    torchs, _ = oracle(query, key, value, attn_mask=blocked)
    torch.testing.assert_close(mine, torchs)
    for my_gradient, its_gradient in zip(
        torch.autograd.grad(mine.square().sum(), (query, key, value)),
        torch.autograd.grad(torchs.square().sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(my_gradient, its_gradient)


def test_what_is_blocked_has_no_influence() -> None:
    attention = MultiheadAttention(CHANNELS, HEADS)
    query, key, value = (torch.randn(1, 3, CHANNELS) for _ in range(3))
    blocked = torch.zeros(3, 3, dtype=torch.bool)
    blocked[:, 2] = True
    before = attention(query, key, value, blocked)
    key[:, 2], value[:, 2] = 9.0, -9.0
    torch.testing.assert_close(attention(query, key, value, blocked), before)


@pytest.mark.parametrize("implementation", ["sdpa", "math"])
def test_weights_are_dropped_in_training_only(implementation: str) -> None:
    torch.manual_seed(0)
    attention = MultiheadAttention(CHANNELS, HEADS, dropout=0.5, implementation=implementation)
    tokens = torch.randn(1, 6, CHANNELS)
    assert not torch.equal(attention(tokens, tokens, tokens), attention(tokens, tokens, tokens))
    attention.eval()
    assert torch.equal(attention(tokens, tokens, tokens), attention(tokens, tokens, tokens))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="no implementation 'flesh'; there are flash_attn, math, sdpa"):
        MultiheadAttention(CHANNELS, HEADS, implementation="flesh")
    with pytest.raises(InputError, match="3 heads do not divide 16 channels"):
        MultiheadAttention(CHANNELS, 3)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    with pytest.raises(InputError, match=r"needs the package flash-attn .*\(import of flash_attn halted"):
        MultiheadAttention(CHANNELS, HEADS, implementation="flash_attn")


def test_package_for_another_torch_is_named_before_the_first_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "flash_attn.py").write_text("raise ImportError('undefined symbol: _ZN3c10\\nmore')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"flash-attn for this torch and GPU \(undefined symbol: _ZN3c10\); 'sdpa'"):
        MultiheadAttention(CHANNELS, HEADS, implementation="flash_attn")
