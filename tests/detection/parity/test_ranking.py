"""Rankings: neighbours with nearly equal scores may change places, others may not."""

import numpy as np
import torch

from detection.parity.comparison import Comparison
from detection.parity.ranking import compare_ranking, reordered, rows_in_recorded_order
from detection.parity.tolerances import RANKED_SCORES

SCORES = torch.tensor([[0.9, 0.5, 0.5 + RANKED_SCORES / 2, 0.1]])


def _agrees(mine: list[int], recorded: list[int]) -> bool:
    comparison = Comparison()
    compare_ranking(comparison, "top", SCORES, torch.tensor([mine]), np.array([recorded]))
    return comparison.agrees


def test_nearly_equal_scores_may_change_places() -> None:
    assert _agrees([0, 2, 1], [0, 1, 2])


def test_nearly_equal_scores_may_replace_each_other_at_the_end() -> None:
    assert _agrees([0, 2], [0, 1])


def test_different_scores_may_not_change_places() -> None:
    assert not _agrees([1, 0, 2], [0, 1, 2])


def test_other_number_of_ranks() -> None:
    assert not _agrees([0, 1], [0, 1, 2])


def test_rows_follow_the_recorded_order() -> None:
    pushed, recorded = torch.tensor([[7, 4, 9], [1, 2, 3]]), np.array([[7, 9, 4], [1, 2, 5]])
    order = rows_in_recorded_order(pushed, recorded, num_rows=5)
    assert order.tolist() == [[0, 2, 1, 3, 4], [0, 1, -1, 3, 4]]
    rows = np.arange(10.0).reshape(2, 5, 1)
    theirs = np.full((2, 5, 1), -1.0)
    assert reordered(rows, order, theirs)[..., 0].tolist() == [[0, 2, 1, 3, 4], [5, 6, -1, 8, 9]]
