"""What scores mean, whatever scale they are on."""

import numpy as np
import pytest

from scenes import Boxes3D
from tracking import ScoreScale


def frames(boxes_at, transform=lambda score: score, count: int = 60) -> list[Boxes3D]:
    rng = np.random.default_rng(0)
    return [boxes_at(np.zeros((count, 2)), score=transform(rng.random(count))) for _ in range(20)]


@pytest.mark.parametrize("transform", [np.sqrt, lambda score: 0.85 + 0.06 * score, np.exp])
def test_increasing_changes_of_all_scores_change_nothing(boxes_at, transform) -> None:
    plain = ScoreScale.from_frames(frames(boxes_at))
    changed = ScoreScale.from_frames(frames(boxes_at, transform))
    scores = np.concatenate([boxes.score for boxes in frames(boxes_at)])
    at_nodes = np.isin(scores, plain.score)
    assert at_nodes.sum() > 300
    np.testing.assert_allclose(changed.of(transform(scores[at_nodes])), plain.of(scores[at_nodes]), atol=1e-12)


def test_better_scores_never_mean_less(boxes_at) -> None:
    scale = ScoreScale.from_frames(frames(boxes_at))
    assert (np.diff(scale.of(np.linspace(-1.0, 2.0, 500))) >= 0.0).all()


def test_fortieth_best_box_of_a_frame_is_as_likely_true_as_not(boxes_at) -> None:
    scale = ScoreScale.from_frames(frames(boxes_at, count=80))
    assert scale.of(np.array([0.5]))[0] == pytest.approx(0.0, abs=0.1)


def test_without_boxes_scores_are_probabilities() -> None:
    scale = ScoreScale.from_frames([Boxes3D.empty()])
    np.testing.assert_allclose(1 / (1 + np.exp(-scale.of(np.array([0.1, 0.5, 0.9])))), [0.1, 0.5, 0.9], atol=1e-3)
    assert np.isfinite(scale.of(np.array([-3.0, 0.0, 1.0, 7.0]))).all()


def test_equal_scores_mean_the_same(boxes_at) -> None:
    scale = ScoreScale.from_frames([boxes_at(np.zeros((50, 2)))] * 3)
    assert len(set(scale.of(np.full(4, 0.8)).tolist())) == 1
    assert np.isfinite(scale.log_odds).all()
