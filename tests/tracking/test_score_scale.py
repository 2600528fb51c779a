"""What scores mean, whatever scale they are on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking import ScoreScale
from tracking.score_scale import probability

FRAMES = 100


def learned(transform=lambda score: score, even: float = 0.5, steep: float = 8.0, count: int = 80) -> ScoreScale:
    """From a detector whose boxes are true, and then followed nine times in ten, the likelier the higher they score."""
    rng = np.random.default_rng(0)
    scale = ScoreScale.unknown()
    for _ in range(FRAMES):
        score = rng.random(count)
        true = rng.random(count) < probability(steep * (score - even))
        followed = rng.random(count) < np.where(true, 0.9, 0.1)
        scale = scale.with_frame(transform(score), transform(score), followed.astype(np.float64))
    return scale


def even_score(scale: ScoreScale) -> float:
    """The score that is as likely true as not."""
    scores = np.linspace(scale.score[0], scale.score[-1], 2001)
    return float(np.interp(0.0, scale.of(scores), scores))


@pytest.mark.parametrize("transform", [np.exp, lambda score: 3.0 * score - 7.0, lambda score: 1e6 * score**3 - 5.0])
def test_of_scores_that_are_no_probabilities_only_the_order_counts(transform) -> None:
    plain, changed = learned(lambda score: 100.0 * score + 1.0), learned(transform)
    nodes = plain.score[::50]
    same = transform((nodes - 1.0) / 100.0)
    np.testing.assert_allclose(changed.of(same), plain.of(nodes), atol=0.06)


@pytest.mark.parametrize(
    "transform", [lambda score: score, lambda score: 0.85 + 0.06 * score, lambda score: 9.0 * score]
)
@pytest.mark.parametrize("even", [0.3, 0.5, 0.7])
def test_the_score_at_which_boxes_begin_to_be_followed_is_found(transform, even: float) -> None:
    assert even_score(learned(transform, even)) == pytest.approx(
        transform(even), abs=0.12 * (transform(1.0) - transform(0.0))
    )


def test_where_everything_is_followed_alike_less_is_said() -> None:
    """Than where true boxes and clutter lie apart: slopes follow what is seen."""
    spans = []
    for steep in (3.0, 30.0):
        low, high = learned(lambda score: 9.0 * score, steep=steep).of(np.array([3.6, 5.4]))
        spans.append(high - low)
    assert 0.0 < spans[0] < 0.8 * spans[1]


@given(scores=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), frames=st.integers(1, 5))
def test_better_scores_never_mean_less(scores: list[float], frames: int) -> None:
    given_scores = np.array(scores)
    scale = ScoreScale.unknown()
    for _ in range(frames):
        scale = scale.with_frame(given_scores, given_scores, (given_scores > 0.0).astype(np.float64))
    log_odds = scale.of(np.sort(np.concatenate([given_scores, np.linspace(-2e3, 2e3, 50)])))
    assert (np.diff(log_odds) >= 0.0).all() and np.isfinite(log_odds).all() and np.abs(log_odds).max() <= 5.0


def test_at_first_the_fortieth_best_box_of_a_frame_is_as_likely_true_as_not() -> None:
    for count in (60, 80, 200):
        scale = ScoreScale.unknown().with_frame(np.linspace(1.0, 2.0, count))
        assert even_score(scale) == pytest.approx(2.0 - 40.0 / count, abs=0.02)


def test_at_first_scores_spread_like_probabilities_are_read_as_such() -> None:
    """The detector's word counts, however many boxes a frame has."""
    rng = np.random.default_rng(0)
    shares = probability(rng.normal(-1.0, 1.6, 400))
    for count in (20, 400):
        scale = ScoreScale.unknown().with_frame(shares[:count])
        assert 0.25 < even_score(scale) < 0.5
    assert even_score(ScoreScale.unknown().with_frame(0.85 + 0.06 * shares)) > 0.85


def test_without_boxes_every_score_means_as_much_as_not() -> None:
    nothing = np.zeros(0)
    for scale in (ScoreScale.unknown(), ScoreScale.unknown().with_frame(nothing, nothing, nothing)):
        assert scale.of(np.array([-3.0, 0.0, 0.5, 7.0])).tolist() == [0.0] * 4
        assert scale.frames == 0


@pytest.mark.parametrize("levels", [3, 100_000])
def test_thinning_out_keeps_what_was_counted(levels: int) -> None:
    rng = np.random.default_rng(1)
    recording = [rng.integers(1, levels, 80) / levels for _ in range(120)]
    scale, before = ScoreScale.unknown(), np.zeros(0)
    for score in [*recording, np.zeros(0)]:
        scale = scale.with_frame(score, before, (before > 0.4).astype(np.float64))
        assert len(scale.score) <= 1024
        before = score
    scores = np.concatenate(recording)
    assert scale.frames == 120
    assert scale.count.sum() == scale.judged.sum() == 120 * 80
    assert scale.followed.sum() == (scores > 0.4).sum()
    for score, below in zip(scale.score, np.cumsum(scale.count), strict=True):
        assert abs((scores <= score).sum() - below) <= 0.01 * len(scores)
