"""HOTA and IDF1 of one class at one score threshold, compiled.

With the similarity s = max(0, 1 - d / 2 m) of an annotated and a predicted box, d in the xy plane, and the 19 levels
alpha = 0.05, 0.1, ..., 0.95, so that a box at level alpha counts up to a distance of 2 (1 - alpha) m:

Matching. The alignment of an annotated track i and a predicted track j is A_ij = P_ij / (n_i + m_j - P_ij) with
P_ij = sum over frames of s_ij / (sum_k s_kj + sum_l s_il - s_ij), and n_i, m_j boxes. In every frame the pairs of
largest total A_ij s_ij are matched; at level alpha those with s >= alpha count, c_ij times over all frames.

    DetA = TP / (TP + FN + FP)        AssA = sum c_ij a_ij / TP,  a_ij = c_ij / (n_i + m_j - c_ij)
    LocA = mean s of the matches      HOTA = sqrt(DetA AssA),  each the mean over the levels

IDF1 = 2 IDTP / (annotations + predictions), IDTP the most boxes nearer than 2 m that a one-to-one assignment of
annotated to predicted tracks brings together.

Scenes are combined as TrackEval combines sequences: TP, FN and FP are added, AssA and LocA weighed with TP.
Sources: J. Luiten et al., "HOTA: a higher order metric for evaluating multi-object tracking", IJCV 2021; E. Ristani et
al., "Performance measures and a data set for multi-target, multi-camera tracking", ECCV workshops 2016.
"""

from __future__ import annotations

import numpy as np

from evaluation.engine.assignment import FREE, minimum_cost_assignment
from evaluation.engine.box_table import IntArray
from evaluation.engine.matching import ClassBoxes
from scenes.compiled import compiled
from scenes.geometry import FloatArray

LEVELS: FloatArray = np.arange(0.05, 0.99, 0.05)
ZERO_SIMILARITY_M = 2.0

_EPSILON = float(np.finfo("float").eps)


def identity_metrics(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    first_frame: IntArray,
    n_annotated_tracks: IntArray,
    n_predicted_tracks: IntArray,
    threshold: float,
) -> dict[str, float]:
    """HOTA, DetA, AssA, LocA and IDF1 over S scenes; arguments as for `clear_events.count_events`.

    Metrics without annotations and predictions are NaN.
    """
    totals = np.zeros((len(LEVELS), 5))
    id_true_positives = 0
    for scene, (n_annotated, n_predicted) in enumerate(zip(n_annotated_tracks, n_predicted_tracks, strict=True)):
        events, id_matches = scene_identities(
            annotated,
            predicted,
            first_frame[scene],
            first_frame[scene + 1],
            n_annotated,
            n_predicted,
            threshold,
            LEVELS,
        )
        totals += events
        id_true_positives += id_matches
    true_positives, misses, false_positives, association, similarity = totals.T
    boxes = true_positives[0] * 2 + misses[0] + false_positives[0]
    if boxes == 0:
        return dict.fromkeys(("hota", "deta", "assa", "loca", "idf1"), float("nan"))
    det_a = true_positives / np.maximum(1, true_positives + misses + false_positives)
    ass_a = association / np.maximum(1, true_positives)
    loc_a = np.where(true_positives > 0, similarity / np.maximum(1, true_positives), 1.0)
    return {
        "hota": float(np.mean(np.sqrt(det_a * ass_a))),
        "deta": float(np.mean(det_a)),
        "assa": float(np.mean(ass_a)),
        "loca": float(np.mean(loc_a)),
        "idf1": float(2 * id_true_positives / boxes),
    }


