"""What the official tracking metrics count, box by box, at the thresholds from which their summary is taken.

The metrics count boxes that no file holds: where a track, annotated or predicted, misses key frames, they put boxes
into the gap (`evaluation.engine.track_table`). Such a box is here as well if it counts, so that

    TP  = matches that are no switches      FP = `FrameEvents.false_positive`
    IDS = `FrameEvents.switch`              FN = `FrameEvents.missed`

add up to the numbers of `metrics_summary.json`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY, Boxes3D, InputError, Results, Scene, shared_taxonomy
from scenes.geometry import FloatArray

if TYPE_CHECKING:
    from evaluation.engine.tracked_scenes import EvaluatedTracks, TrackedScenes

NO_MATCH: Final = -1

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class JudgedBoxes:
    """N boxes of a key frame, tracks or annotations.

    Attributes:
        boxes: first all boxes that stand in the file, in its order, then those that were put into gaps and count.
        in_gap: (N,) whether the box was put into a gap.
        judged: (N,) whether it counts: it lies in its class's range and in no bicycle rack; an annotation has points,
            and a track reaches its class's operating point.
    """

    boxes: Boxes3D
    in_gap: BoolArray
    judged: BoolArray


@dataclass(frozen=True, eq=False)
class FrameEvents:
    """What counts in one key frame with N boxes of tracks and M annotated ones.

    Attributes:
        tracks, annotations: the boxes.
        match: (N,) index of the annotation that a track's box is matched with, `NO_MATCH` without one.
        switch: (N,) whether that annotation was matched with another track before.
        track_score: (N,) what the metrics compare with the operating point: the mean score of the boxes of a track that
            lie in range and in no bicycle rack; NaN for the other boxes.
    """

    tracks: JudgedBoxes
    annotations: JudgedBoxes
    match: IntArray
    switch: BoolArray
    track_score: FloatArray

    @property
    def false_positive(self) -> BoolArray:
        """(N,) boxes of tracks that count and have no annotation."""
        unmatched: BoolArray = self.match == NO_MATCH
        return self.tracks.judged & unmatched

    @property
    def missed(self) -> BoolArray:
        """(M,) annotations that count and have no track."""
        missed = self.annotations.judged.copy()
        missed[self.match[self.match != NO_MATCH]] = False
        return missed


@dataclass(frozen=True, eq=False)
class TrackEvents:
    """What the metrics count in several scenes.

    Attributes:
        operating_points: the score, the mean of its boxes, from which on a track counts, by class; of a class that is
            not in it no track does: it is not annotated, or not a tenth of its annotations was found.
        frames: the events of each key frame, by sample token.
        amota: AMOTA of each scene when it is evaluated on its own, by name; NaN where that is not possible, without
            annotations or because of an identity that repeats in a frame.
    """

    operating_points: Mapping[str, float]
    frames: Mapping[str, FrameEvents]
    amota: Mapping[str, float]

    def of_scene(self, scene: Scene) -> TrackEvents:
        """The part that belongs to one scene."""
        frames = {token: self.frames[token] for token in scene.sample_tokens if token in self.frames}
        amota = {name: value for name, value in self.amota.items() if name == scene.name}
        return TrackEvents(self.operating_points, frames, amota)


def track_events(results: Results, scenes: Sequence[Scene]) -> TrackEvents:
    """Match tracks and annotations as the official metrics do, where the MOTA of each class over all scenes is best.

    Args:
        results: boxes with `track_id` for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.

    Raises:
        InputError: the tracks or the annotations cannot be evaluated, see `evaluation.tracking.tracking_metrics`.
    """
    # The engine is imported where it is used: numba takes half a second.
    from evaluation.engine.matching import NONE
    from evaluation.engine.tracked_scenes import match_scenes, prepare_tracks, tracked_class
    from evaluation.tracking import class_curves, operating_threshold

    names = shared_taxonomy(results, scenes).tracked_names
    tracked = prepare_tracks(results.boxes, scenes)
    rows = _Rows(tracked)
    points = {}
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for name in names:
            class_ = tracked_class(tracked, name)
            threshold = operating_threshold(class_curves(tracked, class_, executor))
            if threshold is None:
                continue
            if np.isfinite(threshold):
                points[name] = threshold
            partners, switches, _ = zip(*match_scenes(tracked, class_, threshold, executor), strict=True)
            partner, switched = np.concatenate(partners), np.concatenate(switches)
            found = partner != NONE
            matched = class_.predicted.row[partner[found]]
            rows.annotation_judged[class_.annotated.row] = True
            rows.track_judged[class_.predicted.row] = class_.predicted.score >= threshold
            rows.match[matched] = class_.annotated.row[found]
            rows.switch[matched] = switched[found]
    frames = rows.frame_events(results)
    amota = {scene.name: _amota_alone(results, scene) for scene in scenes}
    return TrackEvents(points, frames, amota)


def _amota_alone(results: Results, scene: Scene) -> float:
    """AMOTA of a scene; NaN where identities that repeat in a frame make more matches than it has annotations."""
    from evaluation.tracking import tracking_metrics

    try:
        amota: float = tracking_metrics(results, [scene]).summary["amota"]
    except InputError:
        return float("nan")
    return amota


class _Rows:
    """What becomes of each row of the engine's two tables of boxes; filled class by class."""

    def __init__(self, tracked: TrackedScenes) -> None:
        self._tracked = tracked
        self.track_judged = np.zeros(len(tracked.predicted.table), dtype=np.bool_)
        self.annotation_judged = np.zeros(len(tracked.annotated.table), dtype=np.bool_)
        self.match = np.full(len(tracked.predicted.table), NO_MATCH)
        self.switch = np.zeros(len(tracked.predicted.table), dtype=np.bool_)

    def frame_events(self, results: Results) -> dict[str, FrameEvents]:
        """The same frame by frame, together with the boxes that no table holds."""
        frames = self._tracked.frames
        annotated = [frame.annotations.boxes for frame in frames if frame.annotations is not None]
        predicted = [results.boxes[frame.token] for frame in frames]
        annotations, annotation_place = _judged_boxes(self._tracked.annotated, annotated, self.annotation_judged)
        tracks, track_place = _judged_boxes(self._tracked.predicted, predicted, self.track_judged)
        table = self._tracked.predicted.table
        # A column of the table, spread over the boxes of each frame.
        match, switch, score = (
            [np.full(len(boxes.judged), default) for boxes in tracks] for default in (NO_MATCH, False, np.nan)
        )
        for row in np.flatnonzero(~table.filled | self.track_judged).tolist():
            frame, place = table.frame[row], track_place[row]
            score[frame][place] = table.score[row]
            if self.match[row] != NO_MATCH:
                match[frame][place] = annotation_place[self.match[row]]
                switch[frame][place] = self.switch[row]
        return {
            frame.token: FrameEvents(*of_frame)
            for frame, *of_frame in zip(frames, tracks, annotations, match, switch, score, strict=True)
        }


