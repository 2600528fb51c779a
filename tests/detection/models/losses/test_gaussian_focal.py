"""Heat map and its focal loss: against plain loops."""

import math

import hypothesis.strategies as st
import torch
from hypothesis import given

from detection.models.losses.gaussian_focal import center_heat_map, gaussian_focal_loss

ROWS, COLUMNS = 5, 9
CENTERS = st.lists(st.tuples(st.integers(-2, COLUMNS + 1), st.integers(-2, ROWS + 1), st.integers(1, 4)), max_size=4)


def _looped_heat_map(objects: list[tuple[int, int, int]]) -> torch.Tensor:
    heat_map = torch.zeros(ROWS, COLUMNS)
    for column, row, radius in objects:
        sigma = (2 * radius + 1) / 6
        for y in range(max(row - radius, 0), min(row + radius + 1, ROWS)):
            for x in range(max(column - radius, 0), min(column + radius + 1, COLUMNS)):
                value = math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
                heat_map[y, x] = max(float(heat_map[y, x]), value)
    return heat_map


@given(CENTERS)
def test_heat_map_equals_a_loop(objects: list[tuple[int, int, int]]) -> None:
    numbers = torch.tensor(objects, dtype=torch.int64).reshape(-1, 3)
    heat_map = center_heat_map(numbers[:, :2], numbers[:, 2].float(), (ROWS, COLUMNS))
    torch.testing.assert_close(heat_map, _looped_heat_map(objects))


def test_centers_are_exactly_one() -> None:
    heat_map = center_heat_map(torch.tensor([[2, 1], [7, 4]]), torch.tensor([1.0, 3.0]), (ROWS, COLUMNS))
    assert heat_map[1, 2] == 1 and heat_map[4, 7] == 1 and (heat_map == 1).sum() == 2


def test_loss_equals_a_loop() -> None:
    logits = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(3)) * 4
    heat_map = _looped_heat_map([(2, 1, 1), (6, 3, 3)])
    total = 0.0
    for logit, heat in zip(logits.flatten().tolist(), heat_map.flatten().tolist(), strict=True):
        score = min(max(1 / (1 + math.exp(-logit)), 1e-4), 1 - 1e-4)
        if heat == 1:
            total -= math.log(score) * (1 - score) ** 2
        else:
            total -= math.log(1 - score) * score**2 * (1 - heat) ** 4
    # In float64: the last digits of a float32 sum are another processor's other ones.
    loss = gaussian_focal_loss(logits.double(), heat_map.double())
    torch.testing.assert_close(loss, torch.tensor(total, dtype=torch.float64))


def test_sure_and_wrong_is_finite() -> None:
    logits = torch.tensor([1e4, -1e4], requires_grad=True)
    gaussian_focal_loss(logits, torch.tensor([0.0, 1.0])).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
