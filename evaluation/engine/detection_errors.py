"""How far a true positive lies from its annotation: the five errors of the nuScenes detection task.

    trans_err  = |c - c'| in the xy plane, m
    scale_err  = 1 - V / (w l h + w' l' h' - V),  V = min(w, w') min(l, l') min(h, h')
    orient_err = smallest difference of yaw, rad; a barrier looks the same from both sides, its yaw has period pi, as
                 has that of every thin class
    vel_err    = |v - v'| in the xy plane, m/s; NaN where the annotation has no velocity
    attr_err   = 0 if the attributes agree, else 1; NaN where the annotation has none

Source: devkit `nuscenes/eval/common/utils.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scenes import Boxes3D
from scenes.geometry import FloatArray, yaw_from_rotation


def detection_errors(truth: Boxes3D, guess: Boxes3D, *, thin: bool) -> dict[str, FloatArray]:
    """The five errors (M,) of M matched pairs of one class, which may be thin."""
    return {
        "trans_err": center_error_m(truth, guess),
        "scale_err": scale_error(truth, guess),
        "orient_err": orientation_error_rad(truth, guess, np.pi if thin else 2 * np.pi),
        "vel_err": velocity_error_mps(truth, guess),
        "attr_err": attribute_error(truth, guess),
    }


def center_error_m(truth: Boxes3D, guess: Boxes3D) -> FloatArray:
    """(M,) distance of the centres in the xy plane."""
    return _norm(guess.center_m[:, :2] - truth.center_m[:, :2])


def velocity_error_mps(truth: Boxes3D, guess: Boxes3D) -> FloatArray:
    """(M,) norm of the difference of velocities, NaN where one is not known."""
    return _norm(guess.velocity_mps - truth.velocity_mps)


def scale_error(truth: Boxes3D, guess: Boxes3D) -> FloatArray:
    """(M,) 1 - intersection over union of boxes laid upon each other with the same heading."""
    overlap = np.prod(np.minimum(truth.size_wlh_m, guess.size_wlh_m), axis=1)
    union = np.prod(truth.size_wlh_m, axis=1) + np.prod(guess.size_wlh_m, axis=1) - overlap
    error: FloatArray = 1 - overlap / union
    return error


def orientation_error_rad(truth: Boxes3D, guess: Boxes3D, period_rad: float = 2 * np.pi) -> FloatArray:
    """(M,) smallest turn about z, of `period_rad`, that aligns the headings."""
    return smallest_turn_rad(_yaw_rad(truth.rotation), _yaw_rad(guess.rotation), period_rad)


def smallest_turn_rad(angle_rad: ArrayLike, other_rad: ArrayLike, period_rad: float) -> FloatArray:
    """(M,) smallest difference of angles that repeat after `period_rad`."""
    difference = np.subtract(angle_rad, other_rad)
    turn: FloatArray = np.abs((difference + period_rad / 2) % period_rad - period_rad / 2)
    return turn


def attribute_error(truth: Boxes3D, guess: Boxes3D) -> FloatArray:
    """(M,) 0 where the attributes agree, 1 where they do not, NaN where the annotation has none."""
    none = np.full(len(truth), "")
    true_name = none if truth.attribute is None else truth.attribute
    guessed_name = none if guess.attribute is None else guess.attribute
    return np.where(true_name == "", np.nan, (true_name != guessed_name).astype(np.float64))


def running_mean(values: FloatArray) -> FloatArray:
    """(M,) mean of the defined values up to each place, 0 before the first; ones if none is defined."""
    defined = ~np.isnan(values)
    if not defined.any():
        return np.ones(len(values))
    count = np.cumsum(defined)
    total = np.cumsum(np.where(defined, values, 0.0))
    mean: FloatArray = total / np.maximum(count, 1)
    return mean


def _norm(offset: FloatArray) -> FloatArray:
    norm: FloatArray = np.sqrt(np.einsum("ij,ij->i", offset, offset))
    return norm


def _yaw_rad(rotation: FloatArray) -> FloatArray:
    """Yaw of quaternions (M, 4) that need not be exactly unit; 0 for zero quaternions."""
    norm = np.linalg.norm(rotation, axis=1, keepdims=True)
    return yaw_from_rotation(rotation / np.where(norm > 0, norm, 1))
