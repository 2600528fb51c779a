"""Focal loss against its formula."""

import torch

from detection.models.losses.focal import sigmoid_focal_loss


def test_equals_the_formula() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 3, 3])  # 3: background
    loss = sigmoid_focal_loss(logits, labels, alpha=0.25, gamma=2.0)
    for row, label in enumerate(labels.tolist()):
        for column in range(3):
            p = logits[row, column].sigmoid()
            expected = -0.25 * (1 - p) ** 2 * p.log() if column == label else -0.75 * p**2 * (1 - p).log()
            torch.testing.assert_close(loss[row, column], expected)


def test_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    sigmoid_focal_loss(logits, torch.tensor([1])).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
