"""Fixed-interval smoothing: what every box of a track, earlier and later ones, says of each moment between them.

Forward the Kalman filter runs as in the online tracker; backward each state is corrected by the one after it
(Rauch, Tung, Striebel 1965). All tracks of a scene are smoothed at once. Not causal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scenes.geometry import FloatArray
from tracking.association import IndexArray
from tracking.filtering import BODY_DRIFT_VAR_PER_S, corrected, rows_by_model, start_states
from tracking.measurement import Measured
from tracking.motion import STATE_SIZE, MotionModel, kalman_predict, solve_positive
from tracking.settings import ClassTable
from tracking.tracks import BODY_SIZE


@dataclass(frozen=True)
class Smoothed:
    """K tracks over F frames.

    Attributes:
        label: (K,) class.
        first, last: (K,) frames of the first and of the last box; states mean something from one to the other.
        mean, cov: (F, K, STATE_SIZE), (F, K, STATE_SIZE, STATE_SIZE).
        body: (F, K, 4) z, width, length, height.
    """

    label: IndexArray
    first: IndexArray
    last: IndexArray
    mean: FloatArray
    cov: FloatArray
    body: FloatArray

    def alive(self, frame: int) -> IndexArray:
        """The tracks between their first and last box in a frame."""
        return np.flatnonzero((self.first <= frame) & (frame <= self.last))


def smooth(times_s: FloatArray, measured: Measured, box_of: IndexArray, table: ClassTable) -> Smoothed:
    """Smooth all tracks.

    Args:
        times_s: (F,) times of the frames.
        measured: the boxes of all frames.
        box_of: (K, F) each track's box in each frame as an index into `measured`, -1 without one; every track has one.
        table: class settings.
    """
    n_tracks, n_frames = box_of.shape
    seen = box_of >= 0
    first = seen.argmax(axis=1)
    last = n_frames - 1 - seen[:, ::-1].argmax(axis=1)
    label = measured.boxes.label[box_of[np.arange(n_tracks), first]]
    pass_ = _Forward(n_frames, n_tracks, label, table)
    for frame in range(n_frames):
        elapsed_s = float(times_s[frame] - times_s[frame - 1]) if frame else 0.0
        pass_.predict(frame, np.flatnonzero((first < frame) & (frame <= last)), elapsed_s)
        born = np.flatnonzero(first == frame)
        pass_.start(frame, born, measured, box_of[born, frame])
        rows = np.flatnonzero((first < frame) & seen[:, frame])
        pass_.correct(frame, rows, measured, box_of[rows, frame])
    for frame in range(n_frames - 2, -1, -1):
        pass_.look_back(frame, np.flatnonzero((first <= frame) & (frame < last)))
    pass_.turn_around()
    return Smoothed(label, first, last, pass_.mean, pass_.cov, pass_.body)


class _Forward:
    """States of all tracks in all frames: filtered first, then smoothed in place."""

    def __init__(self, n_frames: int, n_tracks: int, label: IndexArray, table: ClassTable) -> None:
        self._label, self._table = label, table
        self.mean = np.zeros((n_frames, n_tracks, STATE_SIZE))
        self.cov = np.zeros((n_frames, n_tracks, STATE_SIZE, STATE_SIZE))
        self.body = np.zeros((n_frames, n_tracks, BODY_SIZE))
        self._body_var = np.zeros((n_frames, n_tracks, BODY_SIZE))
        self._predicted_mean = np.zeros_like(self.mean)
        self._predicted_cov = np.zeros_like(self.cov)
        self._predicted_body_var = np.zeros_like(self.body)
        self._transition = np.zeros_like(self.cov)
        self._facing = np.zeros(n_tracks)

    def predict(self, frame: int, rows: IndexArray, elapsed_s: float) -> None:
        """Carry tracks on from the frame before."""
        for model, tracks in self._by_model(rows):
            before = self.mean[frame - 1, tracks]
            moved, transition = model.move(before, elapsed_s, self.body[frame - 1, tracks, 2])
            added = model.process_noise(before, elapsed_s, self._table.noise[self._label[tracks]])
            self.mean[frame, tracks] = self._predicted_mean[frame, tracks] = moved
            cov = kalman_predict(self.cov[frame - 1, tracks], transition, added)
            self.cov[frame, tracks] = self._predicted_cov[frame, tracks] = cov
            self._transition[frame, tracks] = transition
        self.body[frame, rows] = self.body[frame - 1, rows]
        var = self._body_var[frame - 1, rows] + BODY_DRIFT_VAR_PER_S * elapsed_s
        self._body_var[frame, rows] = self._predicted_body_var[frame, rows] = var

    def start(self, frame: int, rows: IndexArray, measured: Measured, boxes: IndexArray) -> None:
        """Begin tracks with their first box."""
        self.mean[frame, rows], self.cov[frame, rows] = start_states(measured, self._table, boxes)
        self.body[frame, rows], self._body_var[frame, rows] = measured.body[boxes], measured.body_var[boxes]

    def correct(self, frame: int, rows: IndexArray, measured: Measured, boxes: IndexArray) -> None:
        """Correct predicted tracks by their boxes."""
        if not len(rows):
            return
        mean, cov, facing = corrected(
            self.mean[frame, rows], self.cov[frame, rows], self._label[rows], self._table, measured, boxes
        )
        self.mean[frame, rows], self.cov[frame, rows] = mean, cov
        self._facing[rows] += facing
        var = self._body_var[frame, rows]
        gain = var / (var + measured.body_var[boxes])
        self.body[frame, rows] += gain * (measured.body[boxes] - self.body[frame, rows])
        self._body_var[frame, rows] = (1.0 - gain) * var

    def look_back(self, frame: int, rows: IndexArray) -> None:
        """Correct filtered states by the smoothed ones of the next frame."""
        for model, tracks in self._by_model(rows):
            used = slice(model.size)
            cov, predicted_cov = (
                columns[:, used, used] for columns in (self.cov[frame, tracks], self._predicted_cov[frame + 1, tracks])
            )
            transition = self._transition[frame + 1, tracks][:, used, used]
            gain = solve_positive(predicted_cov, transition @ cov).transpose(0, 2, 1)
            surprise = (self.mean[frame + 1, tracks] - self._predicted_mean[frame + 1, tracks])[:, used]
            self.mean[frame, tracks, used] += (gain @ surprise[:, :, None])[:, :, 0]
            narrowed = self.cov[frame + 1, tracks][:, used, used] - predicted_cov
            self.cov[frame, tracks, used, used] = cov + gain @ narrowed @ gain.transpose(0, 2, 1)
        gain = self._body_var[frame, rows] / self._predicted_body_var[frame + 1, rows]
        self.body[frame, rows] += gain * (self.body[frame + 1, rows] - self.body[frame, rows])

    def turn_around(self) -> None:
        """Turn tracks whose boxes mostly face backwards."""
        for model, tracks in self._by_model(np.flatnonzero(self._facing < 0.0)):
            for frame in range(len(self.mean)):
                self.mean[frame, tracks] = model.turn_around(self.mean[frame, tracks])

    def _by_model(self, rows: IndexArray) -> Iterator[tuple[MotionModel, IndexArray]]:
        for model, indices in rows_by_model(self._table, self._label[rows]):
            yield model, rows[indices]
