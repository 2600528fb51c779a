"""Detections compared: the official values, and draws that are whole evaluations."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation import compare
from evaluation.comparison.detections import HIGHER_IS_BETTER, compare_detections, match_classes, weighted_metrics
from evaluation.detection import detection_metrics
from scenes import Results, read_detections, read_scenes


@pytest.fixture(scope="module")
def scenes(request) -> list:
    return read_scenes(request.getfixturevalue("shared") / "nuscenes_mini_val", "v1.0-mini", "mini_val")


def value(summary: dict, metric: str) -> float:
    return summary["tp_errors"][metric] if metric in summary["tp_errors"] else summary[metric]


def test_values_are_the_official_ones(shared, scenes) -> None:
    runs = {name: read_detections(shared / "detections" / f"{name}.json") for name in ("fastbev", "cc_3dt")}
    official = {name: detection_metrics(results, scenes).summary for name, results in runs.items()}
    for difference in compare_detections(runs, scenes, draws=5)["cc_3dt"]:
        assert difference.first == pytest.approx(value(official["fastbev"], difference.metric), abs=1e-12)
        assert difference.other == pytest.approx(value(official["cc_3dt"], difference.metric), abs=1e-12)


def without_ties(results: Results) -> Results:
    """The order of boxes of equal score is that of the file, which a repeated scene has at another place."""
    rng = np.random.default_rng(0)
    return Results(
        {
            token: boxes.replace(score=boxes.score + 1e-6 * rng.random(len(boxes)))
            for token, boxes in results.boxes.items()
        }
    )


def test_a_scene_drawn_twice_counts_as_two_scenes(shared, scenes) -> None:
    results = without_ties(read_detections(shared / "detections" / "fastbev.json"))
    frames = tuple(replace(frame, token=f"{frame.token}-again") for frame in scenes[0].frames)
    again = {f"{token}-again": results.boxes[token] for token in scenes[0].sample_tokens}
    twice = detection_metrics(
        Results({**results.boxes, **again}), [*scenes, replace(scenes[0], token="again", frames=frames)]
    )
    drawn = weighted_metrics(match_classes(results, scenes), np.array([2, 1]))
    for metric in HIGHER_IS_BETTER:
        assert drawn[metric] == pytest.approx(value(twice.summary, metric), abs=1e-9)


def test_a_run_does_not_differ_from_itself(shared, scenes) -> None:
    run = read_detections(shared / "detections" / "fastbev.json")
    for difference in compare_detections({"a": run, "b": run}, scenes, draws=10)["b"]:
        assert (difference.low, difference.high, difference.probability_better) == (0, 0, 0)


def test_table(shared, mini_val) -> None:
    paths = [shared / "detections" / f"{name}.json" for name in ("fastbev", "cc_3dt")]
    table = compare("detection", paths, mini_val, "v1.0-mini", "mini_val")
    assert all(metric.upper() in table for metric in HIGHER_IS_BETTER)
