"""The protocol of AB3DMOT: CLEAR MOT in space over recall, on KITTI.

Labels of a class are those of its type and of the neighbouring one (Van for cars, Person_sitting for pedestrians). Such
neighbours, and labels that are occluded beyond level 2 or truncated, do not count: they may be found, and need not be.
In every frame the pairs of a label and a tracked box whose 3D intersection over union reaches the level are matched: as
many as possible, of these the ones of largest total overlap. A box without a match is a false positive, unless it is at
most 25 px high in the image or more than half inside a DontCare region.

    n = labels that count             TP, c = matches, also with labels that do not count, and their overlap
    FN = unmatched of the n           MOTA  = 1 - (FN + FP + IDS) / n          MOTP = c / TP
    r = TP / (TP + FN)                sMOTA = 1 - (FN + FP + IDS - (1 - r) n) / (r n),  cut to 0 ... 1

IDS: a label is matched, the same object's one before it was matched with another track, and both count; whether the
first label of an object counts is not asked. FRAG: the same where it was matched with another track or with none, after
an earlier match and, but for the last label, before another one.

Over thresholds. The score of a track is the mean of its boxes'. The scores of all matches, in descending order, give
the thresholds that come nearest to the recalls 1/40, 2/40, ...; each is raised by 1e-12 of itself, so that a track of a
positive score does not pass its own threshold. sAMOTA, AMOTA and AMOTP are the sums of sMOTA at the wanted recall, MOTA
and MOTP over those that are reached, divided by 40. The other numbers are those of the highest positive MOTA. A box
that was matched at an earlier threshold is no more left out for its height or its place.

Source: X. Weng et al., "3D multi-object tracking: a baseline and new evaluation metrics", IROS 2020; eval-ab-3d-mot
2.3.0, which these numbers equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evaluation.engine.assignment import FREE
from evaluation.engine.box_table import IntArray
from evaluation.engine.scene_pairs import ScenePairs
from evaluation.protocols.frame_matching import match_frames
from evaluation.protocols.kitti_boxes import KittiSequence
from evaluation.protocols.overlap import BoolArray, in_regions, scene_pairs, volume_iou
from scenes.compiled import compiled
from scenes.geometry import FloatArray

CLASSES: Final = {
    "car": ("Car", "Van"),
    "pedestrian": ("Pedestrian", "Person_sitting"),
    "cyclist": ("Cyclist", "Cyclist"),
}
"""KITTI's type of each class, and the neighbouring one."""

LEVELS: Final = (0.25, 0.5, 0.7)
"""Least intersection over union of a match; the first is the one that trackers are compared at."""

_N_RECALLS: Final = 40


def class_metrics(sequences: Sequence[KittiSequence], name: str) -> dict[str, Any] | None:
    """The metrics at 3D IoU 0.25, in percent, and below `iou_0.5` and `iou_0.7` those at the other levels.

    Args:
        sequences: what is compared.
        name: of `CLASSES`.

    Returns:
        None of a class without labels that count.
    """
    prepared = [_prepared(sequence, *CLASSES[name]) for sequence in sequences]
    if not any(sequence.counted.any() for sequence in prepared):
        return None
    first, *others = (_level_metrics(prepared, level) for level in LEVELS)
    return first | {f"iou_{level}": metrics for level, metrics in zip(LEVELS[1:], others, strict=True)}


@dataclass(frozen=True, eq=False)
class _Sequence:
    """One class in one sequence, A labels and P tracked boxes.

    Attributes:
        pairs: with the overlap in space.
        counted: (A,) labels that count.
        excused: (P,) boxes that are no false positives where nothing matches them.
        score: (P,) of the whole track.
        by_track, first_of_track: (A,) the labels object by object in the order of time, and where each object begins.
    """

    pairs: ScenePairs
    counted: BoolArray
    excused: BoolArray
    score: FloatArray
    by_track: IntArray
    first_of_track: IntArray


def _prepared(sequence: KittiSequence, kind: str, neighbour: str) -> _Sequence:
    labels = sequence.labels.select(np.isin(sequence.labels.kind, [kind, neighbour]))
    tracks = sequence.tracks.select(sequence.tracks.kind == kind)
    pairs = scene_pairs(labels, tracks, sequence.n_frames, volume_iou)
    by_track = np.argsort(pairs.annotated_track, kind="stable")
    return _Sequence(
        pairs,
        labels.in_sight & (labels.kind == kind),
        tracks.is_small | in_regions(tracks, sequence.region_frame, sequence.region_px),
        tracks.track_score,
        by_track,
        np.searchsorted(pairs.annotated_track[by_track], np.arange(pairs.annotated_track.max(initial=-1) + 2)),
    )


