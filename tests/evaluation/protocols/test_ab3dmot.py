"""AB3DMOT's metrics are those of eval-ab-3d-mot, and of a reference that tries all matches."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from evaluation.protocols.ab3dmot import CLASSES, LEVELS, class_metrics, recall_thresholds
from evaluation.protocols.kitti_boxes import KittiSequence

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())["cases"]


def by_level(metrics: dict) -> dict[str, dict[str, float]]:
    main = {key: value for key, value in metrics.items() if not isinstance(value, dict)}
    return {str(LEVELS[0]): main} | {str(level): metrics[f"iou_{level}"] for level in LEVELS[1:]}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["seeds"]))
def test_equals_the_recorded_eval_ab_3d_mot(case, made_up) -> None:
    sequences = [made_up(seed) for seed in case["seeds"]]
    for name, expected in case["ab3dmot"].items():
        ours = by_level(class_metrics(sequences, name))
        assert ours.keys() == expected.keys()
        for level, metrics in expected.items():
            assert ours[level] == pytest.approx(metrics, abs=1e-6), (name, level)


@settings(max_examples=8)
@given(seed=st.integers(100, 10**6), name=st.sampled_from(list(CLASSES)), level=st.sampled_from(LEVELS))
def test_equals_a_reference_that_tries_all_matches(seed, name, level, made_up) -> None:
    sequences = [of_some_size(made_up(number)) for number in (seed, seed + 1)]
    metrics = class_metrics(sequences, name)
    reference = Reference(sequences, name, level)
    assert (metrics is None) == (reference.n == 0)
    if metrics is not None:
        assert by_level(metrics)[str(level)] == pytest.approx(reference.metrics(), abs=1e-6)


def of_some_size(sequence: KittiSequence) -> KittiSequence:
    """Without tracks whose made-up errors turn a box inside out: what two such boxes have in common is undefined."""
    return replace(sequence, tracks=sequence.tracks.select((sequence.tracks.size_wlh_m > 0).all(axis=1)))


class Reference:
    """The definition, box by box."""

    def __init__(self, sequences: list[KittiSequence], name: str, level: float) -> None:
        self.frames = [_frames(sequence, *CLASSES[name], level) for sequence in sequences]
        self.n = sum(label["counts"] for frames in self.frames for frame in frames for label in frame["labels"])
        self.matched_before: set[int] = set()
        self.scores = [_track_scores(frames) for frames in self.frames]

    def metrics(self) -> dict[str, float]:
        first = self.count(-np.inf)
        thresholds, recalls = recall_thresholds(np.array(first["scores"]), first["TP"] + first["FN"])
        counts = [self.count(threshold) for threshold in thresholds]
        motas = [self.mota(counted) for counted in counts]
        smotas = [
            min(1, max(0, 1 - (self.errors(counted) - (1 - recall) * self.n) / (recall * self.n)))
            for counted, recall in zip(counts, recalls, strict=True)
        ]
        positive = [(mota, -index) for index, mota in enumerate(motas) if mota > 0]
        best = self.count(thresholds[-max(positive)[1]] if positive else -np.inf)
        motps = [counted["overlap"] / counted["TP"] if counted["TP"] else 0 for counted in counts]
        means = {"sAMOTA": sum(smotas), "AMOTA": sum(motas), "AMOTP": sum(motps)}
        percent = {key: 100 * value / 40 for key, value in means.items()}
        percent |= {"MOTA": 100 * self.mota(best), "MOTP": 100 * best["overlap"] / max(best["TP"], 1)}
        return percent | {key: best[key] for key in ("IDS", "FRAG", "TP", "FP", "FN")}

    def errors(self, counted: dict) -> int:
        return counted["FN"] + counted["FP"] + counted["IDS"]

    def mota(self, counted: dict) -> float:
        return 1 - self.errors(counted) / self.n

    def count(self, threshold: float) -> dict:
        found = defaultdict(int, scores=[])
        for frames, scores in zip(self.frames, self.scores, strict=True):
            history = defaultdict(list)
            for frame in frames:
                boxes = [box for box in frame["boxes"] if scores[box["track"]] >= threshold]
                matches = _most_matches(frame["labels"], boxes)
                self.matched_before |= {id(box) for box, _ in matches.values()}
                for index, label in enumerate(frame["labels"]):
                    box, overlap = matches.get(index, (None, 0.0))
                    history[label["track"]].append((label["counts"], box and box["track"]))
                    found["overlap"] += overlap
                    found["FN"] += box is None and label["counts"]
                    if box is not None:
                        found["TP"] += 1
                        found["scores"].append(scores[box["track"]])
                taken = {id(box) for box, _ in matches.values()}
                for box in boxes:
                    excused = box["excused"] and id(box) not in self.matched_before
                    found["FP"] += id(box) not in taken and not excused
            for steps in history.values():
                switches, fragments = _identity_events(steps)
                found["IDS"] += switches
                found["FRAG"] += fragments
        return found


def _frames(sequence: KittiSequence, kind: str, neighbour: str, level: float) -> list[dict]:
    labels, tracks = sequence.labels, sequence.tracks
    frames = [{"labels": [], "boxes": []} for _ in range(sequence.n_frames)]
    for i in range(len(tracks)):
        if tracks.kind[i] != kind:
            continue
        left, top, right, bottom = tracks.edges_px[i]
        excused = bottom - top <= 25
        for x0, y0, x1, y1 in sequence.region_px[sequence.region_frame == tracks.frame[i]]:
            inside = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
            excused |= inside > 0.5 * (right - left) * (bottom - top)
        box = {"track": tracks.track[i], "score": tracks.score[i], "excused": excused, "number": i}
        frames[tracks.frame[i]]["boxes"].append(box)
    for i in range(len(labels)):
        if labels.kind[i] not in (kind, neighbour):
            continue
        counts = bool(labels.kind[i] == kind and labels.occluded[i] <= 2 and labels.truncated[i] <= 0)
        frame = frames[labels.frame[i]]
        overlaps = {id(box): _iou(labels, i, tracks, box["number"]) for box in frame["boxes"]}
        near = {key: overlap for key, overlap in overlaps.items() if overlap >= level}
        frame["labels"].append({"track": labels.track[i], "counts": counts, "near": near})
    return frames


def _iou(first, i: int, second, j: int) -> float:
    bodies = []
    for boxes, index in ((first, i), (second, j)):
        width, length, height = boxes.size_wlh_m[index]
        x, y, z = boxes.bottom_m[index]
        cosine, sine = np.cos(boxes.ry_rad[index]), np.sin(boxes.ry_rad[index])
        corners = [(a * length / 2, b * width / 2) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
        ground = Polygon([(x + cosine * a + sine * b, z - sine * a + cosine * b) for a, b in corners])
        bodies.append((ground, y - height, y, width * length * height))
    (ground, top, bottom, volume), (other, other_top, other_bottom, other_volume) = bodies
    height = max(0.0, min(bottom, other_bottom) - max(top, other_top))
    both = height and ground.intersection(other).area * height
    return both / (volume + other_volume - both)


def _track_scores(frames: list[dict]) -> dict[int, float]:
    scores = defaultdict(list)
    for frame in frames:
        for box in frame["boxes"]:
            scores[box["track"]].append(box["score"])
    return {track: float(np.mean(of_track)) for track, of_track in scores.items()}


def _most_matches(labels: list[dict], boxes: list[dict]) -> dict[int, tuple[dict, float]]:
    """The matches of the greatest number, then overlap, of all that there can be."""
    best: tuple[int, float, dict] = (0, 0.0, {})

    def extend(index: int, chosen: dict[int, tuple[dict, float]]) -> None:
        nonlocal best
        if index == len(labels):
            best = max(best, (len(chosen), sum(value for _, value in chosen.values()), chosen), key=lambda b: b[:2])
            return
        extend(index + 1, chosen)
        taken = {id(box) for box, _ in chosen.values()}
        for box in boxes:
            if id(box) in labels[index]["near"] and id(box) not in taken:
                extend(index + 1, chosen | {index: (box, labels[index]["near"][id(box)])})

    extend(0, {})
    return best[2]


def _identity_events(steps: list[tuple[bool, int | None]]) -> tuple[int, int]:
    switches = fragments = 0
    for now in range(1, len(steps)):
        counts, track = steps[now]
        if not counts or track is None:
            continue
        before = steps[now - 1][1]
        # Tracks since the last label that does not count; of the first label that is not asked.
        since = []
        for counted, earlier in reversed(steps[1:now]):
            if not counted:
                break
            since.append(earlier)
        else:
            since.append(steps[0][1])
        known = next((earlier for earlier in since if earlier is not None), None)
        switches += before is not None and known is not None and known != track
        last = now == len(steps) - 1
        fragments += before != track and (last or (known is not None and steps[now + 1][1] is not None))
    return switches, fragments


def test_labels_as_tracks_make_no_errors(made_up) -> None:
    sequence = made_up(0)
    labels = sequence.labels
    shared = {name: getattr(labels, name) for name in ("frame", "track", "kind", "edges_px")}
    shared |= {name: getattr(labels, name) for name in ("bottom_m", "size_wlh_m", "ry_rad")}
    # Tracks of negative scores pass their own thresholds, so that at the last one all are there.
    tracks = type(sequence.tracks)(**shared, score=-1.0 - labels.track)
    metrics = class_metrics([replace(sequence, tracks=tracks)], "cyclist")
    for level in by_level(metrics).values():
        assert level["FP"] == level["FN"] == level["IDS"] == level["FRAG"] == 0
        assert level["MOTA"] == pytest.approx(100) and level["MOTP"] == pytest.approx(100, abs=1e-6)


def test_tracks_of_nothing_find_nothing(made_up) -> None:
    sequence = made_up(0)
    none = replace(sequence, tracks=sequence.tracks.select(np.zeros(len(sequence.tracks), dtype=bool)))
    metrics = class_metrics([none], "car")
    assert metrics["TP"] == metrics["FP"] == metrics["sAMOTA"] == metrics["MOTA"] == 0 and metrics["FN"] > 0


def test_a_class_without_labels_has_no_metrics(made_up) -> None:
    sequence = made_up(0)
    without = replace(sequence, labels=sequence.labels.select(sequence.labels.kind != "Car"))
    assert class_metrics([without], "car") is None


@given(scores=st.lists(st.floats(-5, 5), max_size=200), missed=st.integers(1, 100))
def test_thresholds_fall_while_recall_rises(scores, missed) -> None:
    thresholds, recalls = recall_thresholds(np.array(scores, dtype=float), len(scores) + missed)
    assert thresholds == sorted(thresholds, reverse=True) and len(thresholds) == len(recalls) <= 40
    assert recalls == pytest.approx([(index + 1) / 40 for index in range(len(recalls))])
