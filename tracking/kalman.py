"""The Kalman filter's arithmetic for many small states at once.

The loops are compiled, and imported when they are first used: the compiler's import takes a while.
"""

from __future__ import annotations

from scenes.geometry import FloatArray


def kalman_predict(cov: FloatArray, transition: FloatArray, process_noise: FloatArray) -> FloatArray:
    """The Kalman filter's prediction of N covariances (N, D, D); `transition` is (N, D, D)."""
    from tracking.kalman_loops import predict_all

    return predict_all(cov, transition, process_noise)


def kalman_update(
    mean: FloatArray, cov: FloatArray, residual: FloatArray, jacobian: FloatArray, measured_cov: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The Kalman filter's update of N states, in Joseph form.

    Args:
        mean: (N, D). cov: (N, D, D).
        residual: (N, M) measurement less expectation.
        jacobian: (N, M, D). measured_cov: (N, M, M).

    Returns:
        Mean and covariance given the measurements.
    """
    from tracking.kalman_loops import update_all

    return update_all(mean, cov, residual, jacobian, measured_cov)


def solve_positive(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """(N, M, K) solutions of `matrix @ x = right` for symmetric positive definite (N, M, M) and (N, M, K)."""
    from tracking.kalman_loops import solve_all

    return solve_all(matrix, right)
