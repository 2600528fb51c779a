"""CLEAR MOT matching of annotated with predicted tracks, compiled, as motmetrics 1.4.0 does it for the devkit.

In every key frame an annotation first keeps the predicted track it was last matched with, however long ago, if that
track is there, not yet taken and nearer than 2 m. What remains is assigned at least total distance. An annotation whose
new partner differs from its last one is a switch, not a match.

Source: K. Bernardin and R. Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics",
EURASIP Journal on Image and Video Processing 2008.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evaluation.engine.assignment import FREE, minimum_cost_assignment
from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.distance import expanded_distance, product_rounding, squared_norms
from evaluation.engine.track_table import TrackTable
from scenes.compiled import compiled
from scenes.geometry import FloatArray

NONE = -1
"""No partner, no track, no box."""

_MARGIN_M = 0.01
"""More than the rounding of an expanded distance: pairs farther apart than the gate by this are no candidates."""

_TIE_M = 1e-6
"""Assignments whose costs differ by less may be told apart by rounding alone: then the solver itself has to decide."""


class ClassBoxes(NamedTuple):
    """The boxes of one class, frame after frame.

    Attributes:
        first_box: (F + 1,) the boxes of frame f are `first_box[f]` to `first_box[f + 1]`.
        track: (N,) number of each box's track within its scene.
        repeated: (N,) whether the track has an earlier box in the same frame, which a faulty file may hold.
        xy_m: (N, 2) centres.
        score: (N,) confidence.
        row: (N,) row of the box in the `TrackTable`.
    """

    first_box: IntArray
    track: IntArray
    repeated: BoolArray
    xy_m: FloatArray
    score: FloatArray
    row: IntArray


class Pairs(NamedTuple):
    """Annotations and predictions of one class in one frame that lie nearer than the gate, or nearly so.

    Attributes:
        first_pair: (A + 1,) the pairs of annotation a are `first_pair[a]` to `first_pair[a + 1]`.
        prediction: (P,) box of the prediction, ascending for each annotation.
        matrix_m, vector_m, single_m: (P,) distance as it is rounded where the frame has several boxes on both sides,
            one on exactly one side, and one on both.
    """

    first_pair: IntArray
    prediction: IntArray
    matrix_m: FloatArray
    vector_m: FloatArray
    single_m: FloatArray


def class_boxes(table: TrackTable, label: int, n_frames: int, first_track_of_frame: IntArray) -> ClassBoxes:
    """The boxes of one class; `first_track_of_frame` (F,) is the number of the first track of a frame's scene."""
    row = np.flatnonzero(table.label == label)
    frame = table.frame[row]
    track = table.track[row]
    return ClassBoxes(
        first_box=np.searchsorted(frame, np.arange(n_frames + 1)),
        track=track - first_track_of_frame[frame],
        repeated=_repeated(track, frame),
        xy_m=np.ascontiguousarray(table.xy_m[row]),
        score=np.ascontiguousarray(table.score[row]),
        row=row,
    )


def _repeated(track: IntArray, frame: IntArray) -> BoolArray:
    order = np.lexsort((frame, track))
    same = (np.diff(track[order], prepend=NONE) == 0) & (np.diff(frame[order], prepend=NONE) == 0)
    repeated = np.zeros(len(track), np.bool_)
    repeated[order] = same
    return repeated


def find_pairs(annotated: ClassBoxes, predicted: ClassBoxes, gate_m: float) -> Pairs:
    """All pairs of a class that can be matched in some frame at some threshold."""
    rounding = product_rounding()
    return Pairs(
        *_find_pairs(
            annotated,
            predicted,
            squared_norms(annotated.xy_m),
            squared_norms(predicted.xy_m),
            gate_m + _MARGIN_M,
            rounding.matrix,
            rounding.vector,
            rounding.single,
        )
    )


