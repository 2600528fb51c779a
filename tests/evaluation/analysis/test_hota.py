"""HOTA is TrackEval's on the same similarities, IDF1 motmetrics'."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evaluation.analysis.hota import ZERO_SIMILARITY_M, identity_metrics
from evaluation.engine.matching import ClassBoxes

THRESHOLD = 0.3
RECORDED = json.loads(Path(__file__).with_name("trackeval_hota.json").read_text())


def random_scene(rng: np.random.Generator, frames: int, tracks: int, spread_m: float) -> tuple[list, list]:
    """For each frame its boxes: track, position, score; annotated ones and predictions that wander and swap."""
    start_m = rng.uniform(0, spread_m, (tracks, 2))
    names = np.arange(tracks)
    annotated, predicted = [], []
    for frame in range(frames):
        if rng.random() < 0.3:
            names = rng.permutation(names)
        present, found = rng.random(tracks) < 0.8, rng.random(tracks) < 0.8
        center_m = start_m + frame * 0.5
        annotated.append([(i, center_m[i], 1.0) for i in np.flatnonzero(present)])
        noise_m = rng.normal(0, 0.7, (tracks, 2))
        predicted.append([(names[i], center_m[i] + noise_m[i], rng.random()) for i in np.flatnonzero(found)])
    return annotated, predicted


def class_boxes(scenes: list[list]) -> ClassBoxes:
    frames = [frame for scene in scenes for frame in scene]
    boxes = [box for frame in frames for box in frame]
    return ClassBoxes(
        first_box=np.cumsum([0, *map(len, frames)]),
        track=np.array([box[0] for box in boxes], dtype=np.int64),
        repeated=np.zeros(len(boxes), bool),
        xy_m=np.array([box[1] for box in boxes], dtype=float).reshape(-1, 2),
        score=np.array([box[2] for box in boxes], dtype=float),
        row=np.arange(len(boxes)),
    )


def trackeval_data(annotated: list, predicted: list, tracks: int) -> dict:
    kept = [[box for box in frame if box[2] >= THRESHOLD] for frame in predicted]
    similarities = []
    for truth, guess in zip(annotated, kept, strict=True):
        offsets = np.array([[t[1] - g[1] for g in guess] for t in truth]).reshape(len(truth), len(guess), 2)
        similarities.append(np.maximum(0, 1 - np.linalg.norm(offsets, axis=2) / ZERO_SIMILARITY_M))
    return {
        "num_gt_ids": tracks,
        "num_tracker_ids": tracks,
        "num_gt_dets": sum(map(len, annotated)),
        "num_tracker_dets": sum(map(len, kept)),
        "num_timesteps": len(annotated),
        "gt_ids": [np.array([box[0] for box in frame], dtype=int) for frame in annotated],
        "tracker_ids": [np.array([box[0] for box in frame], dtype=int) for frame in kept],
        "similarity_scores": similarities,
    }


def motmetrics_idf1(scenes: list[dict]) -> float:
    motmetrics = pytest.importorskip("motmetrics")
    host = motmetrics.metrics.create()
    accumulators = []
    for data in scenes:
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for truth, guess, similarity in zip(
            data["gt_ids"], data["tracker_ids"], data["similarity_scores"], strict=True
        ):
            accumulator.update(truth, guess, np.where(similarity > 0, 1 - similarity, np.nan))
        accumulators.append(accumulator)
    parts = [host.compute(a, metrics=["idtp", "num_objects", "num_predictions"]).iloc[0] for a in accumulators]
    return 2 * sum(p.idtp for p in parts) / sum(p.num_objects + p.num_predictions for p in parts)


def evaluated(seed: int, lengths: list[int], tracks: int, spread_m: float) -> tuple[dict[str, float], list[dict]]:
    """Our metrics of random scenes, and the scenes as TrackEval takes them."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, length, tracks, spread_m) for length in lengths]
    ours = identity_metrics(
        class_boxes([scene[0] for scene in scenes]),
        class_boxes([scene[1] for scene in scenes]),
        np.cumsum([0, *lengths]),
        np.full(len(scenes), tracks),
        np.full(len(scenes), tracks),
        THRESHOLD,
    )
    return ours, [trackeval_data(*scene, tracks) for scene in scenes]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: str(case["seed"]))
def test_equals_recorded_trackeval(case) -> None:
    """TrackEval 1.0.0 said this of the same scenes. It does not install beside numpy 1 on every Python version."""
    ours, _ = evaluated(case["seed"], case["lengths"], case["tracks"], case["spread_m"])
    for name, value in case["trackeval"].items():
        assert ours[name] == pytest.approx(value, abs=1e-9), name


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    tracks=st.integers(1, 6),
    spread_m=st.sampled_from([2.0, 10.0]),
)
def test_equals_motmetrics(seed, lengths, tracks, spread_m) -> None:
    ours, data = evaluated(seed, lengths, tracks, spread_m)
    assume(all(part["num_gt_dets"] and part["num_tracker_dets"] for part in data))
    assert ours["idf1"] == pytest.approx(motmetrics_idf1(data), abs=1e-12)


def test_perfect_tracks() -> None:
    rng = np.random.default_rng(0)
    truth = class_boxes([random_scene(rng, 5, 4, 50.0)[0]])
    ours = identity_metrics(truth, truth, np.array([0, 5]), np.array([4]), np.array([4]), 0.0)
    assert ours == pytest.approx(dict.fromkeys(("hota", "deta", "assa", "loca", "idf1"), 1.0))
