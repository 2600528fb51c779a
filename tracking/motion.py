"""Batched Kalman filters of planar motion: constant velocity, constant turn rate and acceleration, bicycle.

Every model filters all of its tracks at once and reads the same measurement of a box,

    z = (x, y, yaw, vx, vy)        metres, radians, metres per second, global frame,

so that models can be exchanged class by class. Unknown velocities take no part in an update. States are padded to
`STATE_SIZE` columns:

    constant velocity              x, y, vx, vy, yaw
    constant turn rate and accel.  x, y, yaw, speed, yaw rate, acceleration
    bicycle                        x, y, yaw, speed, slip angle, acceleration

The bicycle's slip angle beta is the angle between the body and the motion of its centre; the body turns at
`speed * sin(beta) / rear_m` (kinematic bicycle, Kong et al. 2015), where `rear_m` is the way from the rear axle to
the centre. Both turning models move along the arc exactly, by Gauss-Legendre quadrature, which needs no special
case for straight motion.

The arithmetic equals `filterpy.kalman.KalmanFilter` and `ExtendedKalmanFilter` with the matrices of filterpy's
builders, `Q_discrete_white_noise` and `kinematic_state_transition`. Times may differ from track to track.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray, wrap_angle

STATE_SIZE = 6
MEASUREMENT_SIZE = 5

Seconds = float | FloatArray
"""One time for all N tracks, or (N,)."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)  # type: ignore[no-untyped-call]

_MOST_TURN_RADPS = 2.0
"""No road user turns faster; keeps a filter that has lost its object from spinning."""

_REAR_SHARE = 0.3
"""Rear axle to centre as a share of the body's length: half of a wheelbase of 0.6 lengths."""