@compiled(nogil=True)
def _find_pairs(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    annotated_squared: FloatArray,
    predicted_squared: FloatArray,
    reach_m: float,
    matrix_rounding: int,
    vector_rounding: int,
    single_rounding: int,
) -> tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
    first_pair = np.zeros(len(annotated.track) + 1, np.int64)
    prediction = np.empty(0, np.int64)
    for filling in range(2):
        n_pairs = 0
        for frame in range(len(annotated.first_box) - 1):
            for a in range(annotated.first_box[frame], annotated.first_box[frame + 1]):
                for p in range(predicted.first_box[frame], predicted.first_box[frame + 1]):
                    x = annotated.xy_m[a, 0] - predicted.xy_m[p, 0]
                    y = annotated.xy_m[a, 1] - predicted.xy_m[p, 1]
                    if x * x + y * y < reach_m * reach_m:
                        if filling:
                            prediction[n_pairs] = p
                        n_pairs += 1
                first_pair[a + 1] = n_pairs
        if not filling:
            prediction = np.empty(n_pairs, np.int64)
    matrix_m, vector_m, single_m = np.empty(n_pairs), np.empty(n_pairs), np.empty(n_pairs)
    columns = ((matrix_m, matrix_rounding), (vector_m, vector_rounding), (single_m, single_rounding))
    for a in range(len(annotated.track)):
        for pair in range(first_pair[a], first_pair[a + 1]):
            p = prediction[pair]
            for distance_m, rounding in columns:
                distance_m[pair] = expanded_distance(
                    annotated.xy_m[a], predicted.xy_m[p], annotated_squared[a], predicted_squared[p], rounding
                )
    return first_pair, prediction, matrix_m, vector_m, single_m


@compiled(nogil=True)
def match_scene(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    pairs: Pairs,
    first_frame: int,
    last_frame: int,
    n_annotated_tracks: int,
    n_predicted_tracks: int,
    threshold: float,
    gate_m: float,
) -> tuple[IntArray, BoolArray, FloatArray]:
    """Match one class in the frames `first_frame` to `last_frame` of one scene.

    Args:
        annotated, predicted, pairs: of all scenes.
        n_annotated_tracks, n_predicted_tracks: how many tracks the scene has.
        threshold: predictions of lower score are left out.
        gate_m: pairs as far apart as this or farther are not matched.

    Returns:
        For each annotation of the scene: its predicted box, or `NONE`; whether that is a switch; their distance.
    """
    first_annotation = annotated.first_box[first_frame]
    n_annotations = annotated.first_box[last_frame] - first_annotation
    partner = np.full(n_annotations, NONE)
    switched = np.zeros(n_annotations, np.bool_)
    distance_m = np.zeros(n_annotations)
    last_partner = np.full(n_annotated_tracks, NONE)
    for index in range(first_frame, last_frame):
        kept = predicted.score[predicted.first_box[index] : predicted.first_box[index + 1]] >= threshold
        n_here, n_kept = annotated.first_box[index + 1] - annotated.first_box[index], kept.sum()
        if n_here == 0 or n_kept == 0:
            continue
        offset = annotated.first_box[index] - first_annotation
        frame = _Frame(
            annotated.first_box[index],
            predicted.first_box[index],
            kept,
            kept.copy(),
            _distances_of_shape(pairs, n_here, n_kept),
            gate_m,
            partner[offset : offset + n_here],
        )
        _keep_partners(frame, annotated, predicted, pairs, last_partner)
        _assign_rest(frame, pairs)
        for a in range(n_here):
            if frame.partner[a] != NONE:
                track = annotated.track[frame.first_annotation + a]
                new_partner = predicted.track[frame.partner[a]]
                switched[offset + a] = last_partner[track] != NONE and last_partner[track] != new_partner
                last_partner[track] = new_partner
                distance_m[offset + a] = frame.pair_m[_pair_of(pairs, frame.first_annotation + a, frame.partner[a])]
    return partner, switched, distance_m


@compiled(nogil=True)
def _distances_of_shape(pairs: Pairs, rows: int, columns: int) -> FloatArray:
    """The distances as they are rounded in a matrix of so many annotations and predictions."""
    if rows > 1 and columns > 1:
        return pairs.matrix_m
    return pairs.single_m if rows == columns else pairs.vector_m


