"""Annotated and predicted tracks of many scenes, ready to be matched class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from evaluation.engine.box_table import (
    BoolArray,
    BoxTable,
    IntArray,
    annotated_boxes,
    evaluated_annotations,
    evaluated_predictions,
    predicted_boxes,
)
from evaluation.engine.configuration import TRACKING_CONFIG, range_of_label_m, tracking_config
from evaluation.engine.matching import ClassBoxes, Pairs, class_boxes, find_pairs, match_scene
from evaluation.engine.track_table import TrackTable, build_tracks, number_tracks
from evaluation.evaluation import Interpolation
from scenes import NUSCENES, Boxes3D, Frame, InputError, Scene, Taxonomy, taxonomy_of
from scenes.geometry import FloatArray

GATE_M: float = TRACKING_CONFIG["dist_th_tp"]


@dataclass(frozen=True, eq=False)
class EvaluatedTracks:
    """The annotated or the predicted tracks of all scenes.

    Attributes:
        given: the evaluated boxes, before gaps were filled.
        rows: where they stand among all boxes of the frames, evaluated or not.
        table: their boxes with scores and filled gaps; `source` refers to `given`.
        first_track: (S + 1,) the tracks of scene s are numbered `first_track[s]` to `first_track[s + 1]`.
    """

    given: BoxTable
    rows: IntArray
    table: TrackTable
    first_track: IntArray

    @property
    def n_tracks(self) -> IntArray:
        """(S,) how many tracks each scene has."""
        return np.diff(self.first_track)


@dataclass(frozen=True, eq=False)
class TrackedScenes:
    """Annotated and predicted tracks of S scenes with F key frames in all.

    Attributes:
        scenes: the scenes.
        frames: their key frames, scene after scene.
        first_frame: (S + 1,) the frames of scene s are `first_frame[s]` to `first_frame[s + 1]`.
        annotated, predicted: the tracks.
        taxonomy: the classes that labels mean.
    """

    scenes: Sequence[Scene]
    frames: Sequence[Frame]
    first_frame: IntArray
    annotated: EvaluatedTracks
    predicted: EvaluatedTracks
    taxonomy: Taxonomy = NUSCENES


@dataclass(frozen=True, eq=False)
class TrackedClass:
    """One class of `TrackedScenes`; arguments of the compiled functions."""

    name: str
    label: int
    annotated: ClassBoxes
    predicted: ClassBoxes
    pairs: Pairs


def prepare_tracks(
    boxes: Mapping[str, Boxes3D], scenes: Sequence[Scene], interpolation: Interpolation = "devkit"
) -> TrackedScenes:
    """Filter, score and gap-fill.

    Args:
        boxes: predictions with `track_id` by sample token; every key frame of `scenes` has an entry. Their labels mean
            the classes of `scenes`.
        scenes: annotated scenes.
        interpolation: how boxes in gaps are weighed.

    Raises:
        InputError: time stamps of a scene do not increase, or an instance is annotated twice in a frame.
    """
    frames = [frame for scene in scenes for frame in scene.frames]
    first_frame = np.cumsum([0, *(len(scene.frames) for scene in scenes)])
    scene_of_frame = np.repeat(np.arange(len(scenes)), np.diff(first_frame))
    timestamp_us = _timestamps_us(scenes)
    taxonomy = taxonomy_of(scenes)
    ranges_m = range_of_label_m(tracking_config(taxonomy), taxonomy)

    def tracks(all_boxes: BoxTable, is_evaluated: BoolArray, mean_scores: bool) -> EvaluatedTracks:
        rows = np.flatnonzero(is_evaluated)
        table = all_boxes.select(rows)
        track = number_tracks(table, scene_of_frame)
        scene_of_track = np.zeros(track.max(initial=-1) + 1, np.int64)
        scene_of_track[track] = scene_of_frame[table.frame]
        return EvaluatedTracks(
            given=table,
            rows=rows,
            table=build_tracks(table, track, timestamp_us, mean_scores=mean_scores, interpolation=interpolation),
            first_track=np.searchsorted(scene_of_track, np.arange(len(scenes) + 1)),
        )

    annotations, predictions = annotated_boxes(frames), predicted_boxes(frames, boxes)
    annotated = tracks(annotations, evaluated_annotations(annotations, frames, ranges_m, taxonomy), mean_scores=False)
    _check_annotated_once(annotated, frames)
    predicted = tracks(predictions, evaluated_predictions(predictions, frames, ranges_m, taxonomy), mean_scores=True)
    return TrackedScenes(scenes, frames, first_frame, annotated, predicted, taxonomy)


def tracked_class(tracked: TrackedScenes, name: str) -> TrackedClass:
    """The boxes of one class, and which of them can be matched."""
    label = tracked.taxonomy.label_of[name]
    sizes = np.diff(tracked.first_frame)
    annotated, predicted = (
        class_boxes(tracks.table, label, len(tracked.frames), np.repeat(tracks.first_track[:-1], sizes))
        for tracks in (tracked.annotated, tracked.predicted)
    )
    return TrackedClass(name, label, annotated, predicted, find_pairs(annotated, predicted, GATE_M))


def match_scenes(
    tracked: TrackedScenes, class_: TrackedClass, threshold: float, executor: Executor
) -> list[tuple[IntArray, BoolArray, FloatArray]]:
    """Match one class in each scene at one threshold; see `matching.match_scene`."""

    def of_scene(scene: int) -> tuple[IntArray, BoolArray, FloatArray]:
        matches: tuple[IntArray, BoolArray, FloatArray] = match_scene(
            class_.annotated,
            class_.predicted,
            class_.pairs,
            tracked.first_frame[scene],
            tracked.first_frame[scene + 1],
            tracked.annotated.n_tracks[scene],
            tracked.predicted.n_tracks[scene],
            threshold,
            GATE_M,
        )
        return matches

    return list(executor.map(of_scene, range(len(tracked.scenes))))


def _timestamps_us(scenes: Sequence[Scene]) -> IntArray:
    for scene in scenes:
        for before, after in zip(scene.frames, scene.frames[1:], strict=False):
            if after.timestamp_us <= before.timestamp_us:
                raise InputError(
                    f"scene '{scene.name}': time does not increase from sample '{before.token}' to '{after.token}'; "
                    "tracks cannot be evaluated"
                )
    return np.array([frame.timestamp_us for scene in scenes for frame in scene.frames], dtype=np.int64)


def _check_annotated_once(annotated: EvaluatedTracks, frames: Sequence[Frame]) -> None:
    table = annotated.table
    order = np.lexsort((table.frame, table.track))
    same = (np.diff(table.track[order]) == 0) & (np.diff(table.frame[order]) == 0)
    if same.any():
        frame = frames[table.frame[order[np.argmax(same)]]]
        raise InputError(f"sample '{frame.token}': an instance is annotated more than once")
