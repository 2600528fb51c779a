"""The decoder: order of its steps, what memory and masks do, and activation checkpointing."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from detection.models.layers.decoder import (
    Decoder,
    DecoderLayer,
    FeedForward,
    ImageCrossAttention,
    Remembered,
    SelfAttention,
)

CHANNELS, QUERIES = 8, 5


def _layer() -> DecoderLayer:
    return DecoderLayer(
        SelfAttention(CHANNELS, 2, 0.1, "math"),
        ImageCrossAttention(CHANNELS, 2, 0.1, "math"),
        FeedForward(CHANNELS, 16, 0.1),
    )


def _inputs(requires_grad: bool = False) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    query, position = (torch.randn(2, QUERIES, CHANNELS, generator=generator) for _ in range(2))
    key, value = (torch.randn(2, 7, CHANNELS, generator=generator) for _ in range(2))
    return query.requires_grad_(requires_grad), position, (key, value)


def test_layers_are_chained_before_the_post_norm() -> None:
    torch.manual_seed(0)
    decoder = Decoder(_layer, 3).eval()
    assert decoder.post_norm is not None
    query, position, context = _inputs()
    outputs = decoder(query, position, context)
    for layer, output in zip(decoder.layers, outputs, strict=True):
        query = layer(query, position, context, None, None)
        torch.testing.assert_close(output, decoder.post_norm(query))


def test_without_gradients_all_layers_project_the_images_together() -> None:
    """The same as layer by layer, in two products."""
    torch.manual_seed(0)
    decoder = Decoder(_layer, 3).eval()
    for layer in decoder.layers:
        torch.nn.init.normal_(layer.attentions[1].attn.in_proj_bias)
    inputs = _inputs()
    one_by_one = decoder(*inputs)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        together = decoder(*inputs)
    torch.testing.assert_close(together, one_by_one)
    products = counter.get_flop_counts()["Decoder"][torch.ops.aten.addmm]
    images = 2 * 2 * (2 * 7) * CHANNELS * (3 * CHANNELS)
    queries = 3 * 2 * (2 * QUERIES) * (CHANNELS * CHANNELS * (4 + 2) + 2 * CHANNELS * 16)
    assert products == images + queries


def test_residuals_are_normed_after_the_sum() -> None:
    torch.manual_seed(0)
    layer = _layer().eval()
    query, position, context = _inputs()
    self_attention, cross_attention = layer.attentions
    expected = layer.norms[0](query + self_attention(query, position, None, None))
    expected = layer.norms[1](expected + cross_attention(expected, position, context))
    expected = layer.norms[2](expected + layer.ffns[0](expected))
    torch.testing.assert_close(layer(query, position, context, None, None), expected)


def test_remembered_queries_are_keys_like_others() -> None:
    """What is remembered counts as if it stood among the queries and only the queries were read."""
    torch.manual_seed(0)
    attention = SelfAttention(CHANNELS, 2, 0.0, "math")
    query, position, _ = _inputs()
    remembered = Remembered(query[:, 2:], position[:, 2:])
    torch.testing.assert_close(
        attention(query[:, :2], position[:, :2], remembered, None), attention(query, position, None, None)[:, :2]
    )


def test_masked_queries_do_not_feel_others() -> None:
    torch.manual_seed(0)
    decoder = Decoder(_layer, 2).eval()
    query, position, context = _inputs()
    blocked = torch.zeros(QUERIES, QUERIES, dtype=torch.bool)
    blocked[2:, :2] = True
    alone = decoder(query[:, 2:], position[:, 2:], context)
    torch.testing.assert_close(decoder(query, position, context, blocked=blocked)[:, :, 2:], alone)


def test_checkpointing_changes_nothing_but_memory() -> None:
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        decoder = Decoder(_layer, 2, with_cp=with_cp).train()
        query, position, context = _inputs(requires_grad=True)
        torch.manual_seed(2)  # of the dropout
        decoder(query, position, context).square().sum().backward()
        gradients.append([query.grad, *(parameter.grad for parameter in decoder.parameters())])
    assert all(torch.equal(plain, recomputed) for plain, recomputed in zip(*gradients, strict=True))
