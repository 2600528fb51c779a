"""Detection runs side by side, by a paired bootstrap over scenes (`evaluation.comparison.bootstrap`).

Every draw is evaluated as the official evaluation would a set in which a scene that is drawn twice stands twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.comparison.bootstrap import Difference, Metrics, differences, draw_scenes
from evaluation.detection import (
    MATCHING_DISTANCES_M,
    ClassDetections,
    curves_of_matches,
    match_detections,
    prepare_detections,
    summarise,
)
from evaluation.engine.box_table import BoolArray, IntArray
from scenes import ObjectClass, Results, Scene
from scenes.geometry import FloatArray

N_DRAWS = 300

HIGHER_IS_BETTER = {
    "mean_ap": True,
    "nd_score": True,
    **dict.fromkeys(["trans_err", "scale_err", "orient_err", "vel_err", "attr_err"], False),
}
"""The metrics that are compared."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """What a class's curves are made of.

    Attributes:
        class_: the class.
        n_annotations: (S,) of each scene.
        score: (P,) descending.
        scene: (P,) index of each prediction's scene.
        is_match: (D, P) which predictions are true positives at each matching distance.
        errors: for each distance the errors of its true positives.
    """

    class_: ObjectClass
    n_annotations: IntArray
    score: FloatArray
    scene: IntArray
    is_match: BoolArray
    errors: tuple[Mapping[str, FloatArray], ...]


def compare_detections(
    runs: Mapping[str, Results], scenes: Sequence[Scene], *, draws: int = N_DRAWS, seed: int = 0
) -> dict[str, list[Difference]]:
    """Compare every run with the first.

    Args:
        runs: detections of each run, by name; each holds every key frame of `scenes`.
        scenes: annotated scenes.
        draws: how often scenes are drawn.
        seed: of the draws.

    Returns:
        For every run but the first, the difference of each metric.
    """
    weights = draw_scenes(len(scenes), draws, seed)
    matches = {name: match_classes(results, scenes) for name, results in runs.items()}
    values = {name: weighted_metrics(of_run, np.ones(len(scenes), np.int64)) for name, of_run in matches.items()}
    return differences(
        values, {name: _drawn_metrics(of_run, weights) for name, of_run in matches.items()}, HIGHER_IS_BETTER
    )


def match_classes(results: Results, scenes: Sequence[Scene]) -> list[ClassMatches]:
    """Match all detections once, in the order of `prepare_detections`."""
    scene_of_token = {token: index for index, scene in enumerate(scenes) for token in scene.sample_tokens}
    scene_of_frame = np.array([scene_of_token[token] for token in results.boxes])
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        classes = prepare_detections(results, scenes)
        return list(executor.map(lambda class_: _match_class(class_, scene_of_frame, len(scenes)), classes))


def _match_class(class_: ClassDetections, scene_of_frame: IntArray, n_scenes: int) -> ClassMatches:
    matches = match_detections(class_, MATCHING_DISTANCES_M)
    return ClassMatches(
        class_=class_.class_,
        n_annotations=np.bincount(scene_of_frame[class_.annotated.frame], minlength=n_scenes),
        score=class_.score,
        scene=scene_of_frame[class_.frame],
        is_match=matches >= 0,
        errors=tuple(class_.errors(match) for match in matches),
    )


def _drawn_metrics(classes: Sequence[ClassMatches], weights: IntArray) -> Metrics:
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        drawn = list(executor.map(lambda weight: weighted_metrics(classes, weight), weights))
    return {metric: np.array([values[metric] for values in drawn]) for metric in HIGHER_IS_BETTER}


def weighted_metrics(classes: Sequence[ClassMatches], weight: IntArray) -> dict[str, float]:
    """The metrics over all classes of a set that holds scene s `weight[s]` times."""
    summary = summarise({class_.class_: _curves(class_, weight) for class_ in classes})
    return {"mean_ap": summary["mean_ap"], "nd_score": summary["nd_score"], **summary["tp_errors"]}


def _curves(class_: ClassMatches, weight: IntArray) -> dict[float, Any]:
    times = weight[class_.scene]
    rows = np.repeat(np.arange(len(times)), times)
    n_annotations = int(weight @ class_.n_annotations)
    curves = {}
    for distance_m, is_match, errors in zip(MATCHING_DISTANCES_M, class_.is_match, class_.errors, strict=True):
        repeated = {name: np.repeat(values, times[is_match]) for name, values in errors.items()}
        curves[distance_m] = curves_of_matches(class_.score[rows], is_match[rows], repeated, n_annotations)
    return curves
