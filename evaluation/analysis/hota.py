"""HOTA and IDF1 of one class at one score threshold, compiled.

HOTA takes any similarity s of boxes from 0 to 1, at the 19 levels alpha = 0.05, 0.1, ..., 0.95. That of nuScenes'
classes is s = max(0, 1 - d / 2 m) of an annotated and a predicted box, d in the xy plane, so that a box at level alpha
counts up to a distance of 2 (1 - alpha) m.

Matching. The alignment of an annotated track i and a predicted track j is A_ij = P_ij / (n_i + m_j - P_ij) with
P_ij = sum over frames of s_ij / (sum_k s_kj + sum_l s_il - s_ij), and n_i, m_j boxes. In every frame the pairs of
largest total A_ij s_ij are matched; at level alpha those with s >= alpha count, c_ij times over all frames.

    DetA = TP / (TP + FN + FP)        AssA = sum c_ij a_ij / TP,  a_ij = c_ij / (n_i + m_j - c_ij)
    LocA = mean s of the matches      HOTA = sqrt(DetA AssA),  each the mean over the levels
    DetRe = TP / (TP + FN)            AssRe with a_ij = c_ij / n_i
    DetPr = TP / (TP + FP)            AssPr with a_ij = c_ij / m_j

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
from evaluation.engine.scene_pairs import ScenePairs, pairs_of_frame
from scenes.compiled import compiled
from scenes.geometry import FloatArray

LEVELS: FloatArray = np.arange(0.05, 0.99, 0.05)
ZERO_SIMILARITY_M = 2.0
SCORES = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")

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
    events = np.zeros((len(LEVELS), 7))
    id_true_positives = 0
    for scene, (n_annotated, n_predicted) in enumerate(zip(n_annotated_tracks, n_predicted_tracks, strict=True)):
        pairs = _scene_pairs(annotated, predicted, first_frame[scene], first_frame[scene + 1], threshold)
        events += track_events(pairs, n_annotated, n_predicted, LEVELS)
        id_true_positives += _identity_matches(pairs, n_annotated, n_predicted)
    scores = hota_scores(events)
    boxes = int(events[0, 0] * 2 + events[0, 1] + events[0, 2])
    idf1 = 2 * id_true_positives / boxes if boxes else float("nan")
    return {name.lower(): scores[name] for name in ("HOTA", "DetA", "AssA", "LocA")} | {"idf1": idf1}


def hota_scores(events: FloatArray) -> dict[str, float]:
    """Means over the levels by their published names; NaN without annotations and predictions.

    Args:
        events: (L, 7) sums over the scenes of what `track_events` returns.
    """
    true_positives, misses, false_positives, similarity, *associations = events.T
    if not events[0, :3].any():
        return dict.fromkeys(SCORES, float("nan"))
    det_a = true_positives / np.maximum(1, true_positives + misses + false_positives)
    det_re = true_positives / np.maximum(1, true_positives + misses)
    det_pr = true_positives / np.maximum(1, true_positives + false_positives)
    ass_a, ass_re, ass_pr = (association / np.maximum(1, true_positives) for association in associations)
    by_level = {
        "HOTA": np.sqrt(det_a * ass_a),
        "DetA": det_a,
        "AssA": ass_a,
        "DetRe": det_re,
        "DetPr": det_pr,
        "AssRe": ass_re,
        "AssPr": ass_pr,
        "LocA": np.where(true_positives > 0, similarity / np.maximum(1, true_positives), 1.0),
    }
    return {name: float(np.mean(values)) for name, values in by_level.items()}


@compiled(nogil=True)
def track_events(pairs: ScenePairs, n_annotated_tracks: int, n_predicted_tracks: int, levels: FloatArray) -> FloatArray:
    """One scene: (L, 7) TP, FN, FP, and sums over the TP of similarity, AssA, AssRe and AssPr at each level."""
    shape = (n_annotated_tracks, n_predicted_tracks)
    potential = np.zeros(shape)
    annotated_count = np.zeros(n_annotated_tracks)
    predicted_count = np.zeros(n_predicted_tracks)
    for frame in range(len(pairs.first_pair) - 1):
        rows, columns, similarity = pairs_of_frame(pairs, frame)
        row_sum, column_sum = similarity.sum(axis=1), similarity.sum(axis=0)
        for r, track in enumerate(rows):
            annotated_count[track] += 1
            for c, other in enumerate(columns):
                union = row_sum[r] + column_sum[c] - similarity[r, c]
                if similarity[r, c] > 0 and union > _EPSILON:
                    potential[track, other] += similarity[r, c] / union
        for other in columns:
            predicted_count[other] += 1
    alignment = potential / np.maximum(1, annotated_count.reshape(-1, 1) + predicted_count.reshape(1, -1) - potential)
    pair_rows, pair_columns = np.nonzero(potential)
    pair_of_tracks = np.zeros(shape, np.int64)
    for pair in range(len(pair_rows)):
        pair_of_tracks[pair_rows[pair], pair_columns[pair]] = pair
    events = np.zeros((len(levels), 7))
    matches = np.zeros((len(pair_rows), len(levels)))
    for frame in range(len(pairs.first_pair) - 1):
        rows, columns, similarity = pairs_of_frame(pairs, frame)
        _match_frame(rows, columns, similarity, alignment, pair_of_tracks, levels, events, matches)
    for pair in range(len(pair_rows)):
        annotations, predictions = annotated_count[pair_rows[pair]], predicted_count[pair_columns[pair]]
        for level in range(len(levels)):
            count = matches[pair, level]
            events[level, 4] += count * count / max(1.0, annotations + predictions - count)
            events[level, 5] += count * count / max(1.0, annotations)
            events[level, 6] += count * count / max(1.0, predictions)
    return events


@compiled(nogil=True)
def _scene_pairs(
    annotated: ClassBoxes, predicted: ClassBoxes, first_frame: int, last_frame: int, threshold: float
) -> ScenePairs:
    """The boxes of a scene, predicted ones from a score on, with their similarities on the ground."""
    n_frames = last_frame - first_frame
    first_annotated = annotated.first_box[first_frame : last_frame + 1] - annotated.first_box[first_frame]
    first_predicted = np.zeros(n_frames + 1, np.int64)
    first_pair = np.zeros(n_frames + 1, np.int64)
    first, last = predicted.first_box[first_frame], predicted.first_box[last_frame]
    kept = first + np.flatnonzero(predicted.score[first:last] >= threshold)
    for frame in range(n_frames):
        first_predicted[frame + 1] = np.searchsorted(kept, predicted.first_box[first_frame + frame + 1])
        n_annotated = first_annotated[frame + 1] - first_annotated[frame]
        n_predicted = first_predicted[frame + 1] - first_predicted[frame]
        first_pair[frame + 1] = first_pair[frame] + n_annotated * n_predicted
    similarity = np.zeros(first_pair[-1])
    offset = annotated.first_box[first_frame]
    pair = 0
    for frame in range(n_frames):
        for a in range(first_annotated[frame], first_annotated[frame + 1]):
            for c in range(first_predicted[frame], first_predicted[frame + 1]):
                x_m = annotated.xy_m[offset + a, 0] - predicted.xy_m[kept[c], 0]
                y_m = annotated.xy_m[offset + a, 1] - predicted.xy_m[kept[c], 1]
                similarity[pair] = max(0.0, 1 - np.sqrt(x_m * x_m + y_m * y_m) / ZERO_SIMILARITY_M)
                pair += 1
    annotated_track = annotated.track[offset : annotated.first_box[last_frame]]
    return ScenePairs(annotated_track, first_annotated, predicted.track[kept], first_predicted, similarity, first_pair)


@compiled(nogil=True)
def _match_frame(
    rows: IntArray,
    columns: IntArray,
    similarity: FloatArray,
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
    cost = np.empty_like(similarity)
    for r, track in enumerate(rows):
        for c, other in enumerate(columns):
            cost[r, c] = -alignment[track, other] * similarity[r, c]
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
                events[level, 3] += similarity[r, c]
                matches[pair_of_tracks[rows[r], columns[c]], level] += 1


@compiled(nogil=True)
def _identity_matches(pairs: ScenePairs, n_annotated_tracks: int, n_predicted_tracks: int) -> int:
    """IDTP of one scene."""
    near = np.zeros((n_annotated_tracks, n_predicted_tracks))
    for frame in range(len(pairs.first_pair) - 1):
        rows, columns, similarity = pairs_of_frame(pairs, frame)
        for r, track in enumerate(rows):
            for c, other in enumerate(columns):
                if similarity[r, c] > 0:
                    near[track, other] += 1
    return _most_identity_matches(near)


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
