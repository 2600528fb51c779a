"""The official nuScenes detection metrics (nuscenes-devkit 1.2.0, `nuscenes/eval/detection`).

For each class and each matching distance of 0.5, 1, 2 and 4 m:

Matching. Predictions in descending order of score, of equal ones the later in the file first, take the nearest
annotation of their class and sample that is not taken, if it is nearer than the matching distance: true positives.
Precision TP / (TP + FP) and confidence are interpolated at the recalls 0, 0.01, ..., 1; they are 0 beyond the
highest recall.

    AP = mean over recalls > 0.1 of max(0, precision - 0.1) / 0.9           mAP = mean over distances, then classes

Errors of the true positives at 2 m, each the running mean over descending scores, interpolated at the confidences of
the 101 recalls and averaged from recall 0.11 to the highest; 1 if that is not reached:

    trans, scale, orient, vel, attr: `evaluation.engine.detection_errors`

What an annotation lacks (velocity, attribute) is left out of the mean. Traffic cones have no orientation, velocity and
attribute errors, barriers no velocity and attribute errors: round classes have no orientation error, static ones no
velocity error, and classes without attributes no attribute error. An error that no class has is left out of the NDS.

    NDS = (5 mAP + sum over the five errors of (1 - min(1, mean over classes))) / 10
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

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
from evaluation.engine.configuration import DETECTION_CONFIG, detection_config, range_of_label_m
from evaluation.engine.detection_errors import detection_errors, running_mean
from evaluation.engine.distance import product_rounding, rounded_product
from evaluation.evaluation import Evaluation
from scenes import InputError, ObjectClass, Results, Scene, Taxonomy, shared_taxonomy
from scenes.compiled import compiled
from scenes.geometry import FloatArray

MATCHING_DISTANCES_M: tuple[float, ...] = tuple(DETECTION_CONFIG["dist_ths"])
ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
N_RECALLS = 101

_MIN_RECALL: float = DETECTION_CONFIG["min_recall"]
_MIN_PRECISION: float = DETECTION_CONFIG["min_precision"]

Curves = Mapping[str, FloatArray]
"""`recall`, `precision`, `confidence` and the five errors of a class at one matching distance, (101,) each."""


@dataclass(frozen=True, eq=False)
class ClassDetections:
    """The annotations and predictions of one class.

    Attributes:
        class_: the class.
        annotated: annotations, frame after frame.
        predicted: predictions of all classes, which are many: they are not copied class by class.
        rows: (P,) those of this class, in the order in which they are matched.
    """

    class_: ObjectClass
    annotated: BoxTable
    predicted: BoxTable
    rows: IntArray

    @property
    def score(self) -> FloatArray:
        """(P,) scores of the predictions, descending."""
        return self.predicted.boxes.score[self.rows]

    @property
    def frame(self) -> IntArray:
        """(P,) index of each prediction's key frame."""
        return self.predicted.frame[self.rows]

    def errors(self, match: IntArray) -> dict[str, FloatArray]:
        """The errors (M,) of the true positives, for the annotation (P,) that each prediction takes, -1 for none."""
        is_match = match >= 0
        truth = self.annotated.boxes.select(match[is_match])
        return detection_errors(truth, self.predicted.boxes.select(self.rows[is_match]), thin=self.class_.thin)


def detection_metrics(results: Results, scenes: Sequence[Scene]) -> Evaluation:
    """The official metrics of detections that are held in memory.

    Args:
        results: boxes for every key frame of `scenes`, in global coordinates. Their order decides between
            detections of equal score.
        scenes: annotated scenes.

    Raises:
        InputError: the detections cannot be evaluated.
    """
    started = time.perf_counter()
    classes = prepare_detections(results, scenes)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        by_class = list(executor.map(detection_curves, classes))
    curves = {class_.class_: of_class for class_, of_class in zip(classes, by_class, strict=True)}
    return evaluation_of_curves(curves, results.taxonomy, results.meta, started)


def evaluation_of_curves(
    curves: Mapping[ObjectClass, Mapping[float, Curves]], taxonomy: Taxonomy, meta: Mapping[str, Any], started: float
) -> Evaluation:
    """The evaluation that the curves of all classes are.

    Args:
        curves: by class, see `detection_curves`. taxonomy: the classes.
        meta: of the results. started: when the evaluation was, by `time.perf_counter`.
    """
    summary = summarise(curves)
    summary |= {
        "eval_time": time.perf_counter() - started,
        "cfg": detection_config(taxonomy),
        "meta": dict(meta),
    }
    details = {
        f"{class_.name}:{distance_m}": {key: values.tolist() for key, values in at_distance.items()}
        for class_, of_class in curves.items()
        for distance_m, at_distance in of_class.items()
    }
    return Evaluation("detection", summary, details)


