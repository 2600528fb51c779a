"""The loops of `tracking.kalman`, compiled; most of what is multiplied there is 0 or 1."""

from __future__ import annotations

import numpy as np

from scenes.compiled import compiled
from scenes.geometry import FloatArray


@compiled(error_model="numpy")
def predict_all(cov: FloatArray, transition: FloatArray, process_noise: FloatArray) -> FloatArray:
    """See `tracking.kalman.kalman_predict`."""
    predicted = np.empty(cov.shape)
    for n in range(len(cov)):
        _add_product(transition[n], cov[n], process_noise[n], predicted[n])
    return predicted


@compiled(error_model="numpy")
def update_all(
    mean: FloatArray, cov: FloatArray, residual: FloatArray, jacobian: FloatArray, measured_cov: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """See `tracking.kalman.kalman_update`."""
    size, seen = jacobian.shape[2], jacobian.shape[1]
    updated, updated_cov = mean.copy(), np.empty(cov.shape)
    innovation_cov, cross = np.empty((seen, seen)), np.empty((seen, size))
    kept, noise = np.empty((size, size)), np.empty((size, size))
    gain = np.empty((size, seen))
    for n in range(len(mean)):
        _add_product(jacobian[n], cov[n], measured_cov[n], innovation_cov)
        _multiply(jacobian[n], cov[n], cross)
        _solve_in_place(innovation_cov, cross)
        for i in range(size):
            for k in range(seen):
                gain[i, k] = cross[k, i]
                updated[n, i] += gain[i, k] * residual[n, k]
        _multiply(gain, jacobian[n], kept)
        for i in range(size):
            for k in range(size):
                kept[i, k] = (1.0 if i == k else 0.0) - kept[i, k]
                noise[i, k] = 0.0
        _add_product(gain, measured_cov[n], noise, noise)
        _add_product(kept, cov[n], noise, updated_cov[n])
    return updated, updated_cov


@compiled(error_model="numpy")
def solve_all(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """See `tracking.kalman.solve_positive`."""
    solution = right.copy()
    for n in range(len(matrix)):
        _solve_in_place(matrix[n].copy(), solution[n])
    return solution


@compiled(error_model="numpy", inline="always")
def _multiply(left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    """Write `left @ right`; most of what is multiplied in a filter is 0 or 1."""
    for i in range(left.shape[0]):
        for k in range(right.shape[1]):
            out[i, k] = 0.0
        for j in range(left.shape[1]):
            factor = left[i, j]
            if factor != 0.0:
                for k in range(right.shape[1]):
                    out[i, k] += factor * right[j, k]


@compiled(error_model="numpy", inline="always")
def _add_product(factor: FloatArray, middle: FloatArray, added: FloatArray, out: FloatArray) -> None:
    """Write `factor @ middle @ factor.T + added`, all symmetric; `out` may be `added`."""
    half = np.empty((factor.shape[0], middle.shape[1]))
    _multiply(factor, middle, half)
    for i in range(factor.shape[0]):
        for k in range(factor.shape[0]):
            total = added[i, k]
            for j in range(middle.shape[1]):
                total += half[i, j] * factor[k, j]
            out[i, k] = total


@compiled(error_model="numpy", inline="always")
def _solve_in_place(matrix: FloatArray, right: FloatArray) -> None:
    """Turn `right` (M, K) into the solution by Gauss-Jordan elimination, which needs no pivots here.

    `matrix` is spoilt.
    """
    for pivot in range(len(matrix)):
        for k in range(pivot + 1, len(matrix)):
            matrix[pivot, k] /= matrix[pivot, pivot]
        for k in range(right.shape[1]):
            right[pivot, k] /= matrix[pivot, pivot]
        for row in range(len(matrix)):
            factor = matrix[row, pivot]
            if row == pivot or factor == 0.0:
                continue
            for k in range(pivot + 1, len(matrix)):
                matrix[row, k] -= factor * matrix[pivot, k]
            for k in range(right.shape[1]):
                right[row, k] -= factor * right[pivot, k]
