"""Where AMOTA is lost: the errors of each kind, and the AMOTA that mending one kind alone would give.

An oracle changes the counts of each of the 40 thresholds and leaves the thresholds where they are:

    a miss of kind k                  becomes a match:   FN -= n_k, TP += n_k
    a false positive of kind k        disappears:        FP -= n_k
    a false positive of kind location moves onto the missed annotation near it: FP -= n, FN -= n, TP += n
    a switch of kind k                becomes a match:   IDS -= n_k, TP += n_k

With MOTAR = max(0, 1 - FP / TP), which is what the official formula comes to. A recall that the tracks did not reach
takes the counts of the lowest threshold they have, if those, mended, reach it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from evaluation.analysis.error_kinds import (
    FALSE_POSITIVES,
    MISSES,
    SWITCHES,
    Kind,
    classify_errors,
    near_other_class,
)
from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.matching import ClassBoxes, Pairs, find_pairs, match_scene
from evaluation.engine.tracked_scenes import GATE_M, TrackedClass, TrackedScenes
from scenes.compiled import compiled
from scenes.geometry import FloatArray

_N_KINDS = len(Kind)
_LOCATED = _N_KINDS
"""Column of the missed annotations that have a false positive of kind `LOCATION` near them."""

_SLACK = 1e-9
"""Against rounding, where mended counts reach a recall exactly."""

ORACLES: dict[str, tuple[Kind, ...]] = {
    **{kind.name.lower(): (kind,) for kind in Kind},
    "misses": MISSES,
    "false positives": FALSE_POSITIVES,
    "identities": SWITCHES,
}
"""Which kinds each oracle mends."""


@dataclass(frozen=True, eq=False)
class ErrorCounter:
    """What is needed, besides the class itself, to find the kinds of its errors."""

    class_: TrackedClass
    far: Pairs
    other_class_near: BoolArray


def error_counter(tracked: TrackedScenes, class_: TrackedClass) -> ErrorCounter:
    """Find the pairs up to twice the gate, and the predictions that lie on annotations of other classes."""
    table = tracked.annotated.table
    return ErrorCounter(
        class_,
        find_pairs(class_.annotated, class_.predicted, 2 * GATE_M),
        near_other_class(
            np.searchsorted(table.frame, np.arange(len(tracked.frames) + 1)),
            np.ascontiguousarray(table.xy_m),
            table.label,
            class_.label,
            class_.predicted,
            GATE_M,
        ),
    )


def count_kinds(tracked: TrackedScenes, counter: ErrorCounter, thresholds: FloatArray, executor: Executor) -> IntArray:
    """(T, 11) errors at T thresholds by `Kind`, and the missed annotations near errors of kind `LOCATION`."""
    class_ = counter.class_

    def of_scene(scene: int) -> IntArray:
        counts: IntArray = _count_kinds(
            *(class_.annotated, class_.predicted, class_.pairs, counter.far, counter.other_class_near),
            (tracked.first_frame[scene], tracked.first_frame[scene + 1]),
            tracked.annotated.n_tracks[scene],
            tracked.predicted.n_tracks[scene],
            thresholds,
            GATE_M,
        )
        return counts

    total: IntArray = np.sum(list(executor.map(of_scene, range(len(tracked.scenes)))), axis=0)
    return total


@compiled(nogil=True)
def _count_kinds(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    near: Pairs,
    far: Pairs,
    other_class_near: BoolArray,
    frames: tuple[int, int],
    n_annotated_tracks: int,
    n_predicted_tracks: int,
    thresholds: FloatArray,
    gate_m: float,
) -> IntArray:
    counts = np.zeros((len(thresholds), _N_KINDS + 1), np.int64)
    for index, threshold in enumerate(thresholds):
        partner, switched, _ = match_scene(
            annotated,
            predicted,
            near,
            frames[0],
            frames[1],
            n_annotated_tracks,
            n_predicted_tracks,
            threshold,
            gate_m,
        )
        errors = classify_errors(
            annotated,
            predicted,
            near,
            far,
            other_class_near,
            frames,
            n_annotated_tracks,
            n_predicted_tracks,
            threshold,
            gate_m,
            partner,
            switched,
        )
        for kinds in (errors.annotated, errors.predicted):
            for kind in kinds:
                if kind >= 0:
                    counts[index, kind] += 1
        counts[index, _LOCATED] += errors.located.sum()
    return counts


def oracle_amota(curves: Mapping[str, FloatArray], kinds: IntArray, mended: Sequence[Kind]) -> float:
    """The AMOTA of one class if errors of some kinds were mended.

    Args:
        curves: `confidence`, `recall_hypo`, `tp`, `fp`, `ids` and `gt`, (40,) each, of the class.
        kinds: (40, 11) errors of each threshold as `count_kinds` gives them; rows of unreached recalls are ignored.
        mended: the kinds; a value of `ORACLES`.
    """
    reached = ~np.isnan(curves["confidence"])
    if not reached.any():
        return 0.0
    true_positives, false_positives, switches = _mended(curves, kinds, mended)
    lowest = int(np.argmax(reached))
    recall = (true_positives[lowest] + switches[lowest]) / curves["gt"][lowest]
    counted = reached | (curves["recall_hypo"] <= recall + _SLACK)
    source = np.where(reached, np.arange(len(reached)), lowest)
    tp, fp = true_positives[source], false_positives[source]
    motar = np.where(tp > 0, np.maximum(0, 1 - fp / np.maximum(tp, 1)), 0)
    # A recall that is reached without being mended for is worth nothing more: the tracks as they are give AMOTA itself.
    return float(np.mean(np.where(counted if mended else reached, motar, 0)))


def _mended(
    curves: Mapping[str, FloatArray], kinds: IntArray, mended: Sequence[Kind]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """TP, FP and IDS of each threshold after mending."""
    true_positives, false_positives, switches = (curves[name].copy() for name in ("tp", "fp", "ids"))
    for kind in mended:
        if kind in FALSE_POSITIVES:
            false_positives -= kinds[:, kind]
        else:
            true_positives += kinds[:, kind]
        if kind in SWITCHES:
            switches -= kinds[:, kind]
    if tuple(mended) == (Kind.LOCATION,):
        true_positives += np.minimum(kinds[:, Kind.LOCATION], kinds[:, _LOCATED])
    return true_positives, false_positives, switches
