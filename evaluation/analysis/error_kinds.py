"""Sorts the errors of tracks by kind, compiled.

A miss of an annotated box is
    never      the track is never matched;
    birth      before its first match;
    gap        between two matches (the fragmentations);
    loss       after its last match.
A false positive is, the first that fits,
    duplicate  nearer than the gate to an annotation of its class, which another prediction has;
    class      nearer than the gate to an annotation of another class;
    location   up to twice the gate from an annotation of its class that is missed;
    background far from everything.
A switch of an annotated track is
    swap       to a track that was matched with another annotation before;
    rebirth    to a track that was matched with none.

In the sense of TIDE (D. Bolya et al., "TIDE: a general toolbox for identifying object detection errors", ECCV 2020).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.matching import NONE, ClassBoxes, Pairs
from scenes.compiled import compiled
from scenes.geometry import FloatArray


class Kind(IntEnum):
    """Kinds of errors."""

    NEVER = 0
    BIRTH = 1
    GAP = 2
    LOSS = 3
    DUPLICATE = 4
    CLASS = 5
    LOCATION = 6
    BACKGROUND = 7
    SWAP = 8
    REBIRTH = 9


MISSES = (Kind.NEVER, Kind.BIRTH, Kind.GAP, Kind.LOSS)
FALSE_POSITIVES = (Kind.DUPLICATE, Kind.CLASS, Kind.LOCATION, Kind.BACKGROUND)
SWITCHES = (Kind.SWAP, Kind.REBIRTH)

NO_ERROR = -1


class Errors(NamedTuple):
    """The errors of one class in one scene at one threshold.

    Attributes:
        annotated: (A,) the `Kind` of each annotation's error, a miss or a switch, `NO_ERROR` for a match.
        predicted: (P,) the `Kind` of each false positive, `NO_ERROR` for what is matched or below the threshold.
        located: (A,) which missed annotations have a false positive of kind `LOCATION` near them.
    """

    annotated: IntArray
    predicted: IntArray
    located: BoolArray


@compiled(nogil=True)
def classify_errors(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    near: Pairs,
    far: Pairs,
    other_class_near: BoolArray,
    frames: tuple[int, int],
    n_annotated_tracks: int,
    n_predicted_tracks: int,
    threshold: float,
    gate_m: float,
    partner: IntArray,
    switched: BoolArray,
) -> Errors:
    """Find the kind of every error.

    Args:
        annotated, predicted: one class.
        near, far: pairs up to the gate and up to twice the gate.
        other_class_near: for each prediction whether an annotation of another class is nearer than the gate.
        frames: first frame of the scene and of the next.
        n_annotated_tracks, n_predicted_tracks: how many tracks the scene has.
        threshold: predictions of lower score are left out.
        gate_m: pairs as far apart as this or farther are not matched.
        partner, switched: what `matching.match_scene` found.
    """
    first_annotation, last_annotation = annotated.first_box[frames[0]], annotated.first_box[frames[1]]
    first_prediction, last_prediction = predicted.first_box[frames[0]], predicted.first_box[frames[1]]
    of_annotations = np.full(last_annotation - first_annotation, NO_ERROR)
    of_predictions = np.full(last_prediction - first_prediction, NO_ERROR)
    located = np.zeros(len(of_annotations), np.bool_)
    _classify_misses(annotated.track[first_annotation:last_annotation], n_annotated_tracks, partner, of_annotations)
    _classify_switches(
        annotated.track[first_annotation:last_annotation],
        predicted.track,
        n_predicted_tracks,
        partner,
        switched,
        of_annotations,
    )
    for p in range(len(of_predictions)):
        if predicted.score[first_prediction + p] >= threshold:
            of_predictions[p] = Kind.CLASS if other_class_near[first_prediction + p] else Kind.BACKGROUND
    for a in range(len(partner)):
        if partner[a] != NONE:
            of_predictions[partner[a] - first_prediction] = NO_ERROR
    for a in range(len(partner)):
        for pair in range(near.first_pair[first_annotation + a], near.first_pair[first_annotation + a + 1]):
            p = near.prediction[pair] - first_prediction
            if partner[a] != NONE and of_predictions[p] != NO_ERROR and near.matrix_m[pair] < gate_m:
                of_predictions[p] = Kind.DUPLICATE
    for a in range(len(partner)):
        for pair in range(far.first_pair[first_annotation + a], far.first_pair[first_annotation + a + 1]):
            p = far.prediction[pair] - first_prediction
            is_free = of_predictions[p] == Kind.BACKGROUND or of_predictions[p] == Kind.LOCATION
            if partner[a] == NONE and is_free and far.matrix_m[pair] < 2 * gate_m:
                of_predictions[p] = Kind.LOCATION
                located[a] = True
    return Errors(of_annotations, of_predictions, located)


@compiled(nogil=True)
def _classify_misses(track: IntArray, n_tracks: int, partner: IntArray, kinds: IntArray) -> None:
    first_match = np.full(n_tracks, len(track))
    last_match = np.full(n_tracks, NONE)
    for a in range(len(track)):
        if partner[a] != NONE:
            first_match[track[a]] = min(first_match[track[a]], a)
            last_match[track[a]] = a
    for a in range(len(track)):
        if partner[a] == NONE:
            if last_match[track[a]] == NONE:
                kinds[a] = Kind.NEVER
            elif a < first_match[track[a]]:
                kinds[a] = Kind.BIRTH
            else:
                kinds[a] = Kind.GAP if a < last_match[track[a]] else Kind.LOSS


@compiled(nogil=True)
def _classify_switches(
    track: IntArray,
    predicted_track: IntArray,
    n_predicted_tracks: int,
    partner: IntArray,
    switched: BoolArray,
    kinds: IntArray,
) -> None:
    known = np.zeros(n_predicted_tracks, np.bool_)
    for a in range(len(track)):
        if partner[a] != NONE:
            if switched[a]:
                kinds[a] = Kind.SWAP if known[predicted_track[partner[a]]] else Kind.REBIRTH
            known[predicted_track[partner[a]]] = True


@compiled(nogil=True)
def near_other_class(
    first_annotation: IntArray,
    annotated_xy_m: FloatArray,
    annotated_label: IntArray,
    label: int,
    predicted: ClassBoxes,
    gate_m: float,
) -> BoolArray:
    """For each prediction of class `label` whether an annotation of another class is nearer than the gate.

    Args:
        first_annotation: (F + 1,) the annotations of frame f are `first_annotation[f]` to `first_annotation[f + 1]`.
        annotated_xy_m, annotated_label: annotations of all classes, frame after frame.
        label: the class of the predictions.
        predicted: the predictions.
        gate_m: how near.
    """
    near = np.zeros(len(predicted.track), np.bool_)
    for frame in range(len(first_annotation) - 1):
        for p in range(predicted.first_box[frame], predicted.first_box[frame + 1]):
            for a in range(first_annotation[frame], first_annotation[frame + 1]):
                x_m = annotated_xy_m[a, 0] - predicted.xy_m[p, 0]
                y_m = annotated_xy_m[a, 1] - predicted.xy_m[p, 1]
                if annotated_label[a] != label and x_m * x_m + y_m * y_m < gate_m * gate_m:
                    near[p] = True
                    break
    return near
