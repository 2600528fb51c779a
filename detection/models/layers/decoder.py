"""The transformer decoder: queries look at each other, at remembered queries and at the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from detection.models.layers.attention import KeysValues, MultiheadAttention, projected_together


class Remembered(NamedTuple):
    """M remembered queries that are looked at and do not look: content and position, both (B, M, C)."""

    content: Tensor
    position: Tensor


class SelfAttention(nn.Module):
    """What queries take from each other and from remembered queries: the branch beside the residual."""

    def __init__(self, embed_dims: int, num_heads: int, dropout: float, implementation: str) -> None:
        super().__init__()
        self.attn = MultiheadAttention(embed_dims, num_heads, dropout, implementation)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, query: Tensor, query_pos: Tensor, remembered: Remembered | None, blocked: Tensor | None
    ) -> Tensor:
        """The change of the queries.

        Args:
            query, query_pos: (B, Q, C); positions take part in the comparison only, not in what is passed on.
            remembered: further keys and values; None where nothing is remembered.
            blocked: (Q, Q + M) bool, True where a query must not look.

        Returns:
            (B, Q, C)
        """
        value, key = query, query + query_pos
        if remembered is not None:
            value = torch.cat((query, remembered.content), dim=1)
            key = torch.cat((key, remembered.content + remembered.position), dim=1)
        change: Tensor = self.dropout(self.attn(query + query_pos, key, value, blocked))
        return change


class ImageCrossAttention(nn.Module):
    """What queries take from all image tokens of all cameras: the branch beside the residual.

    Its context is a pair (key, value), each (B, T, C): tokens with and without their position. `KeysValues` are such
    tokens as this layer projects them.
    """

    def __init__(self, embed_dims: int, num_heads: int, dropout: float, implementation: str) -> None:
        super().__init__()
        self.attn = MultiheadAttention(embed_dims, num_heads, 0.0, implementation)  # attention weights are not dropped
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, query_pos: Tensor, context: tuple[Tensor, Tensor] | KeysValues) -> Tensor:
        """Queries and their positions (B, Q, C) -> their change (B, Q, C)."""
        query = query + query_pos
        found = self.attn.attend(query, context) if isinstance(context, KeysValues) else self.attn(query, *context)
        change: Tensor = self.dropout(found)
        return change


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between: the branch beside the residual."""

    def __init__(self, embed_dims: int, hidden_dims: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(embed_dims, hidden_dims), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(hidden_dims, embed_dims),
            nn.Dropout(dropout),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor) -> Tensor:
        """(B, Q, C) -> their change (B, Q, C)."""
        change: Tensor = self.layers(query)
        return change


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward network, each followed by a layer norm of the sum."""

    def __init__(self, self_attention: SelfAttention, cross_attention: nn.Module, feed_forward: FeedForward) -> None:
        """A layer of three branches; `cross_attention` is called with queries, positions and the head's context."""
        super().__init__()
        self.attentions = nn.ModuleList((self_attention, cross_attention))
        self.ffns = nn.ModuleList((feed_forward,))
        self.embed_dims = self_attention.attn.out_proj.out_features
        self.norms = nn.ModuleList(nn.LayerNorm(self.embed_dims) for _ in range(3))

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        context: Any,
        remembered: Remembered | None,
        blocked: Tensor | None,
    ) -> Tensor:
        """The queries after this layer, (B, Q, C); arguments as in `Decoder.forward`."""
        self_attention, cross_attention = self.attentions
        query = self.norms[0](query + self_attention(query, query_pos, remembered, blocked))
        query = self.norms[1](query + cross_attention(query, query_pos, context))
        output: Tensor = self.norms[2](query + self.ffns[0](query))
        return output


class Decoder(nn.Module):
    """A stack of decoder layers; every layer's queries are returned, since every layer is supervised."""

    def __init__(
        self, make_layer: Callable[[], DecoderLayer], num_layers: int, post_norm: bool = True, with_cp: bool = False
    ) -> None:
        """A decoder.

        Args:
            make_layer: makes one layer.
            num_layers: how many.
            post_norm: whether one shared layer norm is applied to what each layer returns (not to what the next sees).
            with_cp: recompute activations in the backward pass instead of keeping them.
        """
        super().__init__()
        layers = [make_layer() for _ in range(num_layers)]
        self.layers = nn.ModuleList(layers)
        self.post_norm = nn.LayerNorm(layers[0].embed_dims) if post_norm else None
        self.with_cp = with_cp

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        context: Any,
        remembered: Remembered | None = None,
        blocked: Tensor | None = None,
    ) -> Tensor:
        """Decodes.

        Args:
            query, query_pos: (B, Q, C) content and position of the queries.
            context: what the cross-attention reads of the images; made by the head for its kind of cross-attention.
            remembered: queries that are further keys of self-attention; None without memory.
            blocked: (Q, Q + M) bool, True where a query must not look in self-attention.

        Returns:
            (layers, B, Q, C)
        """
        outputs = []
        for layer, its_context in zip(self.layers, self._contexts(context), strict=True):
            arguments = (query, query_pos, its_context, remembered, blocked)
            if self.with_cp and torch.is_grad_enabled():
                query = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                query = layer(*arguments)
            outputs.append(query if self.post_norm is None else self.post_norm(query))
        return torch.stack(outputs)

    def _contexts(self, context: Any) -> list[Any]:
        """What the cross-attention of each layer is given. In training each layer projects the tokens itself, which
        checkpoints can do again."""
        layers: Any = self.layers
        attentions = [layer.attentions[1] for layer in layers]
        if torch.is_grad_enabled() or not all(isinstance(one, ImageCrossAttention) for one in attentions):
            return [context] * len(attentions)
        return list(projected_together([one.attn for one in attentions], *context))
