"""Costs and assignments, compared with scipy and with every possible assignment."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, mahalanobis

from tracking.association import ASSIGNMENTS, mahalanobis_distance, near_pairs

costs = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.one_of(st.floats(0, 10), st.just(np.inf)))
)


def random_cov(rng: np.random.Generator, count: int) -> np.ndarray:
    root = rng.normal(0.0, 1.0, (count, 2, 2))
    return root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)


@given(seed=st.integers(0, 999), counts=st.tuples(st.integers(0, 30), st.integers(0, 30)), radius_m=st.floats(0.1, 40))
def test_near_pairs_are_all_pairs_of_a_class_within_reach(seed: int, counts: tuple, radius_m: float) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (rng.integers(-30, 30, (count, 2)).astype(np.float64) for count in counts)
    rows_label, columns_label = (rng.integers(0, 10, count) for count in counts)
    near = (cdist(rows, columns) <= radius_m) & (rows_label[:, None] == columns_label)
    found = near_pairs(rows, rows_label, columns, columns_label, radius_m)
    assert [index.tolist() for index in found] == [index.tolist() for index in np.nonzero(near)]


@pytest.mark.parametrize("radius_m", [0.0, 0.3, 0.9, 1.0, 30.0])
def test_classes_at_one_place_never_pair(radius_m: float) -> None:
    places, label = np.zeros((10, 2)), np.arange(10)
    row, column = near_pairs(places, label, places, label, radius_m)
    assert row.tolist() == column.tolist() == label.tolist()


def test_mahalanobis_distance_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    offset, cov = rng.normal(0.0, 3.0, (9, 2)), random_cov(rng, 9)
    expected = [mahalanobis(row, [0.0, 0.0], np.linalg.inv(own)) for row, own in zip(offset, cov, strict=True)]
    np.testing.assert_allclose(mahalanobis_distance(offset, cov), expected)


def assign(name: str, cost: np.ndarray, gate: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that an assignment picks from a matrix in which `inf` is no pair."""
    rows, columns = np.nonzero(np.isfinite(cost))
    picked = ASSIGNMENTS[name](rows, columns, cost[rows, columns], gate)
    return rows[picked], columns[picked]


@pytest.mark.parametrize("name", ASSIGNMENTS)
@given(cost=costs, gate=st.floats(0.1, 12))
def test_each_track_and_box_once_and_within_the_gate(name: str, cost: np.ndarray, gate: float) -> None:
    rows, columns = assign(name, cost, gate)
    assert len(set(rows.tolist())) == len(rows) == len(columns) == len(set(columns.tolist()))
    assert (cost[rows, columns] < gate).all()


@given(cost=costs, gate=st.floats(0.1, 12))
def test_optimal_assignment_saves_as_much_as_any(cost: np.ndarray, gate: float) -> None:
    rows, columns = assign("optimal", cost, gate)
    saved = float(np.sum(gate - cost[rows, columns]))
    assert saved == pytest.approx(most_saved(np.maximum(gate - cost, 0.0)), abs=1e-9)


def most_saved(saving: np.ndarray) -> float:
    """By trying all assignments."""
    n_rows, n_columns = saving.shape
    smaller = min(n_rows, n_columns)
    best = 0.0
    for rows in combinations(range(n_rows), smaller):
        for columns in permutations(range(n_columns), smaller):
            best = max(best, float(saving[list(rows), list(columns)].sum()))
    return best


@given(cost=costs, gate=st.floats(0.1, 12))
def test_greedy_takes_the_cheapest_pair_that_is_left(cost: np.ndarray, gate: float) -> None:
    left = cost.copy()
    expected = []
    while left.size and left.min() < gate:
        row, column = np.unravel_index(left.argmin(), left.shape)
        expected.append((int(row), int(column)))
        left[row], left[:, column] = np.inf, np.inf
    rows, columns = assign("greedy", cost, gate)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@given(cost=costs, gate=st.floats(0.1, 12))
def test_nearest_serves_the_boxes_in_turn(cost: np.ndarray, gate: float) -> None:
    left = cost.copy()
    expected = []
    for column in range(cost.shape[1]):
        row = int(left[:, column].argmin()) if len(left) else 0
        if len(left) and left[row, column] < gate:
            expected.append((row, column))
            left[row] = np.inf
    rows, columns = assign("nearest", cost, gate)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_optimal_pairs_both_where_greedy_pairs_one() -> None:
    cost = np.array([[1.0, 2.0], [2.0, 9.0]])
    assert len(assign("greedy", cost, 4.0)[0]) == 1
    assert len(assign("optimal", cost, 4.0)[0]) == 2