class _Frame(NamedTuple):
    """One key frame at one threshold while it is matched.

    Attributes:
        first_annotation, first_prediction: the first boxes of the frame.
        kept: (M,) which predictions reach the threshold.
        available: (M,) which of them have no annotation yet; changes.
        pair_m: (P,) distance of each pair, as it is rounded in this frame.
        gate_m: pairs as far apart as this or farther are not matched.
        partner: (A,) the predicted box of each annotation, or `NONE`; changes.
    """

    first_annotation: int
    first_prediction: int
    kept: BoolArray
    available: BoolArray
    pair_m: FloatArray
    gate_m: float
    partner: IntArray


@compiled(nogil=True)
def _pair_of(pairs: Pairs, annotation: int, prediction: int) -> int:
    """The pair of two boxes, `NONE` if they lie too far apart to be one."""
    for pair in range(pairs.first_pair[annotation], pairs.first_pair[annotation + 1]):
        if pairs.prediction[pair] == prediction:
            return pair
    return NONE


@compiled(nogil=True)
def _match(frame: _Frame, a: int, prediction: int) -> None:
    frame.partner[a] = prediction
    frame.available[prediction - frame.first_prediction] = False


@compiled(nogil=True)
def _keep_partners(
    frame: _Frame, annotated: ClassBoxes, predicted: ClassBoxes, pairs: Pairs, last_partner: IntArray
) -> None:
    """Match annotations with the track that they were matched with last.

    Where a track has several boxes in the frame, its first available box counts, and only that.
    """
    for a in range(len(frame.partner)):
        annotation = frame.first_annotation + a
        track = last_partner[annotated.track[annotation]]
        if track == NONE:
            continue
        for pair in range(pairs.first_pair[annotation], pairs.first_pair[annotation + 1]):
            prediction = pairs.prediction[pair]
            if predicted.track[prediction] != track or not frame.available[prediction - frame.first_prediction]:
                continue
            hidden = predicted.repeated[prediction] and _has_available_before(frame, predicted, prediction)
            if not hidden and frame.pair_m[pair] < frame.gate_m:
                _match(frame, a, prediction)
            break


@compiled(nogil=True)
def _has_available_before(frame: _Frame, predicted: ClassBoxes, prediction: int) -> bool:
    """Whether the track of a prediction has an available box before it in the frame."""
    for other in range(frame.first_prediction, prediction):
        same = predicted.track[other] == predicted.track[prediction]
        if same and frame.available[other - frame.first_prediction]:
            return True
    return False


@compiled(nogil=True)
def _assign_rest(frame: _Frame, pairs: Pairs) -> None:
    """Assign the available predictions to the annotations without a partner, as many as possible at least distance.

    Nearly always an annotation has one candidate, or several that nobody else can take, or it competes with others for
    a single one. The answer then is plain to see, and unique unless two distances are equal. Everything else
    is left to the solver.
    """
    choices = np.zeros(len(frame.partner), np.int64)
    demand = np.zeros(len(frame.available), np.int64)
    _count_candidates(frame, pairs, choices, demand)
    if not choices.any():
        return
    nearest = np.full(len(frame.partner), NONE)
    for a in range(len(frame.partner)):
        if choices[a] and not _decide(frame, pairs, a, choices, demand, nearest):
            _solve(frame, pairs)
            return
    for a in range(len(frame.partner)):
        if nearest[a] != NONE:
            _match(frame, a, pairs.prediction[nearest[a]])


@compiled(nogil=True)
def _is_candidate(frame: _Frame, pairs: Pairs, pair: int) -> bool:
    available: bool = frame.available[pairs.prediction[pair] - frame.first_prediction]
    return available and frame.pair_m[pair] < frame.gate_m


@compiled(nogil=True)
def _count_candidates(frame: _Frame, pairs: Pairs, choices: IntArray, demand: IntArray) -> None:
    """Count the candidates of each annotation and the annotations that each prediction is a candidate of."""
    for a in range(len(frame.partner)):
        if frame.partner[a] == NONE:
            annotation = frame.first_annotation + a
            for pair in range(pairs.first_pair[annotation], pairs.first_pair[annotation + 1]):
                if _is_candidate(frame, pairs, pair):
                    choices[a] += 1
                    demand[pairs.prediction[pair] - frame.first_prediction] += 1


