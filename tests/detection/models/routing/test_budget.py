"""The budget of hard frames: kept by every stream whatever the scores, and spent on the hardest of close frames."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.models.routing import HARD_SHARES, HardBudget, percentile_thresholds
from scenes import InputError

ALWAYS = torch.ones(1, dtype=torch.bool)
EVENLY = percentile_thresholds(np.linspace(0.0, 1.0, 101))


def budget(share: float) -> HardBudget:
    return HardBudget(share, HARD_SHARES, EVENLY.tolist())


@given(st.floats(0.01, 0.99), st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=60))
def test_a_stream_never_spends_more_or_less_than_a_frame_off_its_share(share: float, scores: list[float]) -> None:
    spender, hard = budget(share), 0
    for count, score in enumerate(scores, 1):
        hard += int(spender.spend(torch.tensor([score]), ALWAYS))
        assert abs(hard - share * count) <= 1.0 + 1e-6


def test_among_frames_close_together_the_hardest_are_chosen() -> None:
    spender = budget(0.5)
    scores = [0.9, 0.1] * 20
    chosen = [bool(spender.spend(torch.tensor([score]), ALWAYS)) for score in scores]
    assert chosen == [False, True] * 20


def test_streams_spend_on_their_own_and_begin_anew_with_a_scene() -> None:
    spender = budget(0.5)
    both = torch.tensor([True, True])
    assert spender.spend(torch.tensor([0.1, 0.9]), both).tolist() == [True, False]
    assert spender.spend(torch.tensor([0.1, 0.9]), both).tolist() == [False, True], "one has spent, one has saved"
    assert spender.spend(torch.tensor([0.1, 0.9]), both).tolist() == [True, False]
    new_scene = torch.tensor([False, True])
    assert spender.spend(torch.tensor([0.1, 0.9]), new_scene).tolist() == [True, True]
    assert spender.spend(torch.tensor([0.9]), ALWAYS).tolist() == [False], "another number of streams"


@pytest.mark.parametrize(
    ("share", "thresholds", "message"),
    [(0.0, [0.0, 1.0], "share is 0.0"), (0.5, [0.0], "a threshold for every share"), (0.5, [1.0, 0.0], "rising order")],
)
def test_settings_that_cannot_be_are_named(share: float, thresholds: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HardBudget(share, [0.0, 1.0], thresholds)
