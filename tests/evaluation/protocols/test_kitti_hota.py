"""HOTA in KITTI's images is TrackEval's, and that of a reference that tries all matches."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.protocols.kitti_boxes import KittiSequence
from evaluation.protocols.kitti_hota import CLASSES, class_metrics

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())["cases"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["seeds"]))
def test_equals_the_recorded_trackeval(case, made_up) -> None:
    sequences = [made_up(seed) for seed in case["seeds"]]
    for name, expected in case["kitti-hota"].items():
        assert of_all(class_metrics(sequences, name)) == pytest.approx(expected, abs=1e-9), name


def scored(sequence: KittiSequence) -> KittiSequence:
    """With scores that say how much of its life a track overlaps cars that count."""
    labels, tracks = sequence.labels, sequence.tracks
    labels = labels.select((labels.kind == "Car") & labels.in_sight)
    is_hit = [
        any(_iou(edges, label) > 0.5 for label in labels.edges_px[labels.frame == frame])
        for frame, edges in zip(tracks.frame, tracks.edges_px, strict=True)
    ]
    return replace(sequence, tracks=replace(tracks, score=np.array(is_hit, dtype=float)))


def of_all(metrics: dict) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if not key.startswith("at_")}


def test_scores_leave_out_tracks(made_up) -> None:
    """The numbers are those of a file without the others; others do not give much more than the best."""
    sequences = [scored(made_up(0)), scored(made_up(1))]
    metrics = class_metrics(sequences, "car")
    best = metrics["at_best_score"]

    def at(score: float) -> dict[str, float]:
        kept = [sequence.tracks.kind != "Car" for sequence in sequences]
        for mask, sequence in zip(kept, sequences, strict=True):
            for track in set(sequence.tracks.track[~mask].tolist()):
                of_track = (sequence.tracks.track == track) & (sequence.tracks.kind == "Car")
                mask[of_track] = sequence.tracks.score[of_track].mean() >= score
        better = [replace(s, tracks=s.tracks.select(mask)) for s, mask in zip(sequences, kept, strict=True)]
        return of_all(class_metrics(better, "car"))

    assert best["HOTA"] > metrics["HOTA"]
    assert {key: value for key, value in best.items() if key != "score"} == pytest.approx(at(best["score"]), abs=1e-9)
    assert metrics["at_even_odds"] == pytest.approx({"score": 0.5} | at(0.5), abs=1e-9)
    others = [at(score)["HOTA"] for score in np.linspace(0.05, 0.95, 10)]
    assert max(others) < best["HOTA"] + 1


@settings(max_examples=8)
@given(seed=st.integers(100, 10**6), name=st.sampled_from(list(CLASSES)))
def test_equals_a_reference_that_tries_all_matches(seed, name, made_up) -> None:
    sequences = [made_up(seed), made_up(seed + 1)]
    metrics, expected = class_metrics(sequences, name), reference(sequences, name)
    if metrics is None:
        assert expected is None
    else:
        assert metrics["HOTA"] == pytest.approx(expected, abs=1e-9)


def reference(sequences: list[KittiSequence], name: str) -> float | None:
    """HOTA as the paper defines it, box by box."""
    remaining = [_remaining(sequence, *CLASSES[name]) for sequence in sequences]
    if not any(labels for frames in remaining for labels, _ in frames):
        return None
    values = []
    matched = [_matched(frames) for frames in remaining]
    n_labels = sum(len(labels) for frames in remaining for labels, _ in frames)
    n_boxes = sum(len(boxes) for frames in remaining for _, boxes in frames)
    for alpha in np.arange(1, 20) / 20:
        true_positives, association = 0, 0.0
        for frames, pairs in zip(remaining, matched, strict=True):
            of_label = Counter(track for labels, _ in frames for track, _ in labels)
            of_box = Counter(track for _, boxes in frames for track, _ in boxes)
            together = Counter((a, b) for a, b, overlap in pairs if overlap >= alpha - 1e-12)
            true_positives += sum(together.values())
            association += sum(c * c / (of_label[a] + of_box[b] - c) for (a, b), c in together.items())
        det_a = true_positives / (n_labels + n_boxes - true_positives)
        values.append(np.sqrt(det_a * association / max(true_positives, 1)))
    return 100 * float(np.mean(values))


def _remaining(sequence: KittiSequence, kind: str, neighbour: str) -> list[tuple[list, list]]:
    """Of each frame the labels and the boxes that are scored: (track, edges)."""
    labels, tracks = sequence.labels, sequence.tracks
    frames = []
    for frame in range(sequence.n_frames):
        rows = [i for i in range(len(labels)) if labels.frame[i] == frame and labels.kind[i] in (kind, neighbour)]
        columns = [j for j in range(len(tracks)) if tracks.frame[j] == frame and tracks.kind[j] == kind]
        counts = {i: labels.kind[i] == kind and labels.occluded[i] <= 2 and labels.truncated[i] <= 0 for i in rows}
        worth = {(i, j): _iou(labels.edges_px[i], tracks.edges_px[j]) for i in rows for j in columns}
        partner = {j: i for i, j in _best({pair: value for pair, value in worth.items() if value >= 0.5})}
        kept = []
        for j in columns:
            box = tracks.edges_px[j]
            regions = sequence.region_px[sequence.region_frame == frame]
            excused = box[3] - box[1] <= 25 or any(_shared(box, region) > 0.5 * _area(box) for region in regions)
            if counts[partner[j]] if j in partner else not excused:
                kept.append((tracks.track[j], box))
        frames.append(([(labels.track[i], labels.edges_px[i]) for i in rows if counts[i]], kept))
    return frames


def _matched(frames: list[tuple[list, list]]) -> list[tuple[int, int, float]]:
    """The pairs of tracks that are matched, frame by frame, and their overlap."""
    potential: dict[tuple[int, int], float] = defaultdict(float)
    overlaps = []
    for labels, boxes in frames:
        table = np.array([[_iou(a, b) for _, b in boxes] for _, a in labels]).reshape(len(labels), len(boxes))
        overlaps.append(table)
        for i, j in zip(*np.nonzero(table), strict=True):
            share = table[i, j] / (table[i].sum() + table[:, j].sum() - table[i, j])
            potential[labels[i][0], boxes[j][0]] += share
    of_label = Counter(track for labels, _ in frames for track, _ in labels)
    of_box = Counter(track for _, boxes in frames for track, _ in boxes)
    pairs = []
    for (labels, boxes), table in zip(frames, overlaps, strict=True):
        worth = {}
        for i, j in zip(*np.nonzero(table), strict=True):
            a, b = labels[i][0], boxes[j][0]
            worth[i, j] = table[i, j] * potential[a, b] / (of_label[a] + of_box[b] - potential[a, b])
        pairs += [(labels[i][0], boxes[j][0], table[i, j]) for i, j in _best(worth)]
    return pairs


def _best(worth: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The pairs of the greatest total worth, of all choices that there can be."""
    rows = sorted({i for i, _ in worth})

    def extend(index: int, taken: frozenset[int]) -> tuple[float, list[tuple[int, int]]]:
        if index == len(rows):
            return 0.0, []
        best = extend(index + 1, taken)
        for (i, j), value in worth.items():
            if i == rows[index] and j not in taken:
                total, pairs = extend(index + 1, taken | {j})
                best = max(best, (total + value, [(i, j), *pairs]), key=lambda choice: choice[0])
        return best

    return extend(0, frozenset())[1]


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _area(a: np.ndarray) -> float:
    return (a[2] - a[0]) * (a[3] - a[1])


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return _shared(a, b) / (_area(a) + _area(b) - _shared(a, b))


def test_a_class_without_labels_has_no_metrics(made_up) -> None:
    sequence = made_up(0)
    without = replace(sequence, labels=sequence.labels.select(sequence.labels.kind != "Pedestrian"))
    assert class_metrics([without], "pedestrian") is None
