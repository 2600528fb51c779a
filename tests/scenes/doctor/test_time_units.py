"""Units of timestamps, of dates and of times that begin anywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes.doctor.time_units import MICROSECOND_S, UNITS, tick_s


@given(
    tick=st.sampled_from(sorted(UNITS)),
    year=st.floats(2001, 2099),
    step_s=st.floats(0.02, 2.0),
    frames=st.integers(1, 20),
)
def test_the_unit_of_dates_is_found(tick: float, year: float, step_s: float, frames: int) -> None:
    stamps = ((year - 1970) * 365.2425 * 86_400 + step_s * np.arange(frames)) / tick
    assert tick_s(stamps) == tick


@given(
    tick=st.sampled_from(sorted(UNITS)),
    start_s=st.floats(0, 1e5),
    step_s=st.floats(0.02, 1.5),  # two seconds in milliseconds are two milliseconds in microseconds
    jitter=st.floats(0, 0.2),
    data=st.data(),
)
def test_the_unit_of_other_times_is_found_by_their_steps(tick, start_s, step_s, jitter, data) -> None:
    frames = 12
    noise = jitter * step_s * np.sin(np.arange(frames))
    stamps = (start_s + step_s * np.arange(frames) + noise) / tick
    order = np.array(data.draw(st.permutations(range(frames))))
    assert tick_s(stamps[order], ["drive"] * frames) == tick


@pytest.mark.parametrize("stamps", [[], [np.nan], [np.nan, np.inf], [5.0, 5.0], [1e300, -1e300]])
def test_without_a_hint_they_are_microseconds(stamps) -> None:
    assert tick_s(np.array(stamps, dtype=np.float64), [0] * len(stamps)) == MICROSECOND_S


def test_steps_are_those_within_a_drive() -> None:
    """Two drives a day apart, in milliseconds, each of three frames."""
    stamps = np.array([0.0, 100.0, 200.0, 86_400_000.0, 86_400_100.0, 86_400_200.0])
    assert tick_s(stamps, ["a"] * 3 + ["b"] * 3) == 1e-3
