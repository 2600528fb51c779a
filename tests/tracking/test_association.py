"""Costs and assignments, compared with scipy and with every possible assignment."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, mahalanobis

from tracking.association import (
    ASSIGNMENTS,
    assign_greedy,
    assign_nearest,
    assign_optimal,
    centre_distance,
    mahalanobis_distance,
)

costs = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.one_of(st.floats(0, 10), st.just(np.inf)))
)


def random_cov(rng: np.random.Generator, count: int) -> np.ndarray:
    root = rng.normal(0.0, 1.0, (count, 2, 2))
    return root @ root.transpose(0, 2, 1) + 0.1 * np.eye(2)


def test_centre_distance_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    tracks, boxes = rng.normal(0.0, 30.0, (7, 2)), rng.normal(0.0, 30.0, (9, 2))
    np.testing.assert_allclose(centre_distance(tracks, boxes), cdist(tracks, boxes))


def test_mahalanobis_distance_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    tracks, boxes = rng.normal(0.0, 3.0, (7, 2)), rng.normal(0.0, 3.0, (9, 2))
    tracks_cov, boxes_cov = random_cov(rng, 7), random_cov(rng, 9)
    distance = mahalanobis_distance(tracks, tracks_cov, boxes, boxes_cov)
    for row, column in np.ndindex(7, 9):
        inverse = np.linalg.inv(tracks_cov[row] + boxes_cov[column])
        assert distance[row, column] == pytest.approx(mahalanobis(tracks[row], boxes[column], inverse))


@pytest.mark.parametrize("name", ASSIGNMENTS)
@given(cost=costs, gate=st.floats(0.1, 12))
def test_each_track_and_box_once_and_within_the_gate(name: str, cost: np.ndarray, gate: float) -> None:
    rows, columns = ASSIGNMENTS[name](cost, gate)
    assert len(set(rows.tolist())) == len(rows) == len(columns) == len(set(columns.tolist()))
    assert (cost[rows, columns] < gate).all()


@given(cost=costs, gate=st.floats(0.1, 12))
def test_optimal_assignment_saves_as_much_as_any(cost: np.ndarray, gate: float) -> None:
    rows, columns = assign_optimal(cost, gate)
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
    rows, columns = assign_greedy(cost, gate)
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
    rows, columns = assign_nearest(cost, gate)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_optimal_pairs_both_where_greedy_pairs_one() -> None:
    cost = np.array([[1.0, 2.0], [2.0, 9.0]])
    assert len(assign_greedy(cost, 4.0)[0]) == 1
    assert len(assign_optimal(cost, 4.0)[0]) == 2