def _judged_boxes(
    side: EvaluatedTracks, given: Sequence[Boxes3D], judged: BoolArray
) -> tuple[list[JudgedBoxes], IntArray]:
    """The boxes of each frame, and where among those of its frame each row of a table stands.

    Args:
        side: annotated or predicted tracks.
        given: all boxes of each frame.
        judged: (R,) which rows of `side.table` count. Boxes in gaps that do not are left out and have no place.
    """
    table = side.table
    frames = np.arange(len(given) + 1)
    n_given = np.array([len(boxes) for boxes in given], dtype=np.int64)
    first_given = np.cumsum([0, *n_given])
    in_gap = np.flatnonzero(table.filled & judged)
    first_in_gap = np.searchsorted(table.frame[in_gap], frames)
    place = np.empty(len(table), dtype=np.int64)
    place[~table.filled] = (side.rows[table.source] - first_given[table.frame])[~table.filled]
    frame_of_gap = table.frame[in_gap]
    place[in_gap] = n_given[frame_of_gap] + np.arange(len(in_gap)) - first_in_gap[frame_of_gap]
    gaps = _boxes_in_gaps(side, in_gap)
    first_row = np.searchsorted(table.frame, frames)
    of_frames = []
    for frame, boxes in enumerate(given):
        here = gaps.select(slice(first_in_gap[frame], first_in_gap[frame + 1]))
        rows = np.arange(first_row[frame], first_row[frame + 1])
        is_judged = np.zeros(len(boxes) + len(here), dtype=np.bool_)
        is_judged[place[rows[judged[rows]]]] = True
        of_frames.append(JudgedBoxes(_with_gaps(boxes, here), np.arange(len(is_judged)) >= len(boxes), is_judged))
    return of_frames, place


def _boxes_in_gaps(side: EvaluatedTracks, rows: IntArray) -> Boxes3D:
    """Boxes that were put into gaps: size and heading, which the metrics do not need, are those of the box before."""
    table = side.table
    before = side.given.boxes.select(table.source[rows])
    return before.replace(
        center_m=np.column_stack([table.xy_m[rows], before.center_m[:, 2]]),
        velocity_mps=table.velocity_mps[rows],
        label=table.label[rows],
        score=table.score[rows],
    )


def _with_gaps(given: Boxes3D, in_gaps: Boxes3D) -> Boxes3D:
    """Boxes of a file and, behind them, those put into gaps, which no detector's query has named."""
    count = len(in_gaps)
    query_id = None if given.query_id is None else np.full(count, NO_QUERY)
    attribute = None if given.attribute is None else np.full(count, "")
    return Boxes3D.concatenate([given, in_gaps.replace(query_id=query_id, attribute=attribute)])