def prepare_detections(results: Results, scenes: Sequence[Scene]) -> list[ClassDetections]:
    """Filter the boxes, sort the predictions and part them by class, in the order of `detection_config`.

    Raises:
        InputError: the results have other classes than the scenes.
    """
    taxonomy = shared_taxonomy(results, scenes)
    config = detection_config(taxonomy)
    frame_of_token = {frame.token: frame for scene in scenes for frame in scene.frames}
    frames = [frame_of_token[token] for token in results.boxes]
    ranges_m = range_of_label_m(config, taxonomy)
    annotated, predicted = annotated_boxes(frames), predicted_boxes(frames, results.boxes)
    annotated = annotated.select(evaluated_annotations(annotated, frames, ranges_m, taxonomy))
    evaluated = evaluated_predictions(predicted, frames, ranges_m, taxonomy)

    def of_class(name: str) -> ClassDetections:
        label = taxonomy.label_of[name]
        rows = np.flatnonzero(evaluated & (predicted.boxes.label == label))
        descending = rows[np.argsort(predicted.boxes.score[rows], kind="stable")[::-1]]
        return ClassDetections(
            taxonomy.classes[label], annotated.select(annotated.boxes.label == label), predicted, descending
        )

    return [of_class(name) for name in config["class_range"]]


def match_detections(class_: ClassDetections, distances_m: Sequence[float]) -> IntArray:
    """(D, P) the annotation that each prediction takes at each matching distance, -1 for none."""
    n_frames = 1 + max(class_.annotated.frame.max(initial=0), class_.frame.max(initial=0))
    matches: IntArray = _match(
        np.searchsorted(class_.annotated.frame, np.arange(n_frames + 1)),
        np.ascontiguousarray(class_.annotated.boxes.center_m[:, :2]),
        class_.frame,
        class_.predicted.boxes.center_m[class_.rows, :2],
        np.array(distances_m, dtype=np.float64),
        product_rounding().norm,
    )
    return matches


@compiled(nogil=True)
def _match(
    first_annotation: IntArray,
    annotated_xy_m: FloatArray,
    frame: IntArray,
    predicted_xy_m: FloatArray,
    distances_m: FloatArray,
    rounding: int,
) -> IntArray:
    matches = np.full((len(distances_m), len(frame)), -1)
    taken = np.zeros((len(distances_m), len(annotated_xy_m)), np.bool_)
    offset_m = np.empty(2)
    nearest_m = np.empty(len(distances_m))
    for prediction in range(len(frame)):
        nearest_m[:] = distances_m
        for annotation in range(first_annotation[frame[prediction]], first_annotation[frame[prediction] + 1]):
            for axis in range(2):
                offset_m[axis] = predicted_xy_m[prediction, axis] - annotated_xy_m[annotation, axis]
            distance_m = np.sqrt(rounded_product(offset_m, offset_m, rounding))
            for level in range(len(distances_m)):
                if distance_m < nearest_m[level] and not taken[level, annotation]:
                    nearest_m[level] = distance_m
                    matches[level, prediction] = annotation
        for level in range(len(distances_m)):
            if matches[level, prediction] >= 0:
                taken[level, matches[level, prediction]] = True
    return matches


def detection_curves(class_: ClassDetections) -> dict[float, Curves]:
    """The curves of one class at each matching distance.

    Raises:
        InputError: negative scores stand where the devkit wants them to fall towards 0.
    """
    matches = match_detections(class_, MATCHING_DISTANCES_M)
    return {
        distance_m: precision_recall_curves(class_, of_distance)
        for distance_m, of_distance in zip(MATCHING_DISTANCES_M, matches, strict=True)
    }


def precision_recall_curves(class_: ClassDetections, match: IntArray) -> Curves:
    """The curves of one class for the annotation (P,) that each prediction takes, -1 for none.

    Raises:
        InputError: negative scores stand where the devkit wants them to fall towards 0.
    """
    curves = curves_of_matches(class_.score, match >= 0, class_.errors(match), len(class_.annotated))
    return falling(curves, class_.class_)


def falling(curves: Curves, class_: ObjectClass) -> Curves:
    """The curves of a class, if its confidences fall towards 0.

    Raises:
        InputError: negative scores stand where the devkit wants them to.
    """
    if (np.diff(curves["confidence"]) > 0).any():
        raise InputError(f"class '{class_.name}': negative scores, where the evaluation wants them between 0 and 1")
    return curves