@dataclass(frozen=True)
class _Counts:
    """What happened at one threshold, over all sequences; `scores` of the matches."""

    scores: FloatArray
    n: int
    misses: int
    false_positives: int
    switches: int
    fragments: int
    overlap: float

    @property
    def matches(self) -> int:
        return len(self.scores)

    @property
    def mota(self) -> float:
        return 1 - (self.misses + self.false_positives + self.switches) / self.n

    def smota(self, recall: float) -> float:
        errors = self.misses + self.false_positives + self.switches - (1 - recall) * self.n
        return min(1.0, max(0.0, 1 - errors / (recall * self.n)))

    @property
    def motp(self) -> float:
        return self.overlap / self.matches if self.matches else 0.0


def _level_metrics(sequences: Sequence[_Sequence], level: float) -> dict[str, float]:
    was_matched = [np.zeros(len(sequence.score), dtype=np.bool_) for sequence in sequences]

    def count(threshold: float) -> _Counts:
        return _count(sequences, was_matched, threshold, level)

    everything = count(-np.inf)
    thresholds, recalls = recall_thresholds(everything.scores, everything.matches + everything.misses)
    counts = [count(threshold) for threshold in thresholds]
    best, best_threshold = 0.0, -np.inf
    for threshold, counted in zip(thresholds, counts, strict=True):
        if counted.mota > best:
            best, best_threshold = counted.mota, threshold
    at_best = count(best_threshold)
    smota = sum(counted.smota(recall) for counted, recall in zip(counts, recalls, strict=True))
    return {
        "sAMOTA": 100 * smota / _N_RECALLS,
        "AMOTA": 100 * sum(counted.mota for counted in counts) / _N_RECALLS,
        "AMOTP": 100 * sum(counted.motp for counted in counts) / _N_RECALLS,
        "MOTA": 100 * at_best.mota,
        "MOTP": 100 * at_best.motp,
        "IDS": at_best.switches,
        "FRAG": at_best.fragments,
        "TP": at_best.matches,
        "FP": at_best.false_positives,
        "FN": at_best.misses,
    }


def recall_thresholds(scores: FloatArray, n: int) -> tuple[list[float], list[float]]:
    """Thresholds at which the wanted recalls are reached, and these; fewer than 40 where the last ones are not.

    Args:
        scores: (M,) of the matches, in any order.
        n: how many could have been matched.
    """
    descending = np.sort(scores * (1.0 + 1e-12))[::-1].tolist()
    wanted = 0.0
    thresholds, recalls = [], []
    for index, score in enumerate(descending):
        here = (index + 1) / n
        is_last = index == len(descending) - 1
        following = here if is_last else (index + 2) / n
        if following - wanted < wanted - here and not is_last:
            continue
        thresholds.append(score)
        recalls.append(wanted)
        wanted += 1 / _N_RECALLS
    return thresholds[1:], recalls[1:]


def _count(sequences: Sequence[_Sequence], was_matched: Sequence[BoolArray], threshold: float, level: float) -> _Counts:
    """What happens at a threshold. Boxes that are matched are noted in `was_matched`, which excuses no more."""
    scores = [np.zeros(0)]
    n = misses = false_positives = switches = fragments = 0
    overlap = 0.0
    for sequence, noted in zip(sequences, was_matched, strict=True):
        kept = ~(sequence.score < threshold)
        matched, similarity = match_frames(sequence.pairs, kept, level, most_pairs=True)
        partners = matched[matched != FREE]
        noted[partners] = True
        scores.append(sequence.score[partners])
        overlap += similarity.sum()
        n += int(sequence.counted.sum())
        misses += int((sequence.counted & (matched == FREE)).sum())
        false_positives += int((kept & (noted | ~sequence.excused)).sum()) - len(partners)
        events = _identity_events(sequence, matched)
        switches, fragments = switches + events[0], fragments + events[1]
    return _Counts(np.concatenate(scores), n, misses, false_positives, switches, fragments, overlap)


def _identity_events(sequence: _Sequence, matched: IntArray) -> tuple[int, int]:
    """IDS and FRAG of a sequence."""
    track = np.full(len(matched), FREE)
    track[matched != FREE] = sequence.pairs.predicted_track[matched[matched != FREE]]
    order = sequence.by_track
    return _switches_and_fragments(track[order], sequence.counted[order], sequence.first_of_track)


@compiled(nogil=True)
def _switches_and_fragments(track: IntArray, counted: BoolArray, first_of_track: IntArray) -> tuple[int, int]:
    switches = fragments = 0
    for number in range(len(first_of_track) - 1):
        begin, end = first_of_track[number], first_of_track[number + 1]
        known = track[begin]  # the last track, since the last label that does not count
        for label in range(begin + 1, end):
            here, before = track[label], track[label - 1]
            if not counted[label]:
                known = FREE
                continue
            if here == FREE:
                continue
            if known != FREE and before != FREE and here != known:
                switches += 1
            is_last = label == end - 1
            if here != before and (is_last or (known != FREE and track[label + 1] != FREE)):
                fragments += 1
            known = here
    return switches, fragments
