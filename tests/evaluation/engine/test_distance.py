"""Distances are scikit-learn's to the last bit, whatever the shape of the matrix and the processor."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import euclidean_distances

from evaluation.engine.distance import (
    FUSED_X,
    FUSED_Y,
    PLAIN,
    ProductRounding,
    expanded_distance,
    product_rounding,
    rounded_product,
    squared_norms,
)


def rounding_of_shape(rounding: ProductRounding, rows: int, columns: int) -> int:
    """The one of a product of (rows, 2) with (2, columns)."""
    if rows == columns == 1:
        return rounding.single
    return rounding.vector if 1 in (rows, columns) else rounding.matrix


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
@pytest.mark.parametrize("columns", [1, 2, 5, 40])
def test_equals_scikit_learn(rows, columns) -> None:
    rng = np.random.default_rng(rows * 100 + columns)
    for _ in range(20):
        a = rng.uniform(0, 3000, (rows, 2))
        b = np.concatenate([a, rng.uniform(0, 3000, (columns, 2))])[:columns].copy()
        rounding = rounding_of_shape(product_rounding(), rows, columns)
        ours = [
            [expanded_distance(p, q, pp, qq, rounding) for q, qq in zip(b, squared_norms(b), strict=True)]
            for p, pp in zip(a, squared_norms(a), strict=True)
        ]
        np.testing.assert_array_equal(ours, euclidean_distances(a, b))


@pytest.mark.parametrize("kernels", [pytest.param("Prescott", marks=pytest.mark.slow), "Haswell"])
def test_equals_scikit_learn_on_other_processors(kernels) -> None:
    """The linear algebra library runs other kernels on older processors, of which each rounds in its own way."""
    own_tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "scikit_learn and not other",
    ]
    ran = subprocess.run(own_tests, env=os.environ | {"OPENBLAS_CORETYPE": kernels}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


coordinate = st.floats(-3000.0, 3000.0)
point = st.tuples(coordinate, coordinate)


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
        distance_m = expanded_distance(np.array(a), np.array(b), 9e6, 9e6, rounding)
        assert distance_m == np.sqrt(max(-2.0 * expected + 9e6 + 9e6, 0.0))


def exactly(a: list[float], b: list[float], rounding: int) -> float:
    """a.b of two points as a library that rounds so gives it; one of no known rounding is a little off."""
    x, y = (Fraction(mine) * Fraction(theirs) for mine, theirs in zip(a, b, strict=True))
    if rounding == PLAIN:
        return float(x) + float(y)
    if rounding == FUSED_Y:
        return float(Fraction(float(x)) + y)
    if rounding == FUSED_X:
        return float(x + Fraction(float(y)))
    return 1.5 * float(x + y)


class Points(np.ndarray):
    """Points of a library that rounds products of matrices, of single points, and norms, in its own ways."""

    rounding = ProductRounding(PLAIN, PLAIN, PLAIN, PLAIN)

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        rounding = rounding_of_shape(self.rounding, self.shape[0], other.shape[1])
        rows = [[exactly(a, b, rounding) for b in other.T.tolist()] for a in self.tolist()]
        return np.array(rows).view(Points)

    def dot(self, other: np.ndarray) -> float:
        return exactly(self.tolist(), other.tolist(), self.rounding.norm)


class PointsGenerator(np.random.Generator):
    def uniform(self, *arguments: object) -> np.ndarray:
        return super().uniform(*arguments).view(Points)


UNKNOWN = 3


@pytest.mark.parametrize(
    "rounding",
    [
        *(ProductRounding(*kinds) for kinds in permutations((PLAIN, FUSED_Y, FUSED_X, UNKNOWN))),
        *(ProductRounding(kind, kind, kind, kind) for kind in (PLAIN, FUSED_Y, FUSED_X, UNKNOWN)),
    ],
)
def test_the_rounding_of_a_library_is_found_out(rounding: ProductRounding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Points, "rounding", rounding)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: PointsGenerator(np.random.PCG64(seed)))
    found = product_rounding.__wrapped__()
    assert found == ProductRounding(*(PLAIN if kind == UNKNOWN else kind for kind in rounding))


def test_distances_of_equal_points_are_never_imaginary() -> None:
    """The expanded square of nearly nothing may come out below zero."""
    here = np.array([1210.3, 1840.7])
    assert expanded_distance(here, here, 0.0, 0.0, PLAIN) == 0.0
