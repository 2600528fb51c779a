"""Rankings: neighbours with nearly equal scores may change places, others may not."""

import numpy as np
import pytest
import torch

from detection.frames import FrameBatch
from detection.models.memory import TemporalMemory
from parity.comparison import Comparison
from parity.ranking import compare_ranking, recorded_ranking, remembered_as_recorded
from parity.tolerances import RANKED_SCORES

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


def test_ranking_by_recorded_logits() -> None:
    logits = np.array([[[0.1, -3.0], [-1.0, 0.3], [0.2, 0.0]]])
    assert recorded_ranking(logits, 2).tolist() == [[1, 2]]


def _memory_and_rows(count: int) -> tuple[TemporalMemory, list[torch.Tensor]]:
    """A memory of the best three queries at the start of a scene, and what is pushed beside scores."""
    memory = TemporalMemory(length=6, topk=3, num_propagated=2, embed_dims=4)
    numbers = torch.arange(float(count)).view(1, count, 1)
    rows = [numbers.expand(-1, -1, 4), numbers.expand(-1, -1, 3), numbers.expand(-1, -1, 2), numbers[..., 0].long()]
    frame = FrameBatch(
        images=torch.zeros(1, 1, 3, 2, 2),
        image_from_lidar=torch.eye(4).expand(1, 1, 4, 4),
        image_from_camera=torch.eye(4).expand(1, 1, 4, 4),
        camera_from_lidar=torch.eye(4).expand(1, 1, 4, 4),
        global_from_lidar=torch.eye(4).double().unsqueeze(0),
        timestamp_s=torch.zeros(1, dtype=torch.float64),
        continues_scene=torch.tensor([False]),
        scene_tokens=("scene",),
        sample_tokens=("sample",),
    )
    memory.align(frame, torch.zeros(2, 3))
    return memory, rows


@pytest.mark.parametrize("recorded", [[0, 2, 1], [0, 1, 3], [3, 0, 2]], ids=["places", "at the end", "all"])
def test_memory_is_filled_as_recorded_and_the_own_ranking_is_told(recorded: list[int]) -> None:
    memory, rows = _memory_and_rows(4)
    with remembered_as_recorded(memory, np.array([recorded])):
        pushed = memory.push(SCORES, *rows)
    assert pushed.tolist() == SCORES.topk(3).indices.tolist()
    state = memory.state()
    assert state["query_ids"][0, :3].tolist() == recorded
    assert state["embeddings"][0, :3, 0].tolist() == recorded
    assert len(state["embeddings"][0]) == 9


def test_memory_is_filled_by_the_own_ranking_without_a_recorded_one() -> None:
    memory, rows = _memory_and_rows(4)
    with remembered_as_recorded(memory, None), remembered_as_recorded(None, np.array([[1]])):
        pushed = memory.push(SCORES, *rows)
    assert memory.state()["query_ids"][0, :3].tolist() == pushed[0].tolist()
