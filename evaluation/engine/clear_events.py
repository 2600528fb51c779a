"""Counts the events of CLEAR MOT matching, compiled.

Frames are counted as motmetrics counts them: a key frame in which a class has neither an annotation nor a prediction
above the threshold does not exist. An annotated track that was never matched has no initialisation time and no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.matching import NONE, ClassBoxes, Pairs, match_scene
from scenes.compiled import compiled
from scenes.geometry import FloatArray


class Count(IntEnum):
    """Columns of the table of counts."""

    FRAMES = 0
    MATCHES = 1
    SWITCHES = 2
    MISSES = 3
    FALSE_POSITIVES = 4
    MATCHED_TRACKS = 5
    """Annotated tracks matched at least once."""
    MOSTLY_TRACKED = 6
    """Annotated tracks matched in at least 80% of their frames."""
    MOSTLY_LOST = 7
    """Annotated tracks matched in less than 20% of their frames."""
    FRAGMENTATIONS = 8
    """Runs of misses between two matches of a track."""
    INITIALISATION_FRAMES = 9
    """Frames from the first annotation of a track to its first match, over matched tracks."""
    LONGEST_GAP_FRAMES = 10
    """Frames of the longest run without a match, over matched tracks."""


_N_COUNTS = len(Count)


@compiled(nogil=True)
def count_events(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    pairs: Pairs,
    first_frame: IntArray,
    n_annotated_tracks: IntArray,
    n_predicted_tracks: IntArray,
    thresholds: FloatArray,
    gate_m: float,
) -> tuple[IntArray, FloatArray]:
    """Count the events of S scenes at T thresholds.

    Args:
        annotated, predicted, pairs: one class.
        first_frame: (S + 1,) the frames of scene s are `first_frame[s]` to `first_frame[s + 1]`.
        n_annotated_tracks, n_predicted_tracks: (S,) how many tracks each scene has.
        thresholds: (T,) predictions of lower score are left out.
        gate_m: pairs as far apart as this or farther are not matched.

    Returns:
        (T, 11) counts, columns as in `Count`, and (T,) the total distance of matches and switches, metres.
    """
    counts = np.zeros((len(thresholds), _N_COUNTS), np.int64)
    total_m = np.zeros(len(thresholds))
    for scene in range(len(n_annotated_tracks)):
        frames = (first_frame[scene], first_frame[scene + 1])
        for index, threshold in enumerate(thresholds):
            partner, switched, distance_m = match_scene(
                annotated,
                predicted,
                pairs,
                frames[0],
                frames[1],
                n_annotated_tracks[scene],
                n_predicted_tracks[scene],
                threshold,
                gate_m,
            )
            total_m[index] += distance_m.sum()
            _count_scene(
                annotated, predicted, frames, n_annotated_tracks[scene], threshold, partner, switched, counts[index]
            )
    return counts, total_m


def match_scores(predicted: ClassBoxes, matches: Sequence[tuple[IntArray, BoolArray, FloatArray]]) -> FloatArray:
    """The scores of all matches, switches excepted.

    Where a matched track has several boxes in a frame the devkit takes the score of each.

    Args:
        predicted: one class.
        matches: of each scene what `matching.match_scene` found.
    """
    is_match = np.zeros(len(predicted.track), np.bool_)
    for partner, switched, _ in matches:
        is_match[partner[(partner != NONE) & ~switched]] = True
    if predicted.repeated.any():
        frame = np.repeat(np.arange(len(predicted.first_box) - 1), np.diff(predicted.first_box))
        box_of_track = np.stack([frame, predicted.track])
        _, occurrence = np.unique(box_of_track, axis=1, return_inverse=True)
        is_match = np.isin(occurrence, occurrence[is_match])
    scores: FloatArray = predicted.score[is_match]
    return scores


@compiled(nogil=True)
def _count_scene(
    annotated: ClassBoxes,
    predicted: ClassBoxes,
    frames: tuple[int, int],
    n_tracks: int,
    threshold: float,
    partner: IntArray,
    switched: BoolArray,
    counts: IntArray,
) -> None:
    """Add the events of one scene to `counts` (11,)."""
    length = np.zeros(n_tracks, np.int64)
    n_matched = np.zeros(n_tracks, np.int64)
    first_seen = np.zeros(n_tracks, np.int64)
    last_seen = np.zeros(n_tracks, np.int64)
    first_match = np.full(n_tracks, NONE)
    last_match = np.full(n_tracks, NONE)
    longest_gap = np.zeros(n_tracks, np.int64)
    missed = np.zeros(n_tracks, np.bool_)
    first_annotation = annotated.first_box[frames[0]]
    now = 0
    for frame in range(frames[0], frames[1]):
        annotations = range(annotated.first_box[frame], annotated.first_box[frame + 1])
        scores = predicted.score[predicted.first_box[frame] : predicted.first_box[frame + 1]]
        unmatched = (scores >= threshold).sum()
        if len(annotations) == 0 and unmatched == 0:
            continue
        for annotation in annotations:
            track = annotated.track[annotation]
            if length[track] == 0:
                first_seen[track] = now
            length[track] += 1
            last_seen[track] = now
            if partner[annotation - first_annotation] == NONE:
                counts[Count.MISSES] += 1
                missed[track] = True
                continue
            unmatched -= 1
            counts[Count.SWITCHES if switched[annotation - first_annotation] else Count.MATCHES] += 1
            if first_match[track] == NONE:
                first_match[track] = now
                longest_gap[track] = now - first_seen[track]
            else:
                longest_gap[track] = max(longest_gap[track], now - last_match[track] - 1)
                counts[Count.FRAGMENTATIONS] += missed[track]
            last_match[track] = now
            missed[track] = False
            n_matched[track] += 1
        counts[Count.FALSE_POSITIVES] += unmatched
        now += 1
    counts[Count.FRAMES] += now
    for track in range(n_tracks):
        if length[track] == 0:
            continue
        counts[Count.MOSTLY_TRACKED] += n_matched[track] / length[track] >= 0.8
        counts[Count.MOSTLY_LOST] += n_matched[track] / length[track] < 0.2
        if n_matched[track]:
            counts[Count.MATCHED_TRACKS] += 1
            counts[Count.INITIALISATION_FRAMES] += first_match[track] - first_seen[track]
            counts[Count.LONGEST_GAP_FRAMES] += max(longest_gap[track], last_seen[track] - last_match[track])
