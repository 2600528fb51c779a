"""EVA-02: windows, rotary positions, the pyramid, the published names at full size."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from detection.models.backbones import EVA02
from detection.models.backbones.eva02 import Attention, Block, RotaryEmbedding, _from_windows, _to_windows


def _tiny(**settings: object) -> EVA02:
    torch.manual_seed(0)
    tiny = dict(embed_dims=32, depth=3, num_heads=2, window_size=2, global_window_size=3, global_blocks=(1,))
    backbone = EVA02(**{**tiny, "out_channels": 8, **settings})
    backbone.init_weights()
    return backbone


def test_names_and_shapes_of_the_published_weights(golden: Path) -> None:
    with torch.device("meta"):
        weights = EVA02().state_dict()
    rows = [line.split("\t") for line in (golden / "keys_repdetr3d_eva02_800_bs2_seq_24e.txt").read_text().splitlines()]
    recorded = {row[0]: row[1] for row in rows if row[0].startswith("img_backbone.")}
    assert {f"img_backbone.{name}": "x".join(map(str, one.shape)) for name, one in weights.items()} == recorded


def test_maps_of_four_strides() -> None:
    maps = _tiny().eval()(torch.randn(2, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(2, 8, 16, 24), (2, 8, 8, 12), (2, 8, 4, 6), (2, 8, 2, 3)]


@given(height=st.integers(1, 7), width=st.integers(1, 7), window=st.integers(1, 4))
def test_windows_go_there_and_back(height: int, width: int, window: int) -> None:
    tokens = torch.arange(2 * height * width * 3, dtype=torch.float32).view(2, height, width, 3)
    windows, grid_size = _to_windows(tokens, window)
    assert windows.shape[1:] == (window * window, 3)
    assert torch.equal(_from_windows(windows, window, grid_size, (height, width)), tokens)
    assert windows.sum() == tokens.sum()  # what is not there is zero


def test_the_first_window_is_the_upper_left_corner() -> None:
    tokens = torch.arange(16.0).view(1, 4, 4, 1)
    windows, grid_size = _to_windows(tokens, 2)
    assert grid_size == (2, 2)
    assert windows[:2, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_rotary_products_depend_on_the_distance_alone() -> None:
    torch.manual_seed(0)
    grid = 5
    query, key = torch.randn(2, 8)
    rope = RotaryEmbedding(8, grid)
    queries, keys = (rope(one.expand(grid * grid, 8)).view(grid, grid, 8) for one in (query, key))
    products = torch.einsum("ijc,klc->ijkl", queries, keys)
    torch.testing.assert_close(products[1:, 1:, 1:, 1:], products[:-1, :-1, :-1, :-1])
    assert products.std() > 0.1


def test_rotation_by_hand() -> None:
    rope = RotaryEmbedding(4, 2)  # one plane for the row, one for the column, of frequency 1 over 16 / 2 steps
    turned = rope(torch.tensor([1.0, 0.0, 1.0, 0.0]).expand(4, 4))
    angle = torch.tensor(8.0)
    expected = [[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, angle.cos(), angle.sin()], [angle.cos(), angle.sin(), 1.0, 0.0]]
    torch.testing.assert_close(turned[:3], torch.tensor(expected))


def test_attention_without_turning_is_multi_head_attention() -> None:
    torch.manual_seed(0)
    rope = RotaryEmbedding(8, 1)
    attention = Attention(16, 2, rope)
    nn.init.normal_(attention.q_bias)
    nn.init.normal_(attention.v_bias)
    oracle = nn.MultiheadAttention(16, 2, batch_first=True)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    oracle.in_proj_weight.data = torch.cat([one.weight.data for one in projections])
    oracle.in_proj_bias.data = torch.cat([attention.q_bias.data, torch.zeros(16), attention.v_bias.data])
    oracle.out_proj.load_state_dict(attention.proj.state_dict())
    tokens = torch.randn(3, 6, 16)
    torch.testing.assert_close(attention(tokens), oracle(tokens, tokens, tokens, need_weights=False)[0])


def test_what_one_window_sees_stays_in_it() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 2, RotaryEmbedding(4, 2), drop_path=0.0)
    tokens = torch.randn(1, 4, 4, 8)
    other = tokens.clone()
    other[0, 0, 0, 0] += 1  # one channel: the norm before the attention takes off what all have in common
    changed = (block(tokens) != block(other)).any(dim=-1)[0]
    assert changed.tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


def test_stochastic_depth_leaves_out_whole_branches_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = Block(4, 1, 1, RotaryEmbedding(4, 1), drop_path=0.25).train()
    dropped = block._drop(torch.ones(4000, 1, 1, 2))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped[..., 0], dropped[..., 1])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(block.eval()._drop(torch.ones(2, 1, 1, 2)), torch.ones(2, 1, 1, 2))


def test_recomputation_gives_the_same_gradients() -> None:
    images = torch.randn(1, 3, 32, 48)
    gradients = []
    for with_cp in (False, True):
        backbone = _tiny(with_cp=with_cp).train()
        sum(one.square().sum() for one in backbone(images)).backward()
        gradients.append([weight.grad for weight in backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain)


def test_frozen_stages_take_the_positions_along() -> None:
    backbone = _tiny(frozen_stages=1)
    assert not backbone.pos_embed.requires_grad
    assert not any(weight.requires_grad for weight in backbone.blocks[0].parameters())
    assert all(weight.requires_grad for weight in backbone.blocks[1].parameters())
