"""Every figure of a comparison is what the evaluation says of each file alone."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluation.comparison.bootstrap import Difference, comparison_table
from evaluation.comparison.detections import compare_detections
from evaluation.comparison.tracks import compare_tracks
from evaluation.detection import detection_metrics
from evaluation.inputs import Split, read_inputs
from evaluation.tracking import tracking_metrics
from scenes import LABEL_OF_CLASS, InputError, Results, Scene, read_detections, read_scenes, read_tracks

CLASSES = st.sets(st.sampled_from(["car", "bicycle", "pedestrian"]), min_size=1).map(lambda names: tuple(sorted(names)))

WORLDS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "scene_lengths": st.lists(st.sampled_from([1, 2, 5]), min_size=1, max_size=3).map(tuple),
        "objects": st.sampled_from([3, 8]),
        "grid_m": st.just(0.0),
        "scores": st.sampled_from([1, 3, 1000]),
        "noise_m": st.sampled_from([0.0, 0.3, 1.5]),
        "annotated": CLASSES,
        "predicted": CLASSES,
    }
)


def without(results: Results, classes: set[str]) -> Results:
    labels = [LABEL_OF_CLASS[name] for name in classes]
    return Results({token: boxes.select(~np.isin(boxes.label, labels)) for token, boxes in results.boxes.items()})


def official(results: Results, scenes: list[Scene], task: str) -> dict[str, float]:
    if task == "tracking":
        return tracking_metrics(results, scenes).summary
    summary = detection_metrics(results, scenes).summary
    return {**summary, **summary["tp_errors"]}


def assert_official(differences: list[Difference], first: Results, other: Results, scenes, task: str) -> None:
    expected = official(first, scenes, task), official(other, scenes, task)
    for difference in differences:
        for value, metrics in zip((difference.first, difference.other), expected, strict=True):
            assert value == pytest.approx(metrics[difference.metric], abs=1e-12, nan_ok=True), difference.metric


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    world=WORLDS,
    task=st.sampled_from(["tracking", "detection"]),
    removed=st.sets(st.sampled_from(["car", "bicycle", "pedestrian"])),
    n_scenes=st.integers(1, 3),
)
def test_random_worlds(world, task, removed, n_scenes, random_world) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "world")
        path = random_world(**world, faulty_identities=False).write(root, task)
        inputs = read_inputs(
            path, Split(root, "v1.0-world", "all"), read_tracks if task == "tracking" else read_detections
        )
    scenes = inputs.scenes[:n_scenes]
    whole = Results({token: inputs.results.boxes[token] for scene in scenes for token in scene.sample_tokens})
    other = without(whole, removed)
    compare = compare_tracks if task == "tracking" else compare_detections
    try:
        compared = compare({"whole": whole, "other": other}, scenes, draws=5)
    except InputError:
        assume(False)
    assert_official(compared["other"], whole, other, scenes, task)
    assert "nan" not in comparison_table(compared, "whole", len(scenes))


@pytest.mark.parametrize("removed", [{"pedestrian"}, {"car", "truck", "bus"}, set(LABEL_OF_CLASS)])
def test_classes_that_were_never_found(removed, shared) -> None:
    scenes = read_scenes(shared / "nuscenes_mini_val", "v1.0-mini", "mini_val")
    whole = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    other = without(whole, removed)
    compared = compare_tracks({"whole": whole, "other": other}, scenes, draws=50)["other"]
    assert_official(compared, whole, other, scenes, "tracking")
    by_metric = {difference.metric: difference for difference in compared}
    for metric in ("amota", "mota", "recall"):
        assert by_metric[metric].other < by_metric[metric].first
        assert by_metric[metric].probability_better == 0.0
