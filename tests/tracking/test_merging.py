"""Boxes of several files that are one object."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import Boxes3D
from tracking import BoxErrors, TrackerConfig
from tracking.class_table import ClassTable
from tracking.measurement import Measured, measured_boxes, ray_covariance
from tracking.merging import merged, same_objects

CONFIG = TrackerConfig()
TABLE = ClassTable.from_config(CONFIG)


def as_measured(boxes: Boxes3D, log_odds: float = 0.0) -> Measured:
    place_cov = ray_covariance(boxes.center_m[:, :2], CONFIG.noise, np.zeros(2))
    known = np.full(len(boxes), log_odds)
    return measured_boxes(np.arange(len(boxes)), boxes, known, CONFIG, TABLE, BoxErrors.unknown(), place_cov)


def test_boxes_of_two_files_that_are_near_are_one_object(boxes_at) -> None:
    parts = [as_measured(boxes_at([(20.0, 0.0), (20.0, 9.0)])), as_measured(boxes_at([(40.0, 0.0), (20.5, 9.2)]))]
    assert [number.tolist() for number in same_objects(parts, TABLE, 3.5)] == [[0, 1], [2, 1]]
    assert [number.tolist() for number in same_objects(parts, TABLE, 0.1)] == [[0, 1], [2, 3]]


def test_boxes_of_different_classes_are_different_objects(boxes_at) -> None:
    car, truck = boxes_at([(20.0, 0.0)]), boxes_at([(20.0, 0.0)], label=np.array([1]))
    assert [number.tolist() for number in same_objects([as_measured(car), as_measured(truck)], TABLE, 3.5)] == [
        [0],
        [1],
    ]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), counts=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_the_pairs_are_those_of_least_total_cost(seed: int, counts: tuple[int, int], boxes_at) -> None:
    """Beside every way to pair the boxes of two files."""
    rng, gate = np.random.default_rng(seed), 2.0
    parts = [as_measured(boxes_at(rng.uniform(18.0, 22.0, (count, 2)))) for count in counts]
    first, second = (part.planar[:, :2] for part in parts)
    cov = [part.planar_cov[:, :2, :2] for part in parts]

    def cost(pairs) -> float:
        total = gate * (len(first) - len(pairs))
        for i, j in pairs:
            offset = second[j] - first[i]
            sigmas = np.sqrt(offset @ np.linalg.inv(cov[0][i] + cov[1][j]) @ offset)
            total += np.inf if np.hypot(*offset) > TABLE.gate_m[0] else min(sigmas, np.inf)
        return total

    found = same_objects(parts, TABLE, gate)
    assert all(len(set(number.tolist())) == len(number) for number in found)
    pairs = [(i, j) for j, i in enumerate(found[1].tolist()) if i < len(first)]
    every = (
        list(zip(rows, columns, strict=True))
        for size in range(min(counts) + 1)
        for rows in itertools.combinations(range(counts[0]), size)
        for columns in itertools.permutations(range(counts[1]), size)
    )
    assert cost(pairs) == pytest.approx(min(map(cost, every)))


def test_the_merged_box_is_a_mean_in_which_probable_boxes_count_more(boxes_at) -> None:
    sure = as_measured(boxes_at([(20.0, 0.0)], velocity_mps=[[4.0, 0.0]]), log_odds=np.log(3.0))
    unsure = as_measured(boxes_at([(20.0, 0.0)], size_wlh_m=np.array([[2.9, 4.5, 1.6]])), log_odds=-np.log(3.0))
    (box,) = (merged([sure, unsure], [np.array([0]), np.array([0])], 1),)
    np.testing.assert_allclose(box.size_wlh_m, [[1.9 + 0.25, 4.5, 1.6]])  # 0.75 against 0.25
    np.testing.assert_allclose(box.velocity_mps, [[4.0, 0.0]])  # the other one's is unknown


def test_objects_with_a_single_box_are_that_box(boxes_at) -> None:
    parts = [as_measured(boxes_at([(20.0, 0.0), (30.0, 5.0)])), as_measured(boxes_at([(-9.0, 3.0)]))]
    boxes = merged(parts, [np.array([2, 0]), np.array([1])], 3)
    np.testing.assert_allclose(boxes.center_m[:, :2], [(30.0, 5.0), (-9.0, 3.0), (20.0, 0.0)])
    assert np.isnan(boxes.velocity_mps).all()
