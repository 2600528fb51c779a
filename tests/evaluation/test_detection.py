"""The detection engine gives the devkit's numbers."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluation import evaluate_detection
from evaluation.check import first_difference
from evaluation.detection import detection_metrics
from evaluation.inputs import Split, read_inputs
from scenes import InputError, Results, read_detections, read_scenes

CLASSES = st.lists(
    st.sampled_from(["car", "bicycle", "pedestrian", "barrier", "traffic_cone"]), min_size=1, max_size=3, unique=True
).map(tuple)

WORLDS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "scene_lengths": st.lists(st.sampled_from([1, 2, 5]), min_size=1, max_size=2).map(tuple),
        "objects": st.sampled_from([3, 8]),
        "grid_m": st.sampled_from([0.0, 0.25, 1.0]),
        "scores": st.sampled_from([1, 3, 1000]),
        "noise_m": st.sampled_from([0.0, 0.3, 1.5]),
        "annotated": CLASSES,
        "predicted": CLASSES,
    }
)


@pytest.mark.parametrize("detector", ["fastbev", "cc3dt"])
def test_recorded_detections(detector, recorded, mini_val) -> None:
    path, expected = recorded(detector, "detections")
    evaluation = evaluate_detection(path, mini_val, "v1.0-mini", "mini_val")
    assert first_difference(evaluation, expected) is None
    assert evaluation.summary["meta"] == expected.summary["meta"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(world=WORLDS)
def test_random_worlds(world, random_world) -> None:
    devkit = pytest.importorskip("evaluation.devkit")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "world")
        path = random_world(**world, faulty_identities=False).write(root, "detection")
        inputs = read_inputs(path, Split(root, "v1.0-world", "all"), read_detections)
        try:
            expected = devkit.evaluate_detection(inputs)
        except InputError:
            assume(False)
        assert first_difference(detection_metrics(inputs.results, inputs.scenes), expected) is None


def test_negative_scores_are_refused_where_the_devkit_stops(recorded, mini_val) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    detections = read_detections(recorded("fastbev", "detections")[0])
    negative = {token: boxes.replace(score=boxes.score - 2) for token, boxes in detections.boxes.items()}
    with pytest.raises(InputError, match="negative scores"):
        detection_metrics(Results(negative), scenes)
