"""Boxes with identities, scored and gap-filled as the official tracking evaluation wants them.

Score: every box of a predicted track gets the mean of the track's scores, before gaps are filled.
Gaps: where a track, annotated or predicted, misses key frames between two of its boxes, boxes are put in by linear
interpolation, whether the boxes were never there or fell to the filter. With t_l < t < t_r the devkit weighs

    r = (t_r - t) / (t_r - t_l),    x = (1 - r) x_l + r x_r

which is the wrong way round (devkit issue 1141) and kept for parity; `corrected` uses r = (t - t_l) / (t_r - t_l).
Source: devkit `nuscenes/eval/tracking/loaders.py`, `create_tracks`, `interpolate_tracks`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.engine.box_table import BoxTable, IntArray
from evaluation.evaluation import Interpolation
from scenes.compiled import compiled
from scenes.geometry import FloatArray

_PAIRWISE_BLOCK = 128


@dataclass(frozen=True, eq=False)
class TrackTable:
    """N boxes of tracks, frame after frame; within a frame the given boxes precede those put into gaps.

    Attributes:
        frame: (N,) index of the key frame, ascending.
        label: (N,) index into `Taxonomy.names`.
        track: (N,) number of the track; tracks are numbered in the order in which they appear, scene after scene.
        xy_m: (N, 2) centres in global coordinates.
        velocity_mps: (N, 2) velocities, NaN where they are not known.
        score: (N,) confidence.
        source: (N,) row of the box in the table this one was made from; for a box in a gap that of the box before it.
        filled: (N,) whether the box was put into a gap.
    """

    frame: IntArray
    label: IntArray
    track: IntArray
    xy_m: FloatArray
    velocity_mps: FloatArray
    score: FloatArray
    source: IntArray
    filled: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frame)


def number_tracks(table: BoxTable, scene_of_frame: IntArray) -> IntArray:
    """(N,) number of each box's track: one for each `track_id` in each scene, in the order of appearance."""
    numbers: dict[tuple[int, str], int] = {}
    assert table.boxes.track_id is not None or len(table) == 0
    identities = [] if table.boxes.track_id is None else table.boxes.track_id.tolist()
    scenes = scene_of_frame[table.frame].tolist()
    keys = zip(scenes, identities, strict=True)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def build_tracks(
    table: BoxTable, track: IntArray, timestamp_us: IntArray, *, mean_scores: bool, interpolation: Interpolation
) -> TrackTable:
    """Score the tracks of a table and fill their gaps.

    Args:
        table: boxes of which every track lies in one scene.
        track: (N,) number of each box's track, as `number_tracks` gives it.
        timestamp_us: (F,) time of each key frame, ascending within a scene.
        mean_scores: whether a box gets the mean score of its track (predictions) or keeps its own (annotations).
        interpolation: how the boxes in gaps are weighed.
    """
    by_track = np.argsort(track, kind="stable")
    score = _mean_score_of_track(table.boxes.score, track, by_track) if mean_scores else table.boxes.score
    given = TrackTable(
        frame=table.frame,
        label=table.boxes.label,
        track=track,
        xy_m=table.boxes.center_m[:, :2],
        velocity_mps=table.boxes.velocity_mps,
        score=score,
        source=np.arange(len(table)),
        filled=np.zeros(len(table), np.bool_),
    )
    return _merge(given, _boxes_in_gaps(given, by_track, timestamp_us, interpolation))


def _boxes_in_gaps(
    given: TrackTable, by_track: IntArray, timestamp_us: IntArray, interpolation: Interpolation
) -> TrackTable:
    """The boxes that are missing between two consecutive boxes of a track, track after track."""
    before, after = by_track[:-1], by_track[1:]
    missing = np.where(given.track[before] == given.track[after], given.frame[after] - given.frame[before] - 1, 0)
    missing = np.maximum(missing, 0)
    left, right = np.repeat(before, missing), np.repeat(after, missing)
    step = np.arange(len(left)) - np.repeat(np.cumsum(missing) - missing, missing)
    frame = given.frame[left] + 1 + step
    span_us = timestamp_us[given.frame[right]] - timestamp_us[given.frame[left]]
    if interpolation == "devkit":
        weight = (timestamp_us[given.frame[right]] - timestamp_us[frame]) / span_us
    else:
        weight = (timestamp_us[frame] - timestamp_us[given.frame[left]]) / span_us

    def between(values: FloatArray) -> FloatArray:
        right_weight = weight.reshape((-1,) + (1,) * (values.ndim - 1))
        blended: FloatArray = (1.0 - right_weight) * values[left] + right_weight * values[right]
        return blended

    return TrackTable(
        frame=frame,
        label=given.label[right],
        track=given.track[right],
        xy_m=between(given.xy_m),
        velocity_mps=between(given.velocity_mps),
        score=between(given.score),
        source=left,
        filled=np.ones(len(left), np.bool_),
    )


def _merge(given: TrackTable, filled: TrackTable) -> TrackTable:
    """Both tables frame after frame, given boxes first."""
    if not len(filled):
        return given
    order = np.argsort(np.concatenate([given.frame, filled.frame]), kind="stable")

    def column(name: str) -> Any:
        return np.concatenate([getattr(given, name), getattr(filled, name)])[order]

    return TrackTable(**{field.name: column(field.name) for field in fields(TrackTable)})


def _mean_score_of_track(score: FloatArray, track: IntArray, by_track: IntArray) -> FloatArray:
    if not len(track):
        return score
    grouped = score[by_track]
    starts = np.flatnonzero(np.diff(track[by_track], prepend=-1))
    sizes = np.diff(starts, append=len(grouped))
    means = _group_sums(grouped, starts, sizes) / sizes
    mean_of_box = np.empty_like(score)
    mean_of_box[by_track] = np.repeat(means, sizes)
    return mean_of_box


@compiled(nogil=True)
def _group_sums(values: FloatArray, starts: IntArray, sizes: IntArray) -> FloatArray:
    """Sums of consecutive groups, to the last bit as `np.sum` of each: equal tracks must get equal scores here and in
    the devkit, because thresholds are compared with them."""
    sums = np.empty(len(starts))
    for group in range(len(starts)):
        sums[group] = _pairwise_sum(values[starts[group] : starts[group] + sizes[group]])
    return sums


@compiled(nogil=True)
def _pairwise_sum(values: FloatArray) -> float:
    """numpy's summation: halves above 128 values, eight interleaved partial sums below."""
    size = len(values)
    if size > _PAIRWISE_BLOCK:
        half = size // 2
        half -= half % 8
        return _pairwise_sum(values[:half]) + _pairwise_sum(values[half:])
    if size < 8:
        small_total = 0.0
        for value in values:
            small_total += value
        return small_total
    partial = values[:8].copy()
    whole = size - size % 8
    for index in range(8, whole):
        partial[index % 8] += values[index]
    total: float = ((partial[0] + partial[1]) + (partial[2] + partial[3])) + (
        (partial[4] + partial[5]) + (partial[6] + partial[7])
    )
    for index in range(whole, size):
        total += values[index]
    return total
