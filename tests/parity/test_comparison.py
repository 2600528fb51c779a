"""Differences: where the largest lies, and what is never tolerated."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from parity.comparison import Comparison


@given(hnp.arrays(np.float32, (3, 4), elements=st.floats(-10, 10, width=32)), st.integers(0, 11))
def test_largest_difference_and_its_place(recorded: np.ndarray, flat: int) -> None:
    place = np.unravel_index(flat, recorded.shape)
    actual = recorded.astype(np.float64)
    actual[place] += 0.5
    comparison = Comparison()
    comparison.within("x", actual, recorded, 0.2)
    assert comparison.worst is not None and not comparison.agrees
    assert comparison.worst.place == f"[{place[0]}, {place[1]}]"
    assert comparison.worst.size == pytest.approx(0.5) and comparison.worst.ratio == pytest.approx(2.5)


def test_relative_size_decides_between_arrays() -> None:
    comparison = Comparison()
    comparison.within("coarse", [1.0], [1.5], 1.0)
    comparison.within("fine", [1.0], [1.1], 0.11)
    assert comparison.agrees and comparison.worst is not None and comparison.worst.array == "fine"


@pytest.mark.parametrize("pair", [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf)])
def test_number_beside_none_is_never_tolerated(pair: tuple[float, float]) -> None:
    comparison = Comparison()
    comparison.within("x", [pair[0]], [pair[1]], 1e9)
    assert not comparison.agrees


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.0])
def test_same_values_agree(value: float) -> None:
    comparison = Comparison()
    comparison.equal("x", [value], [value])
    assert comparison.agrees and comparison.worst is not None and comparison.worst.ratio == 0


def test_other_shape_is_never_tolerated() -> None:
    comparison = Comparison()
    comparison.within("x", np.zeros((1, 3)), np.zeros(3), 1e9)
    assert not comparison.agrees and "shape" in str(comparison.worst)


def test_absence_is_never_tolerated() -> None:
    comparison = Comparison()
    comparison.lacks("x", "is missing")
    assert not comparison.agrees and "x is missing" in str(comparison.worst)


def test_nothing_differs_in_empty_arrays() -> None:
    comparison = Comparison()
    comparison.equal("x", np.zeros((0, 2)), np.zeros((0, 2)))
    assert comparison.agrees and comparison.compared == ["x"]
