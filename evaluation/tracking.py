"""The official nuScenes tracking metrics (nuscenes-devkit 1.2.0, `nuscenes/eval/tracking`).

For each class, with n annotated boxes after filtering and gap filling:

Thresholds. All predictions take part once; the scores of the matches (switches left out), in descending order
s_1 >= s_2 >= ..., reach the recalls k / n. The score thresholds belong to the 40 recalls 0.1, ..., 1 by linear
interpolation and are NaN above the highest recall reached. A box takes part at a threshold if its score reaches it.

At each threshold, with TP matches, IDS switches, FN misses, FP predictions without partner, d distances:

    recall = (TP + IDS) / n                 MOTA  = max(0, 1 - (FN + IDS + FP) / n)
    MOTP   = sum d / (TP + IDS)             MOTAR = max(0, 1 - (FN + IDS + FP - (1 - r) n) / (r n)),  r = TP / n
    FAF    = 100 FP / frames                MT, ML: tracks matched in >= 80%, < 20% of their frames
    FRAG: runs of misses between matches    TID, LGD: mean time to the first match, mean longest gap, 0.5 s a frame

Over thresholds: AMOTA = mean MOTAR with 0 for NaN, AMOTP = mean MOTP with 2 m for NaN; the other metrics are those of
the threshold of the highest MOTA, of several the one of highest recall. Over classes: the mean of the defined values,
for MT, ML, TP, FP, FN, IDS, FRAG the sum. A class without annotations has no metrics; one whose matches do not reach
the lowest recall has the worst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from evaluation.engine.box_table import IntArray
from evaluation.engine.clear_events import Count, count_events, match_scores
from evaluation.engine.configuration import KEY_FRAME_PERIOD_S, TRACKING_CONFIG, tracking_config
from evaluation.engine.tracked_scenes import (
    GATE_M,
    TrackedClass,
    TrackedScenes,
    match_scenes,
    prepare_tracks,
    tracked_class,
)
from evaluation.evaluation import Evaluation, Interpolation
from scenes import InputError, Results, Scene, Taxonomy, shared_taxonomy
from scenes.geometry import FloatArray

METRICS = (
    *("amota", "amotp", "recall", "motar", "gt", "mota", "motp"),
    *("mt", "ml", "faf", "tp", "fp", "fn", "ids", "frag", "tid", "lgd"),
)
SUMMED_METRICS = ("mt", "ml", "tp", "fp", "fn", "ids", "frag")
CURVES = tuple(name for name in METRICS if name not in ("amota", "amotp"))

N_THRESHOLDS: int = TRACKING_CONFIG["num_thresholds"]
WORST: Mapping[str, float] = TRACKING_CONFIG["metric_worst"]
AVERAGED = {"amota": "motar", "amotp": "motp"}
_SCENES_PER_TASK = 8


def tracking_metrics(
    results: Results, scenes: Sequence[Scene], *, interpolation: Interpolation = "devkit"
) -> Evaluation:
    """The official metrics of tracks that are held in memory.

    Args:
        results: boxes with `track_id` for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.
        interpolation: how boxes in the gaps of tracks are weighed; `devkit` gives the official numbers.

    Raises:
        InputError: the tracks or the annotations cannot be evaluated.
    """
    started = time.perf_counter()
    taxonomy = shared_taxonomy(results, scenes)
    tracked = prepare_tracks(results.boxes, scenes, interpolation)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        classes = list(executor.map(lambda name: tracked_class(tracked, name), taxonomy.tracked_names))
        curves = {class_.name: class_curves(tracked, class_, executor) for class_ in classes}
    return evaluation_of_curves(curves, taxonomy, results.meta, started)


def evaluation_of_curves(
    curves: Mapping[str, Mapping[str, FloatArray]], taxonomy: Taxonomy, meta: Mapping[str, Any], started: float
) -> Evaluation:
    """The evaluation that the curves of all classes are.

    Args:
        curves: by class, see `class_curves`. taxonomy: the classes.
        meta: of the results. started: when the evaluation was, by `time.perf_counter`.
    """
    summary = summarise(curves)
    summary |= {
        "eval_time": time.perf_counter() - started,
        "cfg": tracking_config(taxonomy),
        "meta": dict(meta),
    }
    details = {name: {key: values.tolist() for key, values in by_name.items()} for name, by_name in curves.items()}
    return Evaluation("tracking", summary, details)


def class_curves(tracked: TrackedScenes, class_: TrackedClass, executor: Executor) -> dict[str, FloatArray]:
    """The metrics of one class at its 40 thresholds, from the highest recall to the lowest.

    Raises:
        InputError: more predictions are matched than there are annotations.
    """
    return curves_of_class(
        len(class_.annotated.track),
        lambda: match_scores(class_.predicted, match_scenes(tracked, class_, -np.inf, executor)),
        lambda: count_instances(tracked, class_),
        lambda thresholds: _count_events(tracked, class_, thresholds, executor),
    )


def curves_of_class(
    n_annotations: int,
    scores: Callable[[], FloatArray],
    n_instances: Callable[[], int],
    count: Callable[[FloatArray], tuple[IntArray, FloatArray]],
) -> dict[str, FloatArray]:
    """The metrics of one class, see `class_curves`, from what is asked for as far as it is needed.

    Args:
        n_annotations: annotated boxes.
        scores: of all matches, in any order.
        n_instances: annotated identities.
        count: the counts (T, 11) and the distances (T,) at T thresholds, see `clear_events.count_events`.
    """
    if n_annotations == 0:
        return dict.fromkeys(("confidence", "recall_hypo", *CURVES), np.full(N_THRESHOLDS, np.nan))
    thresholds, recalls = recall_thresholds(scores(), n_annotations)
    reached, occurrence = np.unique(thresholds[~np.isnan(thresholds)], return_inverse=True)
    if len(reached) == 0:
        curves = _worst_curves(n_annotations, n_instances())
    else:
        counts, total_m = count(reached)
        n_unreached = N_THRESHOLDS - len(occurrence)
        curves = {
            name: np.concatenate([np.full(n_unreached, np.nan), values[occurrence]])
            for name, values in metrics_of_counts(counts, total_m, n_annotations).items()
        }
    return {"confidence": thresholds, "recall_hypo": recalls, **curves}


def recall_thresholds(scores: FloatArray, n_annotations: int) -> tuple[FloatArray, FloatArray]:
    """The 40 score thresholds and the recalls that they are meant to reach, highest recall first.

    Args:
        scores: (M,) scores of the matches, in any order.
        n_annotations: how many boxes could have been matched.

    Raises:
        InputError: there are more matches than annotations.
    """
    if len(scores) == 0:
        return np.full(N_THRESHOLDS, np.nan), np.full(N_THRESHOLDS, np.nan)
    if len(scores) > n_annotations:
        raise InputError(
            f"{len(scores)} predicted boxes are matched with {n_annotations} annotated ones: "
            "a tracking_id stands at several boxes of a sample"
        )
    descending = np.sort(scores)[::-1]
    reached = np.arange(1, len(scores) + 1) / n_annotations
    recalls = np.linspace(TRACKING_CONFIG["min_recall"], 1, N_THRESHOLDS).round(12)
    thresholds = np.interp(recalls, reached, descending, right=0)
    thresholds[recalls > reached[-1]] = np.nan
    return thresholds[::-1], recalls[::-1]


def summarise(curves: Mapping[str, Mapping[str, FloatArray]]) -> dict[str, Any]:
    """The metrics of each class (`label_metrics`) and over all classes."""
    by_class = {name: _class_metrics(class_curves) for name, class_curves in curves.items()}
    label_metrics = {metric: {name: by_class[name][metric] for name in curves} for metric in METRICS}
    totals = {
        metric: float(over_classes(metric, np.array(list(values.values())))) for metric, values in label_metrics.items()
    }
    return {"label_metrics": label_metrics, **totals}


def operating_threshold(curves: Mapping[str, FloatArray]) -> float | None:
    """The score from which on predictions of a class take part where its MOTA is highest, see `class_curves`.

    Infinite where no recall is reached: no prediction takes part then. None for a class without annotations.
    """
    best = best_threshold_index(curves["mota"])
    return None if best is None else float(np.nan_to_num(curves["confidence"][best], nan=np.inf))


def best_threshold_index(mota: FloatArray) -> int | None:
    """Where MOTA is highest, first of several; None where it is nowhere defined."""
    return None if np.isnan(mota).all() else int(np.nanargmax(mota))


def average_over_thresholds(metric: str, values: FloatArray) -> FloatArray:
    """AMOTA or AMOTP from MOTAR or MOTP (..., 40): the mean, with the worst value where they are not defined."""
    mean: FloatArray = np.mean(np.where(np.isnan(values), WORST[metric], values), axis=-1)
    return mean


def _class_metrics(curves: Mapping[str, FloatArray]) -> dict[str, float]:
    best = best_threshold_index(curves["mota"])
    if best is None:
        return dict.fromkeys(METRICS, np.nan)
    metrics = {name: float(curves[name][best]) for name in CURVES}
    for name, averaged in AVERAGED.items():
        metrics[name] = float(average_over_thresholds(name, curves[averaged]))
    return metrics


def over_classes(metric: str, values: Any) -> Any:
    """A metric over all classes: the sum or the mean of what is defined of (C, ...) values; NaN where no mean is."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=0)
    if metric in SUMMED_METRICS:
        return total
    with np.errstate(invalid="ignore"):
        return total / defined.sum(axis=0)