class MotionModel(Protocol):
    """Stateless arithmetic over the states of N tracks. Every state begins with x, y."""

    size: int

    def start(
        self, measured: FloatArray, measured_cov: FloatArray, has_velocity: NDArray[np.bool_], speed_std_mps: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean (N, STATE_SIZE) and covariance (N, STATE_SIZE, STATE_SIZE) of tracks born from boxes.

        Args:
            measured: (N, 5) boxes as z.
            measured_cov: (N, 5, 5) its covariance.
            has_velocity: (N,) whether the velocity was measured; if not it starts at 0.
            speed_std_mps: (N,) spread of speeds in the class, the prior of an unmeasured velocity.
        """

    def move(self, mean: FloatArray, elapsed_s: Seconds, length_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The mean after `elapsed_s`, and its Jacobian by the mean (N, STATE_SIZE, STATE_SIZE).

        Args:
            length_m: (N,) body lengths.
        """

    def process_noise(self, mean: FloatArray, elapsed_s: Seconds, noise: FloatArray) -> FloatArray:
        """(N, STATE_SIZE, STATE_SIZE) covariance that `elapsed_s` add to states that started as `mean`.

        Args:
            noise: (N, 2) standard deviations of acceleration (m/s2) and of yaw acceleration (rad/s2).
        """

    def observe(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The expected measurement (N, 5) and its Jacobian (N, 5, STATE_SIZE)."""

    def turn_around(self, mean: FloatArray) -> FloatArray:
        """The same motion of bodies whose front and rear are exchanged."""


class ConstantVelocity:
    """Linear: x, y, vx, vy, yaw, where the yaw is a random walk apart from the motion."""

    size = 5

    def start(
        self, measured: FloatArray, measured_cov: FloatArray, has_velocity: NDArray[np.bool_], speed_std_mps: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.start`. An unmeasured velocity is likelier along the body than across it."""
        count = len(measured)
        mean = np.zeros((count, STATE_SIZE))
        mean[:, :2] = measured[:, :2]
        mean[:, 2:4] = np.where(has_velocity[:, None], measured[:, 3:5], 0.0)
        mean[:, 4] = measured[:, 2]
        cov = np.zeros((count, STATE_SIZE, STATE_SIZE))
        cov[:, :2, :2] = measured_cov[:, :2, :2]
        prior = _velocity_prior(measured[:, 2], speed_std_mps)
        cov[:, 2:4, 2:4] = np.where(has_velocity[:, None, None], measured_cov[:, 3:5, 3:5], prior)
        cov[:, 4, 4] = measured_cov[:, 2, 2]
        return mean, cov

    def move(self, mean: FloatArray, elapsed_s: Seconds, length_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.move`."""
        transition = np.tile(np.eye(STATE_SIZE), (len(mean), 1, 1))
        transition[:, 0, 2] = transition[:, 1, 3] = elapsed_s
        moved = mean.copy()
        moved[:, 0] += elapsed_s * mean[:, 2]
        moved[:, 1] += elapsed_s * mean[:, 3]
        return moved, transition

    def process_noise(self, mean: FloatArray, elapsed_s: Seconds, noise: FloatArray) -> FloatArray:
        """See `MotionModel.process_noise`."""
        added = np.zeros((len(mean), STATE_SIZE, STATE_SIZE))
        white = noise[:, 0, None, None] ** 2 * _white_noise(2, elapsed_s)
        added[:, 0:4:2, 0:4:2] = added[:, 1:4:2, 1:4:2] = white
        added[:, 4, 4] = (noise[:, 1] * elapsed_s) ** 2
        return added

    def observe(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.observe`."""
        jacobian = np.zeros((MEASUREMENT_SIZE, STATE_SIZE))
        jacobian[[0, 1, 2, 3, 4], [0, 1, 4, 2, 3]] = 1.0
        return mean @ jacobian.T, np.broadcast_to(jacobian, (len(mean), *jacobian.shape))

    def turn_around(self, mean: FloatArray) -> FloatArray:
        """See `MotionModel.turn_around`: only the yaw changes."""
        turned = mean.copy()
        turned[:, 4] = wrap_angle(mean[:, 4] + np.pi)
        return turned


class _ArcModel:
    """What the two turning models share: x, y, yaw, speed, [turning], acceleration."""

    size = 6

    def start(
        self, measured: FloatArray, measured_cov: FloatArray, has_velocity: NDArray[np.bool_], speed_std_mps: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.start`. The speed is the measured velocity along the body."""
        count = len(measured)
        heading = np.stack([np.cos(measured[:, 2]), np.sin(measured[:, 2])], axis=1)
        along = np.einsum("ni,ni->n", heading, measured[:, 3:5])
        mean = np.zeros((count, STATE_SIZE))
        mean[:, :3] = measured[:, :3]
        mean[:, 3] = np.where(has_velocity, along, 0.0)
        cov = np.zeros((count, STATE_SIZE, STATE_SIZE))
        cov[:, :3, :3] = measured_cov[:, :3, :3]
        measured_var = np.einsum("ni,nij,nj->n", heading, measured_cov[:, 3:5, 3:5], heading)
        cov[:, 3, 3] = np.where(has_velocity, measured_var, speed_std_mps**2)
        cov[:, 4, 4] = self.turning_std**2
        cov[:, 5, 5] = 1.0
        return mean, cov

    turning_std = 0.2
    """Spread of the fifth state at birth."""

    def observe(self, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.observe`."""
        direction, by_yaw, by_turning = self._direction(mean)
        cos, sin = np.cos(direction), np.sin(direction)
        speed = mean[:, 3]
        expected = np.column_stack([mean[:, :3], speed * cos, speed * sin])
        jacobian = np.zeros((len(mean), MEASUREMENT_SIZE, STATE_SIZE))
        jacobian[:, [0, 1, 2], [0, 1, 2]] = 1.0
        jacobian[:, 3, 2], jacobian[:, 4, 2] = -speed * sin * by_yaw, speed * cos * by_yaw
        jacobian[:, 3, 3], jacobian[:, 4, 3] = cos, sin
        jacobian[:, 3, 4], jacobian[:, 4, 4] = -speed * sin * by_turning, speed * cos * by_turning
        return expected, jacobian

    def turn_around(self, mean: FloatArray) -> FloatArray:
        """See `MotionModel.turn_around`: the same path, driven backwards."""
        turned = mean.copy()
        turned[:, 2] = wrap_angle(mean[:, 2] + np.pi)
        turned[:, [3, 5]] *= -1.0
        return turned

    def _direction(self, mean: FloatArray) -> tuple[FloatArray, float, float]:
        """Direction of motion (N,), and how it changes with yaw and with the fifth state."""
        raise NotImplementedError

    def process_noise(self, mean: FloatArray, elapsed_s: Seconds, noise: FloatArray) -> FloatArray:
        """See `MotionModel.process_noise`: white jerk along the path, white yaw acceleration."""
        direction, _, _ = self._direction(mean)
        along = _white_noise(3, elapsed_s)
        turning = _white_noise(2, elapsed_s)
        count = len(direction)
        basis = np.zeros((count, STATE_SIZE, 3))
        basis[:, 0, 0], basis[:, 1, 0] = np.cos(direction), np.sin(direction)
        basis[:, 3, 1] = basis[:, 5, 2] = 1.0
        added: FloatArray = noise[:, 0, None, None] ** 2 * (basis @ along @ basis.transpose(0, 2, 1))
        added[:, 2:5:2, 2:5:2] += noise[:, 1, None, None] ** 2 * turning
        # The path is never exactly an arc: what moves along it also drifts across.
        across = noise[:, 0] ** 2 * turning[..., 0, 0] * 0.25
        added[:, 0, 0] += across * np.sin(direction) ** 2
        added[:, 1, 1] += across * np.cos(direction) ** 2
        added[:, 0, 1] -= across * np.sin(direction) * np.cos(direction)
        added[:, 1, 0] -= across * np.sin(direction) * np.cos(direction)
        return added


class ConstantTurnRateAcceleration(_ArcModel):
    """x, y, yaw, speed, yaw rate, acceleration: the body moves where it looks."""

    def move(self, mean: FloatArray, elapsed_s: Seconds, length_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.move`."""
        yaw, speed, acceleration = mean[:, 2], mean[:, 3], mean[:, 5]
        yaw_rate = np.clip(mean[:, 4], -_MOST_TURN_RADPS, _MOST_TURN_RADPS)
        moved, by_arc = _arc(yaw, speed, yaw_rate, acceleration, elapsed_s)
        predicted = mean.copy()
        predicted[:, :2] += moved
        predicted[:, 2] += yaw_rate * elapsed_s
        predicted[:, 3] += acceleration * elapsed_s
        predicted[:, 4] = yaw_rate
        transition = np.tile(np.eye(STATE_SIZE), (len(mean), 1, 1))
        transition[:, :2, 2:6] = by_arc
        transition[:, 2, 4] = transition[:, 3, 5] = elapsed_s
        return predicted, transition

    def _direction(self, mean: FloatArray) -> tuple[FloatArray, float, float]:
        return mean[:, 2], 1.0, 0.0


class Bicycle(_ArcModel):
    """x, y, yaw, speed, slip angle, acceleration: turns only while it moves."""

    turning_std = 0.1

    def move(self, mean: FloatArray, elapsed_s: Seconds, length_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `MotionModel.move`."""
        rear_m = _REAR_SHARE * length_m
        speed, acceleration = mean[:, 3], mean[:, 5]
        slip = np.clip(mean[:, 4], -0.5, 0.5)
        direction = mean[:, 2] + slip
        yaw_rate = np.clip(speed * np.sin(slip) / rear_m, -_MOST_TURN_RADPS, _MOST_TURN_RADPS)
        moved, by_arc = _arc(direction, speed, yaw_rate, acceleration, elapsed_s)
        predicted = mean.copy()
        predicted[:, :2] += moved
        predicted[:, 2] += yaw_rate * elapsed_s
        predicted[:, 3] += acceleration * elapsed_s
        predicted[:, 4] = slip
        rate_by_speed, rate_by_slip = np.sin(slip) / rear_m, speed * np.cos(slip) / rear_m
        transition = np.tile(np.eye(STATE_SIZE), (len(mean), 1, 1))
        transition[:, :2, 2] = by_arc[:, :, 0]
        transition[:, :2, 3] = by_arc[:, :, 1] + by_arc[:, :, 2] * rate_by_speed[:, None]
        transition[:, :2, 4] = by_arc[:, :, 0] + by_arc[:, :, 2] * rate_by_slip[:, None]
        transition[:, :2, 5] = by_arc[:, :, 3]
        transition[:, 2, 3], transition[:, 2, 4] = rate_by_speed * elapsed_s, rate_by_slip * elapsed_s
        transition[:, 3, 5] = elapsed_s
        return predicted, transition

    def _direction(self, mean: FloatArray) -> tuple[FloatArray, float, float]:
        return mean[:, 2] + mean[:, 4], 1.0, 1.0


MOTION_MODELS: dict[str, MotionModel] = {
    "constant_velocity": ConstantVelocity(),
    "constant_turn_rate": ConstantTurnRateAcceleration(),
    "bicycle": Bicycle(),
}


def _white_noise(order: int, elapsed_s: Seconds) -> FloatArray:
    """Covariance of place and velocity (2) or place, velocity and acceleration (3) that white acceleration or jerk of
    variance 1 adds: (order, order), or (N, order, order) for N times."""
    elapsed = np.asarray(elapsed_s, dtype=np.float64)
    gain = np.stack([0.5 * elapsed**2, elapsed, np.ones_like(elapsed)][:order], axis=-1)
    covariance: FloatArray = gain[..., :, None] * gain[..., None, :]
    return covariance


def _velocity_prior(yaw_rad: FloatArray, speed_std_mps: FloatArray) -> FloatArray:
    """(N, 2, 2) covariance of an unknown velocity: road users move along their body, a quarter as much across."""
    along = np.stack([np.cos(yaw_rad), np.sin(yaw_rad)], axis=1)
    outer = along[:, :, None] * along[:, None, :]
    across_share = 0.25**2
    shape = (1 - across_share) * outer + across_share * np.eye(2)
    prior: FloatArray = speed_std_mps[:, None, None] ** 2 * shape
    return prior


def _arc(
    direction: FloatArray, speed: FloatArray, yaw_rate: FloatArray, acceleration: FloatArray, elapsed_s: Seconds
) -> tuple[FloatArray, FloatArray]:
    """Displacement (N, 2) along arcs, and its derivatives (N, 2, 4) by direction, speed, yaw rate, acceleration."""
    half = 0.5 * np.broadcast_to(elapsed_s, direction.shape)[:, None]
    times = half * (_NODES + 1.0)
    angles = direction[:, None] + yaw_rate[:, None] * times
    speeds = speed[:, None] + acceleration[:, None] * times
    ahead = half[:, :, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    moved = (speeds[:, None] * ahead) @ _WEIGHTS
    by_direction = np.stack([-moved[:, 1], moved[:, 0]], axis=1)
    by_speed = ahead @ _WEIGHTS
    turned = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    by_rate = ((speeds * times)[:, None] * turned) @ _WEIGHTS
    by_acceleration = (times[:, None] * ahead) @ _WEIGHTS
    return moved, np.stack([by_direction, by_speed, by_rate, by_acceleration], axis=2)
