"""The loss of the router: a running median that survives a restart, gradients that reach the scores alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.models.routing.adaptive_offset import AdaptiveOffset, routing_losses
from scenes import InputError

_LOSSES = st.floats(-100, 100, width=32)


@given(st.lists(st.lists(_LOSSES, min_size=1, max_size=3), min_size=1, max_size=8))
def test_offset_is_the_median_of_all_differences(batches: list[list[float]]) -> None:
    offset = AdaptiveOffset()
    for number, batch in enumerate(batches):
        seen = [difference for earlier in batches[: number + 1] for difference in earlier]
        assert offset.update(torch.tensor(batch)) == np.median(np.array(seen, dtype=np.float64))


def test_late_in_a_training_the_median_rests() -> None:
    offset = AdaptiveOffset()
    offset.load_state({**offset.state(), "iterations": torch.tensor(9998)})
    assert offset.update(torch.tensor([1.0])) == 1.0
    assert offset.update(torch.tensor([3.0])) == 2.0
    for _ in range(999):
        assert offset.update(torch.tensor([7.0])) == 2.0
    assert offset.update(torch.tensor([7.0])) == 7.0


def test_restart_goes_on_as_if_there_had_been_none() -> None:
    straight, first, second = AdaptiveOffset(), AdaptiveOffset(), AdaptiveOffset()
    for number in range(5):
        expected = straight.update(torch.tensor([float(number) ** 2]))
        first.update(torch.tensor([float(number) ** 2]))
    second.load_state(first.state())
    assert second.update(torch.tensor([5.0])) == straight.update(torch.tensor([5.0])) != expected
    with pytest.raises(InputError, match="a state has differences"):
        second.load_state({"differences": torch.zeros(1)})


def test_router_moves_to_the_path_that_gains_more_than_usual() -> None:
    scores = torch.tensor([0.5, 0.5, 0.5], requires_grad=True)
    easy, hard = torch.tensor([3.0, 2.0, 1.0], requires_grad=True), torch.tensor([1.0, 1.0, 1.0], requires_grad=True)
    routing_losses(scores, easy, hard, offset=1.0).sum().backward()
    assert scores.grad is not None and scores.grad.tolist() == [1.0, 0.0, -1.0]  # harder, as it is, easier
    assert easy.grad is None and hard.grad is None
