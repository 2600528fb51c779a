"""Batched motion models, stepped beside filterpy's filters."""

from collections.abc import Callable

import numpy as np
import pytest
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import ExtendedKalmanFilter, KalmanFilter
from scipy.integrate import solve_ivp

from tracking.kalman import kalman_predict, kalman_update, solve_positive
from tracking.motion import (
    MEASUREMENT_SIZE,
    MOTION_MODELS,
    STATE_SIZE,
    Bicycle,
    MotionModel,
)

COUNT = 40
LENGTH_M = 4.5
TURNING = ("constant_turn_rate", "bicycle")


def random_states(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Means of bodies on the road, and covariances of full rank in the columns that the model uses."""
    rng = np.random.default_rng(seed)
    model = MOTION_MODELS[name]
    mean = np.zeros((COUNT, STATE_SIZE))
    if name == "constant_velocity":
        mean[:, : model.size] = rng.normal(0.0, [50.0, 50.0, 8.0, 8.0, 2.0], (COUNT, model.size))
    else:
        mean[:] = rng.normal(0.0, [50.0, 50.0, 2.0, 8.0, 0.04, 1.0], (COUNT, STATE_SIZE))
    root = rng.normal(0.0, 1.0, (COUNT, model.size, model.size))
    cov = np.zeros((COUNT, STATE_SIZE, STATE_SIZE))
    cov[:, : model.size, : model.size] = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(model.size)
    return mean, cov


def random_noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 3.0, (COUNT, 2))


def random_measurements(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Residuals, and covariances: places correlated, the rest independent."""
    rng = np.random.default_rng(seed)
    residual = rng.normal(0.0, 1.0, (COUNT, MEASUREMENT_SIZE))
    root = rng.normal(0.0, 1.0, (COUNT, 2, 2))
    cov = np.zeros((COUNT, MEASUREMENT_SIZE, MEASUREMENT_SIZE))
    cov[:, :2, :2] = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(2)
    cov[:, [2, 3, 4], [2, 3, 4]] = rng.uniform(0.1, 2.0, (COUNT, 3))
    return residual, cov


def predict(model: MotionModel, mean: np.ndarray, cov: np.ndarray, elapsed_s: float, noise: np.ndarray) -> tuple:
    moved, transition = model.move(mean, elapsed_s, np.full(len(mean), LENGTH_M))
    return moved, kalman_predict(cov, transition, model.process_noise(mean, elapsed_s, noise))


@pytest.mark.parametrize("elapsed_s", [0.0, 0.05, 0.5, 1.7])
def test_constant_velocity_steps_as_filterpy_does(elapsed_s: float) -> None:
    model = MOTION_MODELS["constant_velocity"]
    mean, cov = random_states("constant_velocity")
    noise = random_noise()
    residual, measured_cov = random_measurements()
    predicted, predicted_cov = predict(model, mean, cov, elapsed_s, noise)
    expected, jacobian = model.observe(predicted)
    updated, updated_cov = kalman_update(predicted, predicted_cov, residual, jacobian, measured_cov)
    for track in range(COUNT):
        kalman = KalmanFilter(dim_x=5, dim_z=5)
        kalman.x, kalman.P = mean[track, :5].copy(), cov[track, :5, :5].copy()
        kalman.F = np.eye(5)
        kalman.F[0, 2] = kalman.F[1, 3] = elapsed_s
        motion = Q_discrete_white_noise(2, elapsed_s, var=noise[track, 0] ** 2)
        kalman.Q = np.zeros((5, 5))
        kalman.Q[np.ix_([0, 2], [0, 2])] = kalman.Q[np.ix_([1, 3], [1, 3])] = motion
        kalman.Q[4, 4] = (noise[track, 1] * elapsed_s) ** 2
        kalman.H = np.eye(5)[[0, 1, 4, 2, 3]]
        kalman.R = measured_cov[track]
        kalman.predict()
        np.testing.assert_allclose(predicted[track, :5], kalman.x, atol=1e-9)
        np.testing.assert_allclose(predicted_cov[track, :5, :5], kalman.P, atol=1e-9)
        kalman.update(expected[track] + residual[track])
        np.testing.assert_allclose(updated[track, :5], kalman.x, atol=1e-9)
        np.testing.assert_allclose(updated_cov[track, :5, :5], kalman.P, atol=1e-9)


@pytest.mark.parametrize("name", TURNING)
@pytest.mark.parametrize("elapsed_s", [0.05, 0.5])
def test_turning_models_step_as_filterpy_does(name: str, elapsed_s: float) -> None:
    model = MOTION_MODELS[name]
    mean, cov = random_states(name)
    noise = random_noise()
    residual, measured_cov = random_measurements()
    predicted, predicted_cov = predict(model, mean, cov, elapsed_s, noise)
    expected, jacobian = model.observe(predicted)
    updated, updated_cov = kalman_update(predicted, predicted_cov, residual, jacobian, measured_cov)
    _, transition = model.move(mean, elapsed_s, np.full(COUNT, LENGTH_M))
    process_noise = model.process_noise(mean, elapsed_s, noise)
    for track in range(COUNT):
        extended = _Extended(lambda state: driven(name, state, elapsed_s))
        extended.x, extended.P = mean[track].copy(), cov[track].copy()
        extended.F = transition[track]
        extended.Q = process_noise[track]
        extended.R = measured_cov[track]
        extended.predict()
        np.testing.assert_allclose(predicted[track], extended.x, atol=1e-9)
        np.testing.assert_allclose(predicted_cov[track], extended.P, atol=1e-9)
        extended.update(
            expected[track] + residual[track],
            lambda _, row=track: jacobian[row],
            lambda state: model.observe(state[None])[0][0],
        )
        np.testing.assert_allclose(updated[track], extended.x, atol=1e-9)
        np.testing.assert_allclose(updated_cov[track], extended.P, atol=1e-9)


class _Extended(ExtendedKalmanFilter):
    """filterpy's filter with a transition of its own."""

    def __init__(self, transition: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__(dim_x=STATE_SIZE, dim_z=MEASUREMENT_SIZE)
        self._transition = transition

    def predict_x(self, u: float = 0) -> None:
        self.x = self._transition(self.x)


def driven(name: str, state: np.ndarray, elapsed_s: float) -> np.ndarray:
    """The model's differential equation, integrated step by step."""
    acceleration, turning = state[5], state[4]
    rear_m = 0.3 * LENGTH_M

    def rates(_: float, now: np.ndarray) -> list[float]:
        x_y_yaw_speed = now
        yaw, speed = x_y_yaw_speed[2], x_y_yaw_speed[3]
        direction = yaw + turning if name == "bicycle" else yaw
        # The bicycle's yaw rate is that of the start: within a step its slip and speed count as constant there.
        rate = state[3] * np.sin(turning) / rear_m if name == "bicycle" else turning
        return [speed * np.cos(direction), speed * np.sin(direction), rate, acceleration]

    end = solve_ivp(rates, (0.0, elapsed_s), state[:4], method="DOP853", rtol=1e-13, atol=1e-12).y[:, -1]
    return np.concatenate([end, state[4:]])


@pytest.mark.parametrize("name", TURNING)
def test_jacobians_equal_numeric_derivatives(name: str) -> None:
    model = MOTION_MODELS[name]
    mean, _ = random_states(name, seed=5)
    step = 1e-6
    for row in mean[:10]:
        shifted = np.concatenate([row + step * np.eye(STATE_SIZE), row - step * np.eye(STATE_SIZE)])
        moved, _ = model.move(shifted, 0.5, np.full(2 * STATE_SIZE, LENGTH_M))
        seen, _ = model.observe(shifted)
        numeric_transition = (moved[:STATE_SIZE] - moved[STATE_SIZE:]).T / (2 * step)
        numeric_jacobian = (seen[:STATE_SIZE] - seen[STATE_SIZE:]).T / (2 * step)
        _, transition = model.move(row[None], 0.5, np.full(1, LENGTH_M))
        np.testing.assert_allclose(transition[0], numeric_transition, atol=2e-7)
        np.testing.assert_allclose(model.observe(row[None])[1][0], numeric_jacobian, atol=2e-7)


@pytest.mark.parametrize("name", MOTION_MODELS)
def test_covariances_stay_symmetric_and_positive(name: str) -> None:
    model = MOTION_MODELS[name]
    mean, cov = random_states(name, seed=3)
    for step in range(60):
        mean, cov = predict(model, mean, cov, 0.5, random_noise(step))
        residual, measured_cov = random_measurements(step)
        mean, cov = kalman_update(mean, cov, 0.1 * residual, model.observe(mean)[1], measured_cov)
    np.testing.assert_allclose(cov, cov.transpose(0, 2, 1), atol=1e-12)
    assert np.linalg.eigvalsh(cov[:, : model.size, : model.size]).min() > 0.0


@pytest.mark.parametrize("name", MOTION_MODELS)
def test_tracks_begin_where_and_as_fast_as_their_box(name: str) -> None:
    model = MOTION_MODELS[name]
    yaw = np.array([0.4, -2.0])
    velocity = 6.0 * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    measured = np.column_stack([[[10.0, 20.0], [30.0, 40.0]], yaw, velocity])
    _, measured_cov = random_measurements()
    known = np.array([True, False])
    mean, cov = model.start(measured, measured_cov[:2], known, np.array([4.0, 4.0]))
    seen, _ = model.observe(mean)
    np.testing.assert_allclose(seen[0], measured[0], atol=1e-12)
    np.testing.assert_allclose(seen[1], [*measured[1, :3], 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(cov[:, :2, :2], measured_cov[:2, :2, :2])
    assert np.linalg.eigvalsh(cov[:, : model.size, : model.size]).min() > 0.0


def test_solving_equals_numpys() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(0.0, 1.0, (COUNT, 5, 5))
    matrix, right = root @ root.transpose(0, 2, 1) + 0.01 * np.eye(5), rng.normal(0.0, 1.0, (COUNT, 5, 6))
    np.testing.assert_allclose(solve_positive(matrix, right), np.linalg.solve(matrix, right), rtol=1e-8, atol=1e-10)


def test_unknown_velocity_lies_along_the_body() -> None:
    model = MOTION_MODELS["constant_velocity"]
    measured = np.array([[0.0, 0.0, np.pi / 2, 0.0, 0.0]])
    _, cov = model.start(measured, np.eye(5)[None], np.array([False]), np.array([4.0]))
    np.testing.assert_allclose(cov[0, 2:4, 2:4], [[1.0, 0.0], [0.0, 16.0]], atol=1e-12)


@pytest.mark.parametrize("name", MOTION_MODELS)
def test_turned_around_bodies_move_as_before(name: str) -> None:
    model = MOTION_MODELS[name]
    mean, cov = random_states(name, seed=4)
    if name == "bicycle":
        mean[:, 4] = 0.0  # which axle steers is the one thing that front and rear decide
    turned = model.turn_around(mean)
    before, _ = model.observe(mean)
    after, _ = model.observe(turned)
    np.testing.assert_allclose(after[:, [0, 1, 3, 4]], before[:, [0, 1, 3, 4]], atol=1e-12)
    np.testing.assert_allclose(np.cos(after[:, 2] - before[:, 2]), -1.0)
    noise = random_noise()
    straight, _ = predict(model, mean, cov, 0.5, noise)
    backwards, _ = predict(model, turned, cov, 0.5, noise)
    np.testing.assert_allclose(backwards[:, :2], straight[:, :2], atol=1e-9)


def test_bicycle_turns_only_while_it_moves() -> None:
    mean = np.array([[0.0, 0.0, 0.3, 0.0, 0.4, 0.0]])
    moved, _ = predict(Bicycle(), mean, np.zeros((1, STATE_SIZE, STATE_SIZE)), 1.0, np.ones((1, 2)))
    np.testing.assert_allclose(moved, mean)
