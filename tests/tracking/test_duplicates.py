"""Boxes that see again what a better one stands for."""

import numpy as np

from tracking.duplicates import duplicates

CAR, TRUCK = 0, 1
SIZE_WL_M = (2.0, 4.0)


def suppressed(xy_m: list, label: list[int] | None = None, yaw_rad: float = 0.0, ray_cov: list | None = None) -> list:
    count = len(xy_m)
    cov = np.tile(np.zeros((2, 2)) if ray_cov is None else np.array(ray_cov), (count, 1, 1))
    found = duplicates(
        np.array(xy_m, dtype=np.float64),
        np.full(count, yaw_rad),
        np.tile(SIZE_WL_M, (count, 1)),
        np.array(label or [CAR] * count),
        cov,
        reach=1.0,
        ray_sigmas=1.0,
    )
    return found.tolist()


def test_centre_on_the_footprint_of_a_better_box() -> None:
    assert suppressed([(0, 0), (1.9, 0)]) == [False, True]
    assert suppressed([(0, 0), (2.1, 0)]) == [False, False]
    assert suppressed([(0, 0), (0, 0.9)]) == [False, True]
    assert suppressed([(0, 0), (0, 1.1)]) == [False, False]


def test_footprint_turns_with_the_body() -> None:
    assert suppressed([(0, 0), (0, 1.9)], yaw_rad=np.pi / 2) == [False, True]
    assert suppressed([(0, 0), (1.9, 0)], yaw_rad=np.pi / 2) == [False, False]


def test_uncertainty_along_the_ray_adds_reach() -> None:
    along_x = [[9.0, 0.0], [0.0, 0.0]]
    assert suppressed([(0, 0), (3.5, 0)], ray_cov=along_x) == [False, True]
    assert suppressed([(0, 0), (3.7, 0)], ray_cov=along_x) == [False, False]
    assert suppressed([(0, 0), (0, 1.1)], ray_cov=along_x) == [False, False]


def test_other_classes_do_not_count() -> None:
    assert suppressed([(0, 0), (0.5, 0)], label=[CAR, TRUCK]) == [False, False]


def test_what_is_left_out_itself_leaves_nothing_out() -> None:
    assert suppressed([(0, 0), (1.5, 0), (3.0, 0)]) == [False, True, False]


def test_no_boxes() -> None:
    assert suppressed(np.zeros((0, 2))) == []
