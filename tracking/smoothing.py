"""Fixed-interval smoothing: what every box of a track, earlier and later ones, says of each moment between them.

Forward the Kalman filter runs as in the online tracker; backward each state is corrected by the one after it
(Rauch, Tung, Striebel 1965). Tracks are smoothed side by side. Not causal.

A cell is one track in one frame. Tracks have cells from their first frame to their last and nowhere else, so that
memory grows with what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import IndexArray
from tracking.class_table import ClassTable
from tracking.filtering import BODY_DRIFT_VAR_PER_S, corrected, rows_by_model, start_states
from tracking.kalman import kalman_predict, solve_positive
from tracking.measurement import Measured
from tracking.motion import STATE_SIZE, MotionModel
from tracking.tracks import BODY_SIZE


@dataclass(frozen=True)
class Spans:
    """When K tracks live, and where their cells lie: track after track, each frame after frame.

    Attributes:
        first, last: (K,) frames of the first and of the last box.
        start: (K + 1,) the cells of track k are `start[k]` to `start[k + 1]`.
    """

    first: IndexArray
    last: IndexArray
    start: IndexArray

    @classmethod
    def of_boxes(cls, track: IndexArray, frame: IndexArray) -> Spans:
        """The tracks of boxes that are ordered by track, then by frame.

        Args:
            track: (B,) 0 to K - 1, each at least once. frame: (B,).
        """
        begin = np.flatnonzero(np.diff(track, prepend=-1))
        first, last = frame[begin], frame[np.append(begin[1:], len(frame)) - 1]
        return cls(first, last, np.concatenate([[0], np.cumsum(last - first + 1)]))

    def __len__(self) -> int:
        return len(self.first)

    @property
    def lengths(self) -> IndexArray:
        """(K,) number of cells."""
        return np.diff(self.start)

    @property
    def track_of_cell(self) -> IndexArray:
        """(C,) the track of each cell."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def frame_of_cell(self) -> IndexArray:
        """(C,) the frame of each cell."""
        frames: IndexArray = np.arange(self.start[-1]) + np.repeat(self.first - self.start[:-1], self.lengths)
        return frames

    def cells(self, tracks: IndexArray, frame: IndexArray | int) -> IndexArray:
        """The cells of tracks that are alive in a frame."""
        cells: IndexArray = self.start[tracks] + frame - self.first[tracks]
        return cells


@dataclass(frozen=True)
class Smoothed:
    """K tracks over C cells.

    Attributes:
        label: (K,) class.
        spans: when the tracks live.
        mean, cov: (C, STATE_SIZE), (C, STATE_SIZE, STATE_SIZE).
        body: (C, 4) z, width, length, height.
    """

    label: IndexArray
    spans: Spans
    mean: FloatArray
    cov: FloatArray
    body: FloatArray


def smooth(
    times_s: FloatArray, measured: Measured, track: IndexArray, frame: IndexArray, table: ClassTable
) -> Smoothed:
    """Smooth tracks side by side.

    Args:
        times_s: (F,) times of the frames.
        measured: the B boxes of the tracks, ordered by track, then by frame.
        track: (B,) the track of each box, 0 to K - 1; at most one box a frame. frame: (B,) its frame.
        table: class settings.
    """
    pass_ = _Pass(Spans.of_boxes(track, frame), times_s, measured, track, frame, table)
    pass_.forward()
    pass_.backward()
    pass_.turn_around()
    return Smoothed(pass_.label, pass_.spans, pass_.mean, pass_.cov, pass_.body)


