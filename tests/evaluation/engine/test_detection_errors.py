"""The five errors of true positives, against their definitions, box by box."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.engine.detection_errors import detection_errors, running_mean
from scenes import Boxes3D

ATTRIBUTES = ["", "vehicle.moving", "vehicle.parked"]
metres = st.floats(-1e3, 1e3)
sizes = st.floats(0.1, 20.0)
yaws = st.floats(-math.pi, math.pi)
number = st.one_of(st.floats(-30.0, 30.0), st.just(math.nan))
rows = st.lists(
    st.tuples(
        st.tuples(metres, metres, metres),
        st.tuples(sizes, sizes, sizes),
        yaws,
        st.tuples(number, number),
        st.sampled_from(ATTRIBUTES),
    ),
    min_size=1,
    max_size=4,
)


def boxes(of: list, norm: float = 1.0, named: bool = True) -> Boxes3D:
    """Boxes whose quaternions have such a norm."""
    center, size, yaw, velocity, attribute = zip(*of, strict=True)
    half = 0.5 * np.array(yaw)
    zero = np.zeros(len(of))
    return Boxes3D(
        center_m=np.array(center),
        size_wlh_m=np.array(size),
        rotation=norm * np.column_stack([np.cos(half), zero, zero, np.sin(half)]),
        velocity_mps=np.array(velocity),
        label=np.zeros(len(of), dtype=np.int64),
        score=np.ones(len(of)),
        attribute=np.array(attribute, dtype=np.str_) if named else None,
    )


def expected(truth: tuple, guess: tuple, class_name: str) -> dict[str, float]:
    period = math.pi if class_name == "barrier" else 2.0 * math.pi
    turns = [abs(truth[2] - guess[2] + turn * period) for turn in range(-2, 3)]
    overlap = math.prod(map(min, truth[1], guess[1]))
    union = math.prod(truth[1]) + math.prod(guess[1]) - overlap
    velocity = [mine - theirs for mine, theirs in zip(truth[3], guess[3], strict=True)]
    return {
        "trans_err": math.hypot(truth[0][0] - guess[0][0], truth[0][1] - guess[0][1]),
        "scale_err": 1.0 - overlap / union,
        "orient_err": min(turns),
        "vel_err": math.nan if any(map(math.isnan, velocity)) else math.hypot(*velocity),
        "attr_err": math.nan if not truth[4] else float(truth[4] != guess[4]),
    }


@given(pairs=st.tuples(rows, rows), class_name=st.sampled_from(["car", "barrier"]), norm=st.floats(0.999, 1.001))
def test_errors_are_those_of_their_definitions(pairs: tuple[list, list], class_name: str, norm: float) -> None:
    count = min(map(len, pairs))
    truth, guess = (of[:count] for of in pairs)
    found = detection_errors(boxes(truth), boxes(guess, norm), thin=class_name == "barrier")
    for index in range(count):
        for name, value in expected(truth[index], guess[index], class_name).items():
            assert found[name][index] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    assert set(found) == set(expected(truth[0], guess[0], class_name))


@given(pairs=st.tuples(rows, rows))
def test_without_attributes_there_is_none_to_get_right(pairs: tuple[list, list]) -> None:
    count = min(map(len, pairs))
    truth, guess = (of[:count] for of in pairs)
    undefined = detection_errors(boxes(truth, named=False), boxes(guess), thin=False)["attr_err"]
    assert undefined.shape == (count,) and np.isnan(undefined).all()
    named = np.array([bool(row[4]) for row in truth])
    errors = detection_errors(boxes(truth), boxes(guess, named=False), thin=False)["attr_err"]
    assert np.array_equal(errors, np.where(named, 1.0, np.nan), equal_nan=True)


def test_a_zero_quaternion_looks_ahead() -> None:
    row = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.5, (0.0, 0.0), "")
    assert detection_errors(boxes([row]), boxes([row], norm=0.0), thin=False)["orient_err"] == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("values", "means"),
    [
        ([1.0, 3.0, 5.0], [1.0, 2.0, 3.0]),
        ([np.nan, 3.0, np.nan, 5.0], [0.0, 3.0, 3.0, 4.0]),
        ([np.nan, np.nan], [1.0, 1.0]),
        ([], []),
    ],
)
def test_a_running_mean_leaves_out_what_is_not_defined(values: list[float], means: list[float]) -> None:
    assert running_mean(np.array(values)).tolist() == means
