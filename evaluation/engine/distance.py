"""Distances between annotations and predicted tracks as the official tracking evaluation computes them.

The devkit takes them from scikit-learn, which expands |a - b|^2 = |a|^2 - 2 a.b + |b|^2 on global coordinates. There
the squares are of the order 1e6 m^2, so rounding leaves up to 1e-5 m where the distance is 0. To agree with the
devkit the same roundings have to happen. They depend on how the linear algebra library under numpy adds the two
products of a.b on this processor, which in turn depends on whether numpy hands it a matrix, a vector or single points:
`product_rounding` finds out by trial.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from scenes.compiled import compiled
from scenes.geometry import FloatArray

PLAIN = 0
"""round(round(x x') + round(y y'))"""
FUSED_Y = 1
"""round(round(x x') + y y')"""
FUSED_X = 2
"""round(x x' + round(y y'))"""


class ProductRounding(NamedTuple):
    """How a.b is rounded in a product of two matrices, in one where exactly one of the two is a single point, in one of
    two single points, and in the norm of a vector."""

    matrix: int
    vector: int
    single: int
    norm: int


@cache
def product_rounding() -> ProductRounding:
    """The roundings of the linear algebra library on this machine."""
    return ProductRounding(
        matrix=_rounding_that_explains([(2, 2), (2, 7), (7, 2), (9, 9)]),
        vector=_rounding_that_explains([(1, 2), (1, 7), (2, 1), (7, 1)]),
        single=_rounding_that_explains([(1, 1)] * 4),
        norm=_rounding_of_norms(),
    )


def _rounding_that_explains(shapes: list[tuple[int, int]]) -> int:
    """The rounding that gives numpy's products of random points for all these shapes; `PLAIN` if none does."""
    rng = np.random.default_rng(0)
    possible = {PLAIN, FUSED_Y, FUSED_X}
    for rows, columns in shapes:
        for _ in range(8):
            a, b = rng.uniform(100, 3000, (rows, 2)), rng.uniform(100, 3000, (columns, 2))
            product = a @ b.T
            for row, column in np.ndindex(rows, columns):
                possible &= _explanations(a[row], b[column], product[row, column])
    return min(possible, default=PLAIN)


def _rounding_of_norms() -> int:
    vectors = np.random.default_rng(0).uniform(-4, 4, (64, 2))
    possible = set.intersection(*(_explanations(vector, vector, vector.dot(vector)) for vector in vectors))
    return min(possible, default=PLAIN)


def _explanations(a: FloatArray, b: FloatArray, product: float) -> set[int]:
    """The roundings under which the product of two points comes out as `product`."""
    candidates = _products(a.tolist(), b.tolist())
    return {rounding for rounding, value in candidates.items() if value == product}


def _products(a: list[float], b: list[float]) -> dict[int, float]:
    """The product of two points under each rounding, from exact fractions."""
    x, y = a[0] * b[0], a[1] * b[1]
    return {
        PLAIN: x + y,
        FUSED_Y: float(Fraction(x) + Fraction(a[1]) * Fraction(b[1])),
        FUSED_X: float(Fraction(a[0]) * Fraction(b[0]) + Fraction(y)),
    }


def _typed_fused_multiply_add(_: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


_fused_multiply_add: Any = intrinsic(_typed_fused_multiply_add)
"""In compiled code `_fused_multiply_add(a, b, c)` is a * b + c, rounded once."""


@compiled(nogil=True)
def rounded_product(a: FloatArray, b: FloatArray, rounding: int) -> float:
    """a.b of two points (2,)."""
    if rounding == FUSED_Y:
        product = _fused_multiply_add(a[1], b[1], a[0] * b[0])
    elif rounding == FUSED_X:
        product = _fused_multiply_add(a[0], b[0], a[1] * b[1])
    else:
        product = a[0] * b[0] + a[1] * b[1]
    return product  # type: ignore[no-any-return]


@compiled(nogil=True)
def expanded_distance(a: FloatArray, b: FloatArray, a_squared: float, b_squared: float, rounding: int) -> float:
    """The distance of two points (2,) whose squared norms are given, metres."""
    product = rounded_product(a, b, rounding)
    distance_m: float = np.sqrt(max(-2.0 * product + a_squared + b_squared, 0.0))
    return distance_m


def squared_norms(points_m: FloatArray) -> FloatArray:
    """(N,) squared distances of (N, 2) points from the origin."""
    norms: FloatArray = np.einsum("ij,ij->i", points_m, points_m)
    return norms
