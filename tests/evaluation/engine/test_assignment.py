"""The compiled assignment is scipy's, ties included."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from evaluation.engine.assignment import FREE, minimum_cost_assignment

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
TIED_COSTS = st.integers(0, 4).map(float)
ANY_COSTS = st.floats(0, 300, allow_subnormal=False)


def scipy_assignment(cost: np.ndarray) -> np.ndarray:
    column_of_row = np.full(len(cost), FREE)
    rows, columns = linear_sum_assignment(cost)
    column_of_row[rows] = columns
    return column_of_row


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=TIED_COSTS | ANY_COSTS)))
def test_equals_scipy(cost) -> None:
    np.testing.assert_array_equal(minimum_cost_assignment(cost), scipy_assignment(cost))


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=TIED_COSTS)), st.integers(0, 2**32 - 1))
def test_equals_scipy_with_expensive_pairs(cost, seed) -> None:
    large = 2 * min(cost.shape) * (cost.max() + 1) + 1
    cost = np.where(np.random.default_rng(seed).random(cost.shape) < 0.6, large, cost)
    np.testing.assert_array_equal(minimum_cost_assignment(cost), scipy_assignment(cost))


def test_equals_scipy_on_large_matrices() -> None:
    rng = np.random.default_rng(0)
    for rows, columns in [(60, 90), (90, 60), (80, 80)]:
        for cost in (rng.random((rows, columns)), rng.integers(0, 5, (rows, columns)).astype(float)):
            np.testing.assert_array_equal(minimum_cost_assignment(cost), scipy_assignment(cost))
