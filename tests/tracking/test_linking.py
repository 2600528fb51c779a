"""Fragments of one object, linked over a whole drive."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from tracking.linking import _assigned, _log_density


def test_densities_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    root = rng.normal(size=(5, 4, 4))
    cov, offset = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(4), rng.normal(size=(5, 4))
    expected = [multivariate_normal(cov=one).logpdf(at) for one, at in zip(cov, offset, strict=True)]
    np.testing.assert_allclose(_log_density(offset, cov), expected)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n_ended=st.integers(1, 4), n_begun=st.integers(1, 4))
def test_no_other_set_of_links_is_worth_more(seed: int, n_ended: int, n_begun: int) -> None:
    """Beside every set in which each fragment has one successor and one predecessor at most."""
    asked = 2.0
    log_odds = np.random.default_rng(seed).normal(1.0, 3.0, (n_ended, n_begun))
    rows, columns = np.indices(log_odds.shape).reshape(2, -1)
    links = list(_assigned(rows, columns, -log_odds.ravel(), -asked))
    assert len({row for row, _ in links}) == len({column for _, column in links}) == len(links)
    worth = [
        sum(log_odds[row, column] - asked for row, column in zip(some_rows, some_columns, strict=True))
        for size in range(min(n_ended, n_begun) + 1)
        for some_rows in itertools.combinations(range(n_ended), size)
        for some_columns in itertools.permutations(range(n_begun), size)
    ]
    assert sum(log_odds[row, column] - asked for row, column in links) == pytest.approx(max(worth))
