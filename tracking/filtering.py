"""Moves, corrects and starts the states of tracks, each by the motion model of its class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scenes.geometry import FloatArray, wrap_angle
from tracking.association import IndexArray
from tracking.class_table import ClassTable
from tracking.kalman import kalman_predict, kalman_update
from tracking.measurement import Measured
from tracking.motion import MEASUREMENT_SIZE, STATE_SIZE, MotionModel
from tracking.tracks import Tracks

BODY_DRIFT_VAR_PER_S = np.array([0.05, 0.01, 0.02, 0.01])
"""Variance that z, width, length and height gain a second: ground that rises, boxes seen from a new side."""

_MOST_VOTES = 3.0


def predict(tracks: Tracks, table: ClassTable, elapsed_s: float) -> None:
    """Move all tracks on by `elapsed_s`, in place."""
    for model, rows in rows_by_model(table, tracks.label):
        mean, noise = tracks.mean[rows], table.noise[tracks.label[rows]]
        moved, transition = model.move(mean, elapsed_s, tracks.body[rows, 2])
        added = model.process_noise(mean, elapsed_s, noise)
        tracks.mean[rows], tracks.cov[rows] = moved, kalman_predict(tracks.cov[rows], transition, added)
    tracks.body_var += BODY_DRIFT_VAR_PER_S * elapsed_s


def observe(mean: FloatArray, label: IndexArray, table: ClassTable) -> tuple[FloatArray, FloatArray]:
    """What a detector should see of each state: (N, 5) x, y, yaw, vx, vy and the Jacobian (N, 5, STATE_SIZE)."""
    expected = np.zeros((len(mean), MEASUREMENT_SIZE))
    jacobian = np.zeros((len(mean), MEASUREMENT_SIZE, STATE_SIZE))
    for model, rows in rows_by_model(table, label):
        expected[rows], jacobian[rows] = model.observe(mean[rows])
    return expected, jacobian


def correct(tracks: Tracks, table: ClassTable, rows: IndexArray, measured: Measured, columns: IndexArray) -> None:
    """Correct tracks `rows` by boxes `columns`, in place."""
    filtered = table.filtered[tracks.label[rows]]
    _filter_step(tracks, table, rows[filtered], measured, columns[filtered])
    _replace_step(tracks, table, rows[~filtered], measured, columns[~filtered])


def start_states(measured: Measured, table: ClassTable, columns: IndexArray) -> tuple[FloatArray, FloatArray]:
    """Means and covariances of tracks that begin with boxes `columns`."""
    mean = np.zeros((len(columns), STATE_SIZE))
    cov = np.zeros((len(columns), STATE_SIZE, STATE_SIZE))
    label = measured.boxes.label[columns]
    for model, rows in rows_by_model(table, label):
        picked = columns[rows]
        mean[rows], cov[rows] = model.start(
            measured.planar[picked],
            measured.planar_cov[picked],
            measured.has_velocity[picked],
            table.speed_mps[label[rows]],
        )
    return mean, cov


def rows_by_model(table: ClassTable, label: IndexArray) -> Iterator[tuple[MotionModel, IndexArray | slice]]:
    """Each motion model with the rows that it filters."""
    if len(table.models) == 1:
        yield table.models[0], slice(None)
        return
    model_of_row = table.model[label]
    for index, model in enumerate(table.models):
        rows = np.flatnonzero(model_of_row == index)
        if len(rows):
            yield model, rows


def corrected(
    mean: FloatArray, cov: FloatArray, label: IndexArray, table: ClassTable, measured: Measured, columns: IndexArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """States (N, STATE_SIZE) and covariances after boxes `columns` (N,), and +1 where a box faces as the state does,
    -1 where backwards."""
    expected, jacobian = observe(mean, label, table)
    residual = measured.planar[columns] - expected
    residual[:, 2], facing = _unflipped(residual[:, 2])
    # An unknown velocity must not count: no sensitivity, any positive variance.
    jacobian[~measured.has_velocity[columns], 3:] = 0.0
    return *kalman_update(mean, cov, residual, jacobian, measured.planar_cov[columns]), facing


def _filter_step(tracks: Tracks, table: ClassTable, rows: IndexArray, measured: Measured, columns: IndexArray) -> None:
    if not len(rows):
        return
    mean, cov, facing = corrected(tracks.mean[rows], tracks.cov[rows], tracks.label[rows], table, measured, columns)
    tracks.mean[rows], tracks.cov[rows] = mean, cov
    _vote_on_heading(tracks, table, rows, facing)
    var, body = tracks.body_var[rows], tracks.body[rows]
    gain = var / (var + measured.body_var[columns])
    tracks.body[rows] = body + gain * (measured.body[columns] - body)
    tracks.body_var[rows] = (1.0 - gain) * var


def _replace_step(tracks: Tracks, table: ClassTable, rows: IndexArray, measured: Measured, columns: IndexArray) -> None:
    if not len(rows):
        return
    tracks.mean[rows], tracks.cov[rows] = start_states(measured, table, columns)
    tracks.body[rows], tracks.body_var[rows] = measured.body[columns], measured.body_var[columns]


def _unflipped(residual_rad: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Yaw residuals in [-pi/2, pi/2), and +1 where the box faces as the track does, -1 where backwards.

    Detectors mistake front for rear far more often than they err by a quarter turn.
    """
    wrapped = wrap_angle(residual_rad)
    backwards = np.abs(wrapped) > np.pi / 2
    return np.where(backwards, wrap_angle(wrapped + np.pi), wrapped), np.where(backwards, -1.0, 1.0)


def _vote_on_heading(tracks: Tracks, table: ClassTable, rows: IndexArray, vote: FloatArray) -> None:
    """Count who sees the heading which way; turn tracks around whose boxes mostly face backwards."""
    votes = np.clip(tracks.heading_votes[rows] + vote, -_MOST_VOTES, _MOST_VOTES)
    tracks.heading_votes[rows] = np.abs(votes)
    turned = rows[votes < 0.0]
    if len(turned):
        for model, indices in rows_by_model(table, tracks.label[turned]):
            picked = turned[indices]
            tracks.mean[picked] = model.turn_around(tracks.mean[picked])
