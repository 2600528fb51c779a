"""Distances are scikit-learn's to the last bit, whatever the shape of the matrix."""

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import euclidean_distances

from evaluation.engine.distance import (
    FUSED_X,
    FUSED_Y,
    PLAIN,
    expanded_distance,
    product_rounding,
    rounded_product,
    squared_norms,
)


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
@pytest.mark.parametrize("columns", [1, 2, 5, 40])
def test_equals_scikit_learn(rows, columns) -> None:
    rng = np.random.default_rng(rows * 100 + columns)
    for _ in range(20):
        a = rng.uniform(0, 3000, (rows, 2))
        b = np.concatenate([a, rng.uniform(0, 3000, (columns, 2))])[:columns].copy()
        rounding = product_rounding().vector if (rows == 1) != (columns == 1) else product_rounding().matrix
        ours = [
            [expanded_distance(p, q, pp, qq, rounding) for q, qq in zip(b, squared_norms(b), strict=True)]
            for p, pp in zip(a, squared_norms(a), strict=True)
        ]
        np.testing.assert_array_equal(ours, euclidean_distances(a, b))


coordinate = st.floats(-3000.0, 3000.0)
point = st.tuples(coordinate, coordinate)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="fused products are machine instructions")
@given(a=point, b=point)
def test_products_are_rounded_as_they_are_named(a: tuple[float, float], b: tuple[float, float]) -> None:
    """Also those that this machine's linear algebra does not round so."""
    x, y = (Fraction(mine) * Fraction(theirs) for mine, theirs in zip(a, b, strict=True))
    for rounding, expected in (
        (PLAIN, a[0] * b[0] + a[1] * b[1]),
        (FUSED_Y, float(Fraction(a[0] * b[0]) + y)),
        (FUSED_X, float(x + Fraction(a[1] * b[1]))),
    ):
        assert rounded_product(np.array(a), np.array(b), rounding) == expected


def test_distances_of_equal_points_are_never_imaginary() -> None:
    """The expanded square of nearly nothing may come out below zero."""
    here = np.array([1210.3, 1840.7])
    assert expanded_distance(here, here, 0.0, 0.0, PLAIN) == 0.0
