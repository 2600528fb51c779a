"""How far a body may be from the line between its neighbours in time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scenes.doctor.ego_motion import HARDEST_MPS2, deviations_m

STEPS = st.lists(st.floats(0.02, 1.0), min_size=2, max_size=12)
VECTOR = st.tuples(st.floats(-30, 30), st.floats(-30, 30), st.floats(-3, 3))


@given(steps=STEPS, velocity=VECTOR, start=VECTOR)
def test_straight_drives_lie_on_the_line(steps, velocity, start) -> None:
    time_s = np.cumsum([0.0, *steps])
    off, most = deviations_m(time_s, np.array(start) + time_s[:, None] * np.array(velocity))
    np.testing.assert_allclose(off, 0.0, atol=1e-9)
    assert (most > 0).all()


@given(steps=STEPS, velocity=VECTOR, share=st.floats(0, 1), angle=st.floats(0, 6.3))
def test_even_acceleration_comes_as_far_as_it_may(steps, velocity, share, angle) -> None:
    """The formula is exact for it: a d1 d2 / 2."""
    time_s = np.cumsum([0.0, *steps])
    acceleration = share * HARDEST_MPS2 * np.array([np.cos(angle), np.sin(angle), 0.0])
    place = time_s[:, None] * np.array(velocity) + 0.5 * time_s[:, None] ** 2 * acceleration
    off, most = deviations_m(time_s, place)
    np.testing.assert_allclose(off, share * most, atol=1e-8)


@given(steps=STEPS, seed=st.integers(0, 1000))
def test_whatever_a_body_does_below_the_hardest_acceleration_is_allowed(steps, seed) -> None:
    """An acceleration that changes every millisecond, integrated."""
    rng = np.random.default_rng(seed)
    time_s = np.round(np.cumsum([0.0, *steps]), 3)
    fine = round(1000 * time_s[-1])
    angle = rng.uniform(0, 2 * np.pi, fine // 50 + 1).repeat(50)[:fine]
    acceleration = HARDEST_MPS2 * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(fine)])
    velocity = np.vstack([np.zeros((1, 3)), np.cumsum(1e-3 * acceleration, axis=0)])
    middle = 0.5 * (velocity[:-1] + velocity[1:])
    place = np.vstack([np.zeros((1, 3)), np.cumsum(1e-3 * middle, axis=0)])
    off, most = deviations_m(time_s, place[np.round(1000 * time_s).astype(int)])
    assert (off <= most + 1e-6).all()
