"""Losses and gradients beside recorded ones: what passes, and what must not."""

from typing import Any

import pytest
import torch
from torch import nn

from parity.comparison import Comparison
from parity.tolerances import GRADIENT_FLOOR, GRADIENT_NORM, LOSS
from parity.training import compare_gradients, compare_losses


def _losses(recorded: dict[str, Any]) -> Comparison:
    comparison = Comparison()
    compare_losses(comparison, "", {"a": torch.tensor(3.0), "b": torch.tensor(0.0)}, recorded)
    return comparison


def test_same_losses() -> None:
    assert _losses({"losses": {"a": 3.0, "b": 0.0}, "loss_sum": 3.0}).agrees


@pytest.mark.parametrize(
    "losses",
    [{"a": 3.0 * (1 + 2 * LOSS), "b": 0.0}, {"a": 3.0, "b": 1e-9}, {"a": 3.0}, {"a": 3.0, "b": 0.0, "c": 0.0}],
    ids=["other value", "not quite zero", "one too many", "one too few"],
)
def test_other_losses(losses: dict[str, float]) -> None:
    assert not _losses({"losses": losses, "loss_sum": 3.0}).agrees


def test_other_sum_of_losses() -> None:
    assert not _losses({"losses": {"a": 3.0, "b": 0.0}, "loss_sum": 3.1}).agrees


class _Model(nn.Module):
    """Gradients of norm 100, 1e-3 and none."""

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.Parameter(torch.zeros(4))
        self.tiny = nn.Parameter(torch.zeros(4))
        self.frozen = nn.Parameter(torch.zeros(4), requires_grad=False)
        self.large.grad = torch.full((4,), 50.0)
        self.tiny.grad = torch.full((4,), 5e-4)


def _gradients(norms: dict[str, float], without: list[str]) -> Comparison:
    comparison = Comparison()
    compare_gradients(comparison, "", _Model(), {"grad_norms": norms, "no_grad": without})
    return comparison


def test_same_gradients() -> None:
    assert _gradients({"large": 100.0, "tiny": 1e-3}, ["frozen", "code_weights"]).agrees


def test_tiny_gradients_are_noise() -> None:
    assert _gradients({"large": 100.0, "tiny": 50 * GRADIENT_FLOOR}, []).agrees


@pytest.mark.parametrize(
    ("norms", "without"),
    [
        ({"large": 100.0 * (1 + 2 * GRADIENT_NORM)}, []),
        ({"large": 100.0, "tiny": 1.0}, []),
        ({"large": 100.0, "frozen": 1.0}, []),
        ({"large": 100.0}, ["tiny"]),
    ],
    ids=["other norm", "tiny where it should not be", "missing", "should have none"],
)
def test_other_gradients(norms: dict[str, float], without: list[str]) -> None:
    assert not _gradients(norms, without).agrees
