"""Multi-head attention with a choice of implementations that give the same numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documents use
from torch import Tensor, nn

from scenes.errors import InputError

Attention = Callable[[Tensor, Tensor, Tensor, "Tensor | None", float], Tensor]


class KeysValues(NamedTuple):
    """Keys and values as the heads of a layer read them, both (B, K, embed_dims)."""

    keys: Tensor
    values: Tensor


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention of several heads, batch first.

    Parameters carry the names of `torch.nn.MultiheadAttention`, so that published weights load.

    Source: Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(self, embed_dims: int, num_heads: int, dropout: float = 0.0, implementation: str = "sdpa") -> None:
        """An attention layer.

        Args:
            embed_dims: channels of queries, keys and values.
            num_heads: number of heads; divides `embed_dims`.
            dropout: share of attention weights dropped in training.
            implementation: `sdpa`, torch's fused kernels; `flash_attn`, the package of that name, half precision on a
                GPU (a masked call takes sdpa, which that package does not cover); `math`, the plain formula.

        Raises:
            InputError: an implementation that is not known or not installed, heads that do not divide the channels.
        """
        super().__init__()
        if embed_dims % num_heads:
            raise InputError(f"attention: {num_heads} heads do not divide {embed_dims} channels")
        self.num_heads = num_heads
        self.dropout = dropout
        self._attend = _implementation(implementation)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dims, embed_dims))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dims))
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def use(self, implementation: str) -> None:
        """Attend by another implementation from now on, with the same weights; see the class."""
        self._attend = _implementation(implementation)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None = None) -> Tensor:
        """Attends.

        Args:
            query: (B, Q, embed_dims).
            key, value: (B, K, embed_dims).
            blocked: (Q, K) bool, True where a query must not look; None: it may look everywhere.

        Returns:
            (B, Q, embed_dims)
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        projected = [
            F.linear(tokens, weight, bias)
            for tokens, weight, bias in zip((key, value), weights[1:], biases[1:], strict=True)
        ]
        return self.attend(query, KeysValues(*projected), blocked)

    def attend(self, query: Tensor, projected: KeysValues, blocked: Tensor | None = None) -> Tensor:
        """Attends to keys and values that are projected already; see `forward`."""
        weight, bias = self.in_proj_weight.chunk(3)[0], self.in_proj_bias.chunk(3)[0]
        q, k, v = map(self._split_heads, (F.linear(query, weight, bias), *projected))
        attended = self._attend(q, k, v, blocked, self.dropout if self.training else 0.0)
        output: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return output

    def _split_heads(self, tokens: Tensor) -> Tensor:
        """(B, T, C) -> (B, heads, T, C / heads)."""
        return tokens.reshape(*tokens.shape[:2], self.num_heads, -1).transpose(1, 2)


def projected_together(layers: Sequence[MultiheadAttention], key: Tensor, value: Tensor) -> list[KeysValues]:
    """What each of several layers reads of the same keys and values (B, K, embed_dims), in one product of each."""
    products = []
    for part, tokens in ((1, key), (2, value)):
        weight = torch.cat([layer.in_proj_weight.chunk(3)[part] for layer in layers])
        bias = torch.cat([layer.in_proj_bias.chunk(3)[part] for layer in layers])
        products.append(F.linear(tokens, weight, bias).chunk(len(layers), dim=-1))
    return [KeysValues(*pair) for pair in zip(*products, strict=True)]


def _implementation(name: str) -> Attention:
    """The function behind a name in the config."""
    if name not in _IMPLEMENTATIONS:
        raise InputError(f"attention: no implementation {name!r}; there are {', '.join(sorted(_IMPLEMENTATIONS))}")
    if name == "flash_attn":
        try:
            importlib.import_module("flash_attn")
        except (ImportError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"attention='flash_attn' needs the package flash-attn for this torch and GPU ({reason}); "
                "'sdpa' needs nothing"
            ) from error
    return _IMPLEMENTATIONS[name]


def _sdpa(query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None, dropout: float) -> Tensor:
    """All (B, heads, tokens, C / heads)."""
    allowed = None if blocked is None else ~blocked
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)


def _math(query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None, dropout: float) -> Tensor:
    """All (B, heads, tokens, C / heads)."""
    similarity = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if blocked is not None:
        similarity = similarity.masked_fill(blocked, float("-inf"))
    return F.dropout(similarity.softmax(dim=-1).to(value.dtype), dropout) @ value


def _flash(query: Tensor, key: Tensor, value: Tensor, blocked: Tensor | None, dropout: float) -> Tensor:
    """All (B, heads, tokens, C / heads); float32 is computed in float16."""
    if blocked is not None:
        return _sdpa(query, key, value, blocked, dropout)
    # An extra: imported only where a config asks for it.
    from flash_attn import flash_attn_func  # type: ignore[import-not-found]

    dtype = torch.float16 if query.dtype == torch.float32 else query.dtype
    q, k, v = (tokens.transpose(1, 2).to(dtype) for tokens in (query, key, value))
    attended: Tensor = flash_attn_func(q, k, v, dropout_p=dropout)
    return attended.transpose(1, 2).to(query.dtype)


_IMPLEMENTATIONS: dict[str, Attention] = {"sdpa": _sdpa, "flash_attn": _flash, "math": _math}
