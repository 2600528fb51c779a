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
from evaluation.engine.clear_events import Count, count_events
from evaluation.engine.tracked_scenes import GATE_M, TrackedClass, TrackedScenes, prepare_tracks, tracked_class
from evaluation.tracking import best_threshold_index, class_curves
from scenes import TRACKING_CLASSES, Results, Scene
from scenes.geometry import FloatArray

N_DRAWS = 2000

HIGHER_IS_BETTER = {"amota": True, "amotp": False, "mota": True, "recall": True, "ids": False}
"""The metrics that are compared."""

_WORST_DISTANCE_M = 2.0


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What a class's metrics are made of, scene by scene.

    Attributes:
        n_annotations: (S,) annotated boxes.
        counts: (S, 40, 11) columns as in `clear_events.Count`; 0 where the recall is not reached.
        total_m: (S, 40) summed distance of matches.
        best: index of the highest MOTA over all scenes.
    """

    n_annotations: IntArray
    counts: IntArray
    total_m: FloatArray
    best: int


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
    tracked = prepare_tracks(results.boxes, scenes)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        counted = [_count_class(tracked, tracked_class(tracked, name), executor) for name in TRACKING_CLASSES]
    return [counts for counts in counted if counts is not None]


def _count_class(tracked: TrackedScenes, class_: TrackedClass, executor: Executor) -> ClassCounts | None:
    curves = class_curves(tracked, class_, executor)
    best = best_threshold_index(curves["mota"])
    if best is None:
        return None
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

    counts = np.zeros((len(tracked.scenes), len(reached), len(Count)), np.int64)
    total_m = np.zeros((len(tracked.scenes), len(reached)))
    for scene, of_scene in enumerate(executor.map(count_scene, range(len(tracked.scenes)))):
        counts[scene, reached], total_m[scene, reached] = of_scene
    return ClassCounts(np.diff(class_.annotated.first_box[tracked.first_frame]), counts, total_m, best)


def _metrics(classes: Sequence[ClassCounts], weights: IntArray) -> dict[str, FloatArray]:
    """The metrics (R,) over all classes for R draws with weights (R, S)."""
    by_class = [_class_metrics(class_, weights) for class_ in classes]
    combine = {metric: np.nansum if metric == "ids" else _mean_of_defined for metric in HIGHER_IS_BETTER}
    return {
        metric: combined(np.array([values[metric] for values in by_class]), axis=0)
        for metric, combined in combine.items()
    }


def _mean_of_defined(values: FloatArray, axis: int) -> FloatArray:
    defined = ~np.isnan(values)
    mean: FloatArray = np.where(defined, values, 0).sum(axis) / np.maximum(defined.sum(axis), 1)
    return mean


def _class_metrics(class_: ClassCounts, weights: IntArray) -> dict[str, FloatArray]:
    """The metrics (R,) of one class; NaN for draws without an annotation."""
    counts = np.tensordot(weights, class_.counts, axes=1)
    total_m = weights @ class_.total_m
    boxes = (weights @ class_.n_annotations).astype(np.float64)
    boxes[boxes == 0] = np.nan
    tp, fp, fn, ids = (
        counts[..., column] for column in (Count.MATCHES, Count.FALSE_POSITIVES, Count.MISSES, Count.SWITCHES)
    )
    motar = np.where(tp > 0, np.maximum(0, 1 - fp / np.maximum(tp, 1)), 0)
    matched = tp + ids
    motp = np.where(matched > 0, total_m / np.maximum(matched, 1), _WORST_DISTANCE_M)
    at_best = [values[:, class_.best] for values in (tp, fp, fn, ids)]
    errors = at_best[1] + at_best[2] + at_best[3]
    absent = np.isnan(boxes)
    return {
        "amota": np.where(absent, np.nan, motar.mean(axis=1)),
        "amotp": np.where(absent, np.nan, motp.mean(axis=1)),
        "mota": np.maximum(0, 1 - errors / boxes),
        "recall": (at_best[0] + at_best[3]) / boxes,
        "ids": np.where(absent, np.nan, at_best[3]),
    }