@compiled(nogil=True)
def _decide(frame: _Frame, pairs: Pairs, a: int, choices: IntArray, demand: IntArray, nearest: IntArray) -> bool:
    """Note the pair that annotation `a` takes in `nearest`; False if that is not plain to see."""
    annotation = frame.first_annotation + a
    for pair in range(pairs.first_pair[annotation], pairs.first_pair[annotation + 1]):
        if not _is_candidate(frame, pairs, pair):
            continue
        if demand[pairs.prediction[pair] - frame.first_prediction] > 1:
            return choices[a] == 1 and _outbid(frame, pairs, a, pair, choices, nearest)
        if nearest[a] != NONE:
            difference_m = frame.pair_m[pair] - frame.pair_m[nearest[a]]
            if abs(difference_m) < _TIE_M:
                return False
            if difference_m > 0:
                continue
        nearest[a] = pair
    return True


@compiled(nogil=True)
def _outbid(frame: _Frame, pairs: Pairs, a: int, pair: int, choices: IntArray, nearest: IntArray) -> bool:
    """Let annotation `a` have its only candidate unless another one is nearer; False if that is not plain to see."""
    for rival in range(len(frame.partner)):
        if rival == a or frame.partner[rival] != NONE:
            continue
        rival_pair = _pair_of(pairs, frame.first_annotation + rival, pairs.prediction[pair])
        if rival_pair == NONE or frame.pair_m[rival_pair] >= frame.gate_m:
            continue
        difference_m = frame.pair_m[pair] - frame.pair_m[rival_pair]
        if choices[rival] > 1 or abs(difference_m) < _TIE_M:
            return False
        if difference_m > 0:
            return True
    nearest[a] = pair
    return True


@compiled(nogil=True)
def _solve(frame: _Frame, pairs: Pairs) -> None:
    """Assign with the matrix that motmetrics hands to scipy: every annotation and every kept prediction of the frame.

    Pairs that must not be are given a cost that no number of valid pairs makes up for, so that as many valid
    pairs as possible are formed.
    """
    slot_of_column, column_of_slot = _number_kept(frame.kept)
    n_columns = len(slot_of_column)
    cost = np.empty((len(frame.partner), n_columns))
    cost[:, :] = np.inf
    largest_m = _fill_costs(frame, pairs, column_of_slot, cost)
    too_much = 2 * min(len(frame.partner), n_columns) * (largest_m + 1) + 1
    for a in range(len(frame.partner)):
        for column in range(n_columns):
            cost[a, column] = min(cost[a, column], too_much)
    column_of_row = minimum_cost_assignment(cost)
    for a in range(len(frame.partner)):
        column = column_of_row[a]
        if column != FREE and cost[a, column] < too_much:
            _match(frame, a, frame.first_prediction + slot_of_column[column])


@compiled(nogil=True)
def _number_kept(kept: BoolArray) -> tuple[IntArray, IntArray]:
    """The slot of each kept prediction, and the place of each slot (M,) among those."""
    slots, places = np.empty(len(kept), np.int64), np.empty(len(kept), np.int64)
    n_kept = 0
    for slot in range(len(kept)):
        slots[n_kept] = slot
        places[slot] = n_kept
        n_kept += kept[slot]
    return slots[:n_kept], places


@compiled(nogil=True)
def _fill_costs(frame: _Frame, pairs: Pairs, column_of_slot: IntArray, cost: FloatArray) -> float:
    """Write the distances of the valid pairs; returns the largest."""
    largest_m = 0.0
    for a in range(len(frame.partner)):
        if frame.partner[a] == NONE:
            annotation = frame.first_annotation + a
            for pair in range(pairs.first_pair[annotation], pairs.first_pair[annotation + 1]):
                if _is_candidate(frame, pairs, pair):
                    cost[a, column_of_slot[pairs.prediction[pair] - frame.first_prediction]] = frame.pair_m[pair]
                    largest_m = max(largest_m, frame.pair_m[pair])
    return largest_m
