"""Quality focal loss: its formula, and where it is zero."""

import math

import hypothesis.strategies as st
import torch
from hypothesis import given

from detection.models.losses.quality_focal import quality_focal_loss


@given(st.floats(-20, 20), st.floats(0, 1), st.sampled_from([1.0, 2.0, 3.0]))
def test_loss_of_one_score(logit: float, target: float, beta: float) -> None:
    score = 1 / (1 + math.exp(-logit))
    entropy = max(logit, 0) - logit * target + math.log1p(math.exp(-abs(logit)))
    loss = quality_focal_loss(torch.tensor([logit]), torch.tensor([target]), beta)
    assert math.isclose(loss.item(), entropy * abs(target - score) ** beta, rel_tol=1e-4, abs_tol=1e-6)


def test_loss_is_zero_where_the_score_is_the_target() -> None:
    logits = torch.tensor([-1.0, 0.0, 2.0])
    assert quality_focal_loss(logits, logits.sigmoid()) == 0


def test_loss_is_a_sum() -> None:
    logits, targets = torch.randn(4, 3), torch.rand(4, 3)
    parts = sum(quality_focal_loss(logits[row], targets[row]) for row in range(4))
    torch.testing.assert_close(quality_focal_loss(logits, targets), torch.as_tensor(parts))
