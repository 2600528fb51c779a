"""Encodings against their formulas, and the ways between metres, shares and log odds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.models.layers.position import (
    frequency_encoding,
    inverse_sigmoid,
    linear_increasing_depths,
    sine_encoding,
    sine_encoding_3d,
    to_metres,
    to_shares,
)

REGION = torch.tensor([-51.2, -51.2, -5.0, 51.2, 51.2, 3.0])


def test_sine_encoding_is_the_formula() -> None:
    encoded = sine_encoding(torch.tensor([0.3], dtype=torch.float64), 6)[0].tolist()
    expected = []
    for pair in range(3):
        phase = 0.3 * 2 * math.pi / 10000 ** (2 * pair / 6)
        expected += [math.sin(phase), math.cos(phase)]
    assert encoded == pytest.approx(expected)


def test_sine_encoding_3d_is_ordered_y_x_z() -> None:
    point = torch.tensor([0.1, 0.2, 0.3])
    axes = [sine_encoding(point[axis], 8) for axis in (1, 0, 2)]
    torch.testing.assert_close(sine_encoding_3d(point, 8), torch.cat(axes))


def test_frequency_encoding_is_ordered_by_frequency() -> None:
    values = torch.tensor([0.5, -2.0])
    expected = torch.cat([turn(values * factor) for factor in (1, 2, 4) for turn in (torch.sin, torch.cos)])
    torch.testing.assert_close(frequency_encoding(values, 3), expected)


def test_depths_grow_linearly_apart() -> None:
    depths = linear_increasing_depths(64, 1.0, 61.2)
    steps = depths.diff()
    torch.testing.assert_close(steps / steps[0], torch.arange(1, 64, dtype=torch.float32), rtol=1e-3, atol=0)
    assert depths[0] == 1
    assert depths[-1] + 64 * steps[0] == pytest.approx(61.2, rel=1e-4)


@given(st.floats(1e-4, 1 - 1e-4))
def test_inverse_sigmoid_undoes_the_sigmoid(probability: float) -> None:
    assert inverse_sigmoid(torch.tensor(probability)).sigmoid().item() == pytest.approx(probability, rel=1e-4)


def test_inverse_sigmoid_is_finite_everywhere() -> None:
    odds = inverse_sigmoid(torch.tensor([-3.0, 0.0, 1.0, 8.0]))
    bound = math.log((1 - 1e-5) / 1e-5)
    assert odds.abs().tolist() == pytest.approx([math.log(1 / 1e-5)] * 4, rel=1e-3)
    assert odds[0] < -bound + 1 and odds[-1] > bound - 1


@given(st.lists(st.floats(-200, 200), min_size=3, max_size=3))
def test_shares_go_back_to_metres(point: list[float]) -> None:
    points_m = torch.tensor(point)
    torch.testing.assert_close(to_metres(to_shares(points_m, REGION), REGION), points_m, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(to_shares(REGION[3:], REGION), torch.ones(3))
