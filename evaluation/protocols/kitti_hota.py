"""HOTA of KITTI's tracking benchmark (TrackEval's `Kitti2DBox`): overlap of rectangles in the image of camera 2.

Of each class, labels and tracked boxes of a frame are first matched for the largest total overlap, pairs of 0.5 and
more. Tracked boxes that are matched with a label of the neighbouring type (Van for cars, Person for pedestrians), or
with one that is occluded beyond level 2 or truncated, are left out; so are, among those without a match, boxes at most
25 px high and boxes more than half inside a DontCare region. These labels are left out too. What remains is scored by
`evaluation.analysis.hota`, with the intersection over union as similarity. Every track of the file counts, whatever its
score; the tracks that are more probably true than not, and those from the best score on, are judged besides.

Source: J. Luiten et al., TrackEval 1.3.0, `trackeval/datasets/kitti_2d_box.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from evaluation.analysis.hota import LEVELS, hota_scores, track_events
from evaluation.engine.assignment import FREE
from evaluation.protocols.frame_matching import match_frames
from evaluation.protocols.kitti_boxes import KittiSequence
from evaluation.protocols.overlap import image_iou, in_regions, scene_pairs
from scenes.geometry import FloatArray

CLASSES: Final = {"car": ("Car", "Van"), "pedestrian": ("Pedestrian", "Person")}
"""KITTI's type of each class, and the neighbouring one."""

_N_SCORES: Final = 40

_EVEN_ODDS: Final = 0.5

_SAME_OBJECT: Final = 0.5 - float(np.finfo("float").eps)


def class_metrics(sequences: Sequence[KittiSequence], name: str) -> dict[str, Any] | None:
    """HOTA, DetA, AssA and their parts of all tracks, in percent, and, if there are any, of the better ones.

    Trackers are published with the tracks whose score is high enough, ours write all. Below `at_even_odds` is what the
    tracks of a mean score from 0.5 on give: our scores say how probably a track is true, so nothing is chosen there by
    labels. Below `at_best_score` is the `score` from which on tracks give the highest HOTA, of 40 that leave out equal
    shares of the boxes, and what they give. It is chosen by the labels: this is what tracks are worth where it was
    chosen well beforehand.

    Args:
        sequences: what is compared.
        name: of `CLASSES`.

    Returns:
        None of a class without labels that count.
    """
    metrics = _metrics(sequences, name)
    if metrics is None:
        return None
    tracks = [sequence.tracks.select(sequence.tracks.kind == CLASSES[name][0]) for sequence in sequences]
    scores = np.concatenate([of_sequence.track_score for of_sequence in tracks])
    if not len(scores):
        return metrics

    def from_score(score: float) -> dict[str, Any]:
        better = [
            replace(sequence, tracks=of_sequence.select(of_sequence.track_score >= score))
            for sequence, of_sequence in zip(sequences, tracks, strict=True)
        ]
        at_score = _metrics(better, name)
        assert at_score is not None  # it hangs on the labels alone
        return {"score": float(score)} | at_score

    wanted = np.unique(np.quantile(scores, np.arange(_N_SCORES) / _N_SCORES))
    best = max(map(from_score, wanted), key=lambda at_score: at_score["HOTA"])
    return metrics | {"at_even_odds": from_score(_EVEN_ODDS), "at_best_score": best}


def _metrics(sequences: Sequence[KittiSequence], name: str) -> dict[str, float] | None:
    events = np.zeros((len(LEVELS), 7))
    for sequence in sequences:
        events += _sequence_events(sequence, *CLASSES[name])
    if not (events[0, 0] + events[0, 1]):
        return None
    return {score: 100 * value for score, value in hota_scores(events).items()}


def _sequence_events(sequence: KittiSequence, kind: str, neighbour: str) -> FloatArray:
    labels = sequence.labels.select(np.isin(sequence.labels.kind, [kind, neighbour]))
    tracks = sequence.tracks.select(sequence.tracks.kind == kind)
    counted = labels.in_sight & (labels.kind == kind)
    pairs = scene_pairs(labels, tracks, sequence.n_frames, image_iou)
    matched, _ = match_frames(pairs, np.ones(len(tracks), dtype=np.bool_), _SAME_OBJECT, most_pairs=False)
    left_out = tracks.is_small | in_regions(tracks, sequence.region_frame, sequence.region_px)
    is_matched = matched != FREE
    left_out[matched[is_matched]] = ~counted[is_matched]
    remaining = scene_pairs(labels.select(counted), tracks.select(~left_out), sequence.n_frames, image_iou)
    n_annotated, n_predicted = (
        int(track.max(initial=-1)) + 1 for track in (remaining.annotated_track, remaining.predicted_track)
    )
    return track_events(remaining, n_annotated, n_predicted, LEVELS)