def curves_of_matches(
    score: FloatArray, is_match: BoolArray, errors: Mapping[str, FloatArray], n_annotations: int
) -> Curves:
    """The curves of one class.

    Args:
        score: (P,) of the predictions, descending.
        is_match: (P,) which of them are true positives.
        errors: of the M true positives, (M,) each.
        n_annotations: how many there are to find.
    """
    if not is_match.any():
        return _no_matches()
    true_positives = np.cumsum(is_match).astype(np.float64)
    recall = true_positives / n_annotations
    recalls = np.linspace(0, 1, N_RECALLS)
    confidence = np.interp(recalls, recall, score, right=0)
    matched_score = score[is_match]
    return {
        "recall": recalls,
        "precision": np.interp(recalls, recall, true_positives / np.arange(1, len(score) + 1), right=0),
        "confidence": confidence,
        **{
            # Interpolation wants ascending scores.
            name: np.interp(confidence[::-1], matched_score[::-1], running_mean(values)[::-1])[::-1]
            for name, values in errors.items()
        },
    }


def summarise(curves: Mapping[ObjectClass, Mapping[float, Curves]]) -> dict[str, Any]:
    """AP, errors and NDS from the curves of every class, as the devkit's summary holds them."""
    aps = {
        class_.name: {str(d): average_precision(c["precision"]) for d, c in at.items()} for class_, at in curves.items()
    }
    class_aps = {name: float(np.mean(list(values.values()))) for name, values in aps.items()}
    errors = {class_.name: _class_errors(class_, at[DETECTION_CONFIG["dist_th_tp"]]) for class_, at in curves.items()}
    mean_errors = {error: _mean_over_classes([values[error] for values in errors.values()]) for error in ERRORS}
    scores = {error: max(0.0, 1.0 - value) for error, value in mean_errors.items() if not np.isnan(value)}
    mean_ap = float(np.mean(list(class_aps.values())))
    weight = DETECTION_CONFIG["mean_ap_weight"]
    return {
        "label_aps": aps,
        "mean_dist_aps": class_aps,
        "mean_ap": mean_ap,
        "label_tp_errors": errors,
        "tp_errors": mean_errors,
        "tp_scores": {error: scores.get(error, float("nan")) for error in ERRORS},
        "nd_score": float(weight * mean_ap + sum(scores.values())) / (weight + len(scores)),
    }


def average_precision(
    precision: FloatArray, min_recall: float = _MIN_RECALL, min_precision: float = _MIN_PRECISION
) -> float:
    """AP of the precisions (101,) at the recalls 0, 0.01, ..., 1.

    Raises:
        ValueError: `min_recall` does not lie in [0, 1] or `min_precision` not in [0, 1).
    """
    if not (0 <= min_recall <= 1 and 0 <= min_precision < 1):
        raise ValueError(f"min_recall {min_recall}, min_precision {min_precision}")
    above = np.maximum(precision[_first_index(min_recall) :] - min_precision, 0)
    return float(np.mean(above)) / (1.0 - min_precision)


def mean_error(error: FloatArray, confidence: FloatArray, min_recall: float = _MIN_RECALL) -> float:
    """The mean of an error (101,) up to the highest recall, which is the last of a confidence that is not 0."""
    first, last = _first_index(min_recall), int(np.flatnonzero(confidence).max(initial=0))
    return 1.0 if last < first else float(np.mean(error[first : last + 1]))


def _first_index(min_recall: float) -> int:
    """Index of the first recall above `min_recall`."""
    return round((N_RECALLS - 1) * min_recall) + 1


def _mean_over_classes(errors: Sequence[float]) -> float:
    """The mean of the classes that have an error; NaN where none has it."""
    return float("nan") if np.isnan(errors).all() else float(np.nanmean(errors))


def _class_errors(class_: ObjectClass, curves: Curves) -> dict[str, float]:
    lacks = {"orient_err": class_.round, "vel_err": class_.static, "attr_err": not class_.attributes}
    undefined = [error for error, is_lacking in lacks.items() if is_lacking]
    return {
        error: float("nan") if error in undefined else mean_error(curves[error], curves["confidence"])
        for error in ERRORS
    }


def _no_matches() -> Curves:
    return {
        "recall": np.linspace(0, 1, N_RECALLS),
        "precision": np.zeros(N_RECALLS),
        "confidence": np.zeros(N_RECALLS),
        **{error: np.ones(N_RECALLS) for error in ERRORS},
    }