def metrics_of_counts(counts: IntArray, total_m: FloatArray, n_annotations: int | IntArray) -> dict[str, FloatArray]:
    """The metrics of a class at T thresholds.

    Args:
        counts: (..., T, 11) columns as in `clear_events.Count`. total_m: (..., T) summed distance of matches.
        n_annotations: annotated boxes, one number or (..., 1); all metrics are meaningless where there are none.
    """
    tp, ids, fn, fp = (
        counts[..., column] for column in (Count.MATCHES, Count.SWITCHES, Count.MISSES, Count.FALSE_POSITIVES)
    )
    errors = fn + ids + fp
    matched = tp + ids
    matched_tracks = counts[..., Count.MATCHED_TRACKS]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall_of_matches = tp / n_annotations
        excess = (errors - (1 - recall_of_matches) * n_annotations) / (recall_of_matches * n_annotations)
        metrics = {
            "recall": matched / n_annotations,
            "motar": np.where(tp > 0, np.maximum(0, 1 - excess), np.nan),
            "gt": np.broadcast_to(n_annotations, tp.shape),
            "mota": np.maximum(0, 1 - errors / n_annotations),
            "motp": np.where(matched > 0, total_m / matched, np.nan),
            "mt": counts[..., Count.MOSTLY_TRACKED],
            "ml": counts[..., Count.MOSTLY_LOST],
            "faf": fp / counts[..., Count.FRAMES] * 100,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "ids": ids,
            "frag": counts[..., Count.FRAGMENTATIONS],
            "tid": counts[..., Count.INITIALISATION_FRAMES] * KEY_FRAME_PERIOD_S / matched_tracks,
            "lgd": counts[..., Count.LONGEST_GAP_FRAMES] * KEY_FRAME_PERIOD_S / matched_tracks,
        }
    return {name: values.astype(np.float64) for name, values in metrics.items()}


