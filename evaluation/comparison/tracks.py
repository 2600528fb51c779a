"""Tracking runs side by side, by a paired bootstrap over scenes (`evaluation.comparison.bootstrap`).

The score thresholds stay those of the whole set, so that a draw of every scene once gives the official number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from evaluation.comparison.bootstrap import Difference, differences, draw_scenes
from evaluation.engine.box_table import IntArray
from evaluation.engine.clear_events import count_events
from evaluation.engine.tracked_scenes import GATE_M, TrackedClass, TrackedScenes, prepare_tracks, tracked_class
from evaluation.tracking import (
    AVERAGED,
    N_THRESHOLDS,
    WORST,
    average_over_thresholds,
    best_threshold_index,
    class_curves,
    metrics_of_counts,
    over_classes,
)
from scenes import Results, Scene, shared_taxonomy
from scenes.geometry import FloatArray

N_DRAWS = 2000

HIGHER_IS_BETTER = {"amota": True, "amotp": False, "mota": True, "recall": True, "ids": False}
"""The metrics that are compared."""

_NEVER_FOUND = {**WORST, "ids": np.nan}
"""What the official evaluation says of a class that no recall threshold is reached for."""


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What a class's metrics are made of, scene by scene.

    Attributes:
        n_annotations: (S,) annotated boxes.
        counts: (S, T, 11) at the T thresholds whose recall is reached; columns as in `clear_events.Count`.
        total_m: (S, T) summed distance of matches.
        best: which of the T has the highest MOTA over all scenes; None if no recall is reached.
    """

    n_annotations: IntArray
    counts: IntArray
    total_m: FloatArray
    best: int | None


def compare_tracks(
    runs: Mapping[str, Results], scenes: Sequence[Scene], *, draws: int = N_DRAWS, seed: int = 0
) -> dict[str, list[Difference]]:
    """Compare every run with the first.

    Args:
        runs: tracks of each run, by name; each holds every key frame of `scenes`.
        scenes: annotated scenes.
        draws: how often scenes are drawn.
        seed: of the draws.

    Returns:
        For every run but the first, the difference of each metric.
    """
    weights = draw_scenes(len(scenes), draws, seed)
    once = np.ones((1, len(scenes)), np.int64)
    classes = {name: _count_classes(results, scenes) for name, results in runs.items()}
    values = {
        name: {metric: float(value[0]) for metric, value in _metrics(of_run, once).items()}
        for name, of_run in classes.items()
    }
    return differences(values, {name: _metrics(of_run, weights) for name, of_run in classes.items()}, HIGHER_IS_BETTER)


def _count_classes(results: Results, scenes: Sequence[Scene]) -> list[ClassCounts]:
    """The counts of every class that is annotated."""
    names = shared_taxonomy(results, scenes).tracked_names
    tracked = prepare_tracks(results.boxes, scenes)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        counted = [_count_class(tracked, tracked_class(tracked, name), executor) for name in names]
    return [counts for counts in counted if counts is not None]


def _count_class(tracked: TrackedScenes, class_: TrackedClass, executor: Executor) -> ClassCounts | None:
    n_annotations = np.diff(class_.annotated.first_box[tracked.first_frame])
    if not n_annotations.any():
        return None
    curves = class_curves(tracked, class_, executor)
    reached = ~np.isnan(curves["confidence"])

    def count_scene(scene: int) -> tuple[IntArray, FloatArray]:
        counted: tuple[IntArray, FloatArray] = count_events(
            class_.annotated,
            class_.predicted,
            class_.pairs,
            tracked.first_frame[scene : scene + 2],
            tracked.annotated.n_tracks[scene : scene + 1],
            tracked.predicted.n_tracks[scene : scene + 1],
            curves["confidence"][reached],
            GATE_M,
        )
        return counted

    counts, total_m = zip(*executor.map(count_scene, range(len(tracked.scenes))), strict=True)
    best = best_threshold_index(curves["mota"][reached]) if reached.any() else None
    return ClassCounts(n_annotations, np.array(counts), np.array(total_m), best)


def _metrics(classes: Sequence[ClassCounts], weights: IntArray) -> dict[str, FloatArray]:
    """The metrics (R,) over all classes for R draws with weights (R, S)."""
    by_class = [_class_metrics(class_, weights) for class_ in classes]
    absent = [np.full(len(weights), np.nan)]
    return {
        metric: over_classes(metric, np.array([values[metric] for values in by_class] or absent))
        for metric in HIGHER_IS_BETTER
    }


def _class_metrics(class_: ClassCounts, weights: IntArray) -> dict[str, FloatArray]:
    """The metrics (R,) of one class; NaN for draws without an annotation."""
    n_annotations = weights @ class_.n_annotations
    if class_.best is None:
        metrics = {metric: np.full(len(weights), _NEVER_FOUND[metric]) for metric in HIGHER_IS_BETTER}
    else:
        counts = np.tensordot(weights, class_.counts, axes=1)
        curves = metrics_of_counts(counts, weights @ class_.total_m, n_annotations[:, None])
        metrics = {metric: curves[metric][:, class_.best] for metric in HIGHER_IS_BETTER.keys() & curves.keys()}
        unreached = np.full((len(weights), N_THRESHOLDS - class_.counts.shape[1]), np.nan)
        for metric, averaged in AVERAGED.items():
            metrics[metric] = average_over_thresholds(metric, np.hstack([unreached, curves[averaged]]))
    return {metric: np.where(n_annotations > 0, values, np.nan) for metric, values in metrics.items()}