@compiled(nogil=True)
def scene_identities(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    first_frame: int,
    last_frame: int,
    n_annotated_tracks: int,
    n_predicted_tracks: int,
    threshold: float,
    levels: FloatArray,
) -> tuple[FloatArray, int]:
    """One scene: at each level (L, 5) TP, FN, FP, TP-weighted AssA and LocA; and IDTP."""
    shape = (n_annotated_tracks, n_predicted_tracks)
    potential = np.zeros(shape)
    near = np.zeros(shape)
    annotated_count = np.zeros(n_annotated_tracks)
    predicted_count = np.zeros(n_predicted_tracks)
    for frame in range(first_frame, last_frame):
        rows, columns = _frame_boxes(annotated, frame, -np.inf), _frame_boxes(predicted, frame, threshold)
        similarity = _similarity(annotated, predicted, rows, columns)
        row_sum, column_sum = similarity.sum(axis=1), similarity.sum(axis=0)
        for r, a in enumerate(rows):
            annotated_count[annotated.track[a]] += 1
            for c, p in enumerate(columns):
                if similarity[r, c] > 0:
                    union = row_sum[r] + column_sum[c] - similarity[r, c]
                    if union > _EPSILON:
                        potential[annotated.track[a], predicted.track[p]] += similarity[r, c] / union
                    near[annotated.track[a], predicted.track[p]] += 1
        for p in columns:
            predicted_count[predicted.track[p]] += 1
    alignment = potential / np.maximum(1, annotated_count.reshape(-1, 1) + predicted_count.reshape(1, -1) - potential)
    pair_rows, pair_columns = np.nonzero(potential)
    pair_of_tracks = np.zeros(shape, np.int64)
    for pair in range(len(pair_rows)):
        pair_of_tracks[pair_rows[pair], pair_columns[pair]] = pair
    events = np.zeros((len(levels), 5))
    matches = np.zeros((len(pair_rows), len(levels)))
    for frame in range(first_frame, last_frame):
        rows, columns = _frame_boxes(annotated, frame, -np.inf), _frame_boxes(predicted, frame, threshold)
        _match_frame(annotated, predicted, rows, columns, alignment, pair_of_tracks, levels, events, matches)
    for pair in range(len(pair_rows)):
        boxes = annotated_count[pair_rows[pair]] + predicted_count[pair_columns[pair]]
        for level in range(len(levels)):
            count = matches[pair, level]
            events[level, 3] += count * count / max(1.0, boxes - count)
    return events, _most_identity_matches(near)


@compiled(nogil=True)
def _frame_boxes(boxes: ClassBoxes, frame: int, threshold: float) -> IntArray:
    first, last = boxes.first_box[frame], boxes.first_box[frame + 1]
    indices: IntArray = first + np.flatnonzero(boxes.score[first:last] >= threshold)
    return indices


@compiled(nogil=True)
def _similarity(annotated: ClassBoxes, predicted: ClassBoxes, rows: IntArray, columns: IntArray) -> FloatArray:
    similarity = np.zeros((len(rows), len(columns)))
    for r, a in enumerate(rows):
        for c, p in enumerate(columns):
            x_m = annotated.xy_m[a, 0] - predicted.xy_m[p, 0]
            y_m = annotated.xy_m[a, 1] - predicted.xy_m[p, 1]
            similarity[r, c] = max(0.0, 1 - np.sqrt(x_m * x_m + y_m * y_m) / ZERO_SIMILARITY_M)
    return similarity


@compiled(nogil=True)
def _match_frame(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    rows: IntArray,
    columns: IntArray,
    alignment: FloatArray,
    pair_of_tracks: IntArray,
    levels: FloatArray,
    events: FloatArray,
    matches: FloatArray,
) -> None:
    """Add TP, FN, FP and the similarities of one frame to `events`, and its pairs to `matches`
    (pairs of tracks, levels)."""
    events[:, 1] += len(rows)
    events[:, 2] += len(columns)
    if len(rows) == 0 or len(columns) == 0:
        return
    similarity = _similarity(annotated, predicted, rows, columns)
    cost = np.empty_like(similarity)
    for r, a in enumerate(rows):
        for c, p in enumerate(columns):
            cost[r, c] = -alignment[annotated.track[a], predicted.track[p]] * similarity[r, c]
    column_of_row = minimum_cost_assignment(cost)
    for r in range(len(rows)):
        c = column_of_row[r]
        if c == FREE:
            continue
        for level in range(len(levels)):
            if similarity[r, c] >= levels[level] - _EPSILON:
                events[level, 0] += 1
                events[level, 1] -= 1
                events[level, 2] -= 1
                events[level, 4] += similarity[r, c]
                matches[pair_of_tracks[annotated.track[rows[r]], predicted.track[columns[c]]], level] += 1


@compiled(nogil=True)
def _most_identity_matches(near: FloatArray) -> int:
    """The largest total of a one-to-one assignment of rows to columns."""
    if near.size == 0:
        return 0
    column_of_row = minimum_cost_assignment(-near)
    total = 0
    for row in range(len(near)):
        if column_of_row[row] != FREE:
            total += int(near[row, column_of_row[row]])
    return total