def _worst_curves(n_annotations: int, n_instances: int) -> dict[str, FloatArray]:
    """What the devkit assigns where no recall threshold is reached. Errors that cannot be attributed are NaN."""
    unknown = dict.fromkeys(("fp", "ids", "frag"), np.nan)
    worst = {**WORST, **unknown, "ml": n_instances, "gt": n_annotations, "fn": n_annotations}
    return {name: np.full(N_THRESHOLDS, float(worst[name])) for name in CURVES}


def count_instances(tracked: TrackedScenes, class_: TrackedClass) -> int:
    """How many objects of a class are annotated."""
    rows = tracked.annotated.table.source[class_.annotated.row]
    identities = tracked.annotated.given.boxes.track_id
    assert identities is not None
    return len(np.unique(identities[rows]))


def _count_events(tracked: TrackedScenes, class_: TrackedClass, thresholds: FloatArray, executor: Executor) -> Any:
    parts = executor.map(
        lambda scenes: count_events(
            *(class_.annotated, class_.predicted, class_.pairs),
            *_scene_arguments(tracked, scenes),
            thresholds,
            GATE_M,
        ),
        _scene_blocks(tracked),
    )
    counts, total_m = zip(*parts, strict=True)
    return np.sum(counts, axis=0), np.sum(total_m, axis=0)


def _scene_blocks(tracked: TrackedScenes) -> list[slice]:
    """Scenes are independent of each other: each block is one task for the pool."""
    return [slice(start, start + _SCENES_PER_TASK) for start in range(0, len(tracked.scenes), _SCENES_PER_TASK)]


def _scene_arguments(tracked: TrackedScenes, scenes: slice) -> tuple[Any, Any, Any]:
    first_frame = tracked.first_frame[scenes.start : scenes.stop + 1]
    return first_frame, tracked.annotated.n_tracks[scenes], tracked.predicted.n_tracks[scenes]