class _Pass:
    """States of all cells: filtered first, then smoothed in place."""

    def __init__(
        self,
        spans: Spans,
        times_s: FloatArray,
        measured: Measured,
        track: IndexArray,
        frame: IndexArray,
        table: ClassTable,
    ) -> None:
        n_cells = int(spans.start[-1])
        self.spans = spans
        self.label = measured.boxes.label[np.flatnonzero(np.diff(track, prepend=-1))]
        self.mean = np.zeros((n_cells, STATE_SIZE))
        self.cov = np.zeros((n_cells, STATE_SIZE, STATE_SIZE))
        self.body = np.zeros((n_cells, BODY_SIZE))
        self._body_var = np.zeros((n_cells, BODY_SIZE))
        self._box = np.full(n_cells, -1, dtype=np.int64)
        self._box[spans.cells(track, frame)] = np.arange(len(track))
        self._facing = np.zeros(len(spans))
        self._times_s, self._measured, self._table = times_s, measured, table

    def forward(self) -> None:
        """Filter frame by frame."""
        for frame, alive in _alive_by_frame(self.spans):
            born = self.spans.first[alive] == frame
            self._predict(frame, alive[~born])
            self._start(frame, alive[born])
            self._correct(frame, alive[~born])

    def backward(self) -> None:
        """Correct filtered states by the smoothed ones of the frame after, from the last frame to the first."""
        for frame, alive in reversed(list(_alive_by_frame(self.spans))):
            self._look_back(frame, alive[self.spans.last[alive] > frame])

    def turn_around(self) -> None:
        """Turn tracks whose boxes mostly face backwards."""
        backwards = self._facing < 0.0
        cells = np.flatnonzero(np.repeat(backwards, self.spans.lengths))
        label = np.repeat(self.label[backwards], self.spans.lengths[backwards])
        for model, rows in rows_by_model(self._table, label):
            self.mean[cells[rows]] = model.turn_around(self.mean[cells[rows]])

    def _elapsed_s(self, frame: int) -> float:
        return float(self._times_s[frame] - self._times_s[frame - 1])

    def _predicted(
        self, model: MotionModel, tracks: IndexArray, cells: IndexArray, elapsed_s: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means and covariances of filtered cells one frame later, and the transition."""
        mean = self.mean[cells]
        moved, transition = model.move(mean, elapsed_s, self.body[cells, 2])
        added = model.process_noise(mean, elapsed_s, self._table.noise[self.label[tracks]])
        return moved, kalman_predict(self.cov[cells], transition, added), transition

    def _predict(self, frame: int, tracks: IndexArray) -> None:
        """Carry tracks on from the frame before."""
        if not len(tracks):
            return
        elapsed_s = self._elapsed_s(frame)
        for model, rows in self._by_model(tracks):
            cells = self.spans.cells(rows, frame)
            self.mean[cells], self.cov[cells], _ = self._predicted(model, rows, cells - 1, elapsed_s)
        cells = self.spans.cells(tracks, frame)
        self.body[cells] = self.body[cells - 1]
        self._body_var[cells] = self._body_var[cells - 1] + BODY_DRIFT_VAR_PER_S * elapsed_s

    def _start(self, frame: int, tracks: IndexArray) -> None:
        """Begin tracks with their first box."""
        cells = self.spans.cells(tracks, frame)
        boxes = self._box[cells]
        self.mean[cells], self.cov[cells] = start_states(self._measured, self._table, boxes)
        self.body[cells], self._body_var[cells] = self._measured.body[boxes], self._measured.body_var[boxes]

    def _correct(self, frame: int, tracks: IndexArray) -> None:
        """Correct predicted tracks by their boxes, those that have one."""
        as_measured = self._as_measured(frame, tracks)
        self._start(frame, tracks[as_measured])
        tracks = tracks[~as_measured]
        cells = self.spans.cells(tracks, frame)
        seen = np.flatnonzero(self._box[cells] >= 0)
        if not len(seen):
            return
        tracks, cells = tracks[seen], cells[seen]
        boxes = self._box[cells]
        self.mean[cells], self.cov[cells], facing = corrected(
            self.mean[cells], self.cov[cells], self.label[tracks], self._table, self._measured, boxes
        )
        self._facing[tracks] += facing
        var = self._body_var[cells]
        gain = var / (var + self._measured.body_var[boxes])
        self.body[cells] += gain * (self._measured.body[boxes] - self.body[cells])
        self._body_var[cells] = (1.0 - gain) * var

    def _look_back(self, frame: int, tracks: IndexArray) -> None:
        """Correct filtered states by the smoothed ones of the next frame."""
        tracks = tracks[~self._as_measured(frame, tracks)]
        if not len(tracks):
            return
        elapsed_s = self._elapsed_s(frame + 1)
        for model, rows in self._by_model(tracks):
            cells = self.spans.cells(rows, frame)
            # What the forward pass predicted: the filtered states, and the bodies that moved them, are still there.
            predicted_mean, predicted_cov, transition = self._predicted(model, rows, cells, elapsed_s)
            used = slice(model.size)
            cov, expected_cov = self.cov[cells, used, used], predicted_cov[:, used, used]
            gain = solve_positive(expected_cov, transition[:, used, used] @ cov).transpose(0, 2, 1)
            surprise = (self.mean[cells + 1] - predicted_mean)[:, used]
            self.mean[cells, used] += (gain @ surprise[:, :, None])[:, :, 0]
            narrowed = self.cov[cells + 1, used, used] - expected_cov
            self.cov[cells, used, used] = cov + gain @ narrowed @ gain.transpose(0, 2, 1)
        cells = self.spans.cells(tracks, frame)
        gain = self._body_var[cells] / (self._body_var[cells] + BODY_DRIFT_VAR_PER_S * elapsed_s)
        self.body[cells] += gain * (self.body[cells + 1] - self.body[cells])

    def _as_measured(self, frame: int, tracks: IndexArray) -> NDArray[np.bool_]:
        """Which tracks have a box in a frame that is left as it is."""
        boxed = self._box[self.spans.cells(tracks, frame)] >= 0
        left: NDArray[np.bool_] = boxed & ~self._table.filtered[self.label[tracks]]
        return left

    def _by_model(self, tracks: IndexArray) -> Iterator[tuple[MotionModel, IndexArray]]:
        for model, indices in rows_by_model(self._table, self.label[tracks]):
            yield model, tracks[indices]


def _alive_by_frame(spans: Spans) -> Iterator[tuple[int, IndexArray]]:
    """Each frame with the tracks that live in it, in ascending order."""
    if not len(spans):
        return
    by_birth = np.argsort(spans.first, kind="stable")
    births = spans.first[by_birth]
    alive = np.zeros(0, dtype=np.int64)
    for frame in range(int(births[0]), int(spans.last.max()) + 1):
        born = by_birth[np.searchsorted(births, frame) : np.searchsorted(births, frame, side="right")]
        alive = np.sort(np.concatenate([alive[spans.last[alive] >= frame], born]))
        yield frame, alive
