"""Everything this project says of tracks beyond the official metrics, in one structure that can be written as JSON.

Metrics that need one score threshold are taken at that of the class's highest MOTA, like the official ones.

    sAMOTA = mean over the 40 recalls r of max(0, 1 - (FN + IDS + FP - (1 - r) n) / (r n)), 0 where r is not reached

with the recall r that the threshold is meant for (X. Weng et al., "3D multi-object tracking: a baseline and new
evaluation metrics", IROS 2020); MOTAR differs in that it takes the recall that the threshold gives.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from evaluation.analysis.breakdown import breakdown
from evaluation.analysis.diagnosis import ORACLES, ErrorCounter, count_kinds, error_counter, oracle_amota
from evaluation.analysis.error_kinds import Kind
from evaluation.analysis.hota import identity_metrics
from evaluation.analysis.matched_class import MatchedClass, match_class
from evaluation.analysis.worst_tracks import worst_tracks
from evaluation.engine.matching import NONE
from evaluation.engine.tracked_scenes import TrackedScenes, prepare_tracks, tracked_class
from evaluation.evaluation import Evaluation
from evaluation.tracking import operating_threshold
from scenes import Results, Scene, shared_taxonomy
from scenes.geometry import FloatArray

N_WORST_TRACKS = 50
N_CALIBRATION_PARTS = 10


def analyse_tracks(results: Results, scenes: Sequence[Scene], evaluation: Evaluation) -> dict[str, Any]:
    """Analyse tracks that were evaluated.

    Args:
        results: the tracks.
        scenes: the annotated scenes.
        evaluation: what the official metrics say of them.

    Returns:
        `identity`: HOTA, DetA, AssA, LocA, IDF1, sAMOTA by class and over all; `birth_latency_s`: of each class;
        `breakdown`: by range, speed and visibility; `errors`: by kind and class; `oracles`: AMOTA by oracle and class;
        `confusion`: what false positives of kind class lie on; `calibration`: precision by score; `worst_tracks`: the
        list that `evaluation.analysis.worst_tracks` gives.
    """
    names = shared_taxonomy(results, scenes).tracked_names
    tracked = prepare_tracks(results.boxes, scenes)
    curves = {
        name: {key: np.array(values) for key, values in by_name.items()} for name, by_name in evaluation.details.items()
    }
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        parts = {name: _analyse_class(tracked, name, curves[name], executor) for name in names}
    present = {name: part for name, part in parts.items() if part}
    return {
        "identity": _with_mean({name: part["identity"] for name, part in present.items()}),
        "birth_latency_s": {name: part["birth_latency_s"] for name, part in present.items()},
        "breakdown": {name: part["breakdown"] for name, part in present.items()},
        "errors": {name: part["errors"] for name, part in present.items()},
        "oracles": _with_mean({name: part["oracles"] for name, part in present.items()}),
        "confusion": {name: part["confusion"] for name, part in present.items()},
        "calibration": {name: part["calibration"] for name, part in present.items()},
        "worst_tracks": worst_tracks(tracked, [part["matched"] for part in present.values()], N_WORST_TRACKS),
    }


def _analyse_class(
    tracked: TrackedScenes, name: str, curves: Mapping[str, FloatArray], executor: Executor
) -> dict[str, Any]:
    """The analysis of one class; empty for a class without annotations."""
    threshold = operating_threshold(curves)
    if threshold is None:
        return {}
    class_ = tracked_class(tracked, name)
    counter = error_counter(tracked, class_)
    matched = match_class(tracked, counter, threshold, executor)
    tracks = (tracked.first_frame, tracked.annotated.n_tracks, tracked.predicted.n_tracks)
    return {
        "matched": matched,
        "identity": {
            **identity_metrics(class_.annotated, class_.predicted, *tracks, threshold),
            "samota": samota(curves),
        },
        "birth_latency_s": _birth_latency_s(matched, tracked),
        "breakdown": breakdown(tracked, matched),
        "errors": _count_by_kind(matched),
        "oracles": _oracles(tracked, counter, curves, executor),
        "confusion": _confusion(tracked, matched),
        "calibration": _calibration(match_class(tracked, counter, -np.inf, executor)),
    }


def samota(curves: Mapping[str, FloatArray]) -> float:
    """sAMOTA of one class from its `recall_hypo`, `tp`, `fp`, `fn`, `ids` and `gt` (40,)."""
    recall, boxes = curves["recall_hypo"], curves["gt"]
    errors = curves["fn"] + curves["ids"] + curves["fp"]
    scaled = np.maximum(0, 1 - (errors - (1 - recall) * boxes) / (recall * boxes))
    return float(np.mean(np.nan_to_num(np.minimum(scaled, 1), nan=0)))


def _oracles(
    tracked: TrackedScenes, counter: ErrorCounter, curves: Mapping[str, FloatArray], executor: Executor
) -> dict[str, float]:
    reached = ~np.isnan(curves["confidence"])
    kinds = np.zeros((len(reached), len(Kind) + 1), np.int64)
    if reached.any():
        thresholds, occurrence = np.unique(curves["confidence"][reached], return_inverse=True)
        kinds[reached] = count_kinds(tracked, counter, thresholds, executor)[occurrence]
    values = {oracle: oracle_amota(curves, kinds, mended) for oracle, mended in ORACLES.items()}
    return {"none": oracle_amota(curves, kinds, ()), **values}


def _count_by_kind(matched: MatchedClass) -> dict[str, int]:
    kinds = np.concatenate([matched.annotated_kind, matched.predicted_kind])
    return {kind.name.lower(): int((kinds == kind).sum()) for kind in Kind}


def _birth_latency_s(matched: MatchedClass, tracked: TrackedScenes) -> dict[str, float]:
    """How long annotated tracks wait for their first match, and the share of those that wait in vain."""
    annotated = matched.class_.annotated
    keys = np.stack([matched.annotated_scene, annotated.track])
    _, first, track = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    found = np.flatnonzero(matched.partner != NONE)
    first_match = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(first_match, track.reshape(-1)[found], matched.annotated_frame[found])
    is_found = np.bincount(track.reshape(-1)[found], minlength=len(first)) > 0
    time_us = np.array([frame.timestamp_us for frame in tracked.frames], dtype=np.int64)
    waited_s = 1e-6 * (time_us[first_match[is_found]] - time_us[matched.annotated_frame[first][is_found]])
    return {
        "median": float(np.median(waited_s)) if len(waited_s) else np.nan,
        "90%": float(np.quantile(waited_s, 0.9)) if len(waited_s) else np.nan,
        "mean": float(np.mean(waited_s)) if len(waited_s) else np.nan,
        "never": float(1 - is_found.mean()),
    }


def _confusion(tracked: TrackedScenes, matched: MatchedClass) -> dict[str, int]:
    """How many false positives of kind class lie nearest to an annotation of which class."""
    table = tracked.annotated.table
    nearest: Counter[str] = Counter()
    for p in np.flatnonzero(matched.predicted_kind == Kind.CLASS):
        frame = matched.predicted_frame[p]
        here = slice(*np.searchsorted(table.frame, [frame, frame + 1]))
        offset_m = table.xy_m[here] - matched.class_.predicted.xy_m[p]
        other = table.label[here] != matched.class_.label
        label = table.label[here][np.argmin(np.where(other, np.hypot(offset_m[:, 0], offset_m[:, 1]), np.inf))]
        nearest[tracked.taxonomy.names[label]] += 1
    return dict(nearest)


def _calibration(matched: MatchedClass) -> list[dict[str, float]]:
    """For ten equal parts of the predictions, by score, the mean score and the share that has an annotation."""
    order = np.argsort(matched.class_.predicted.score, kind="stable")
    score, is_partner = matched.class_.predicted.score[order], matched.is_partner[order]
    return [
        {"score": float(score[part].mean()), "precision": float(is_partner[part].mean()), "boxes": len(part)}
        for part in np.array_split(np.arange(len(order)), N_CALIBRATION_PARTS)
        if len(part)
    ]


def _with_mean(by_class: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The same with the mean over the classes as `all`."""
    names = list(next(iter(by_class.values()), {}))
    mean = {name: float(np.mean([values[name] for values in by_class.values()])) for name in names}
    return {**by_class, "all": mean}
