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


def test_without_boxes_every_score_means_as_much_as_not() -> None:
    for scale in (ScoreScale.unknown(), ScoreScale.from_frames([Boxes3D.empty()])):
        assert scale.of(np.array([-3.0, 0.0, 0.5, 7.0])).tolist() == [0.0] * 4


def test_scores_that_are_not_finite_teach_nothing(boxes_at) -> None:
    scores = np.array([0.1, 0.5, np.nan, np.inf, -np.inf, 0.9])
    learned = ScoreScale.unknown().with_frame(boxes_at(np.zeros((6, 2)), score=scores))
    assert learned.score.tolist() == [0.1, 0.5, 0.9] and learned.count.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("levels", [3, 100_000])
def test_frame_by_frame_it_learns_what_all_frames_at_once_say(boxes_at, levels: int) -> None:
    rng = np.random.default_rng(1)
    recording = [
        boxes_at(np.zeros((80, 2)), score=rng.integers(1, levels, 80) / levels if frame % 3 else np.full(80, 0.2))
        for frame in range(120)
    ]
    scale = ScoreScale.unknown()
    for boxes in recording:
        scale = scale.with_frame(boxes)
        assert len(scale.score) <= 1024
    at_once = ScoreScale.from_frames(recording)
    assert scale.frames == at_once.frames == 120
    assert scale.count.sum() == at_once.count.sum() == 120 * 80
    scores = np.linspace(0.05, 0.95, 50)
    # Thinned out again and again: a box in a hundred may have changed its rank.
    np.testing.assert_allclose(scale.of(scores), at_once.of(scores), atol=0.06 * 0.8 + 1e-9)


def test_equal_scores_mean_the_same(boxes_at) -> None:
    scale = ScoreScale.from_frames([boxes_at(np.zeros((50, 2)))] * 3)
    # Fifty of a frame score at least as high.
    np.testing.assert_allclose(scale.of(np.full(4, 0.8)), 0.06 * (40 - 50))
