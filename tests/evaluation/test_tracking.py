"""The tracking engine gives the devkit's numbers."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluation import evaluate_tracking
from evaluation.check import first_difference
from evaluation.inputs import Split, read_inputs
from evaluation.tracking import recall_thresholds, tracking_metrics
from scenes import InputError, read_scenes, read_tracks

CLASSES = st.lists(st.sampled_from(["car", "bicycle", "pedestrian"]), min_size=1, max_size=2, unique=True).map(tuple)

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
@pytest.mark.parametrize("tracks", ["tracks_centerpoint", "tracks_polymot"])
def test_recorded_tracks(detector, tracks, recorded, mini_val) -> None:
    path, expected = recorded(detector, tracks)
    evaluation = evaluate_tracking(path, mini_val, "v1.0-mini", "mini_val")
    assert first_difference(evaluation, expected) is None
    assert evaluation.summary["meta"] == expected.summary["meta"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(world=WORLDS, faulty=st.booleans())
def test_random_worlds(world, faulty, random_world) -> None:
    devkit = pytest.importorskip("evaluation.devkit")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "world")
        path = random_world(**world, faulty_identities=faulty).write(root, "tracking")
        inputs = read_inputs(path, Split(root, "v1.0-world", "all"), read_tracks)
        try:
            expected = devkit.evaluate_tracking(inputs)
        except InputError:
            assume(False)
        except AssertionError:
            with pytest.raises(InputError, match="a tracking_id stands at several boxes"):
                tracking_metrics(inputs.results, inputs.scenes)
        else:
            assert first_difference(tracking_metrics(inputs.results, inputs.scenes), expected) is None


def test_corrected_interpolation_is_ours_alone(recorded, mini_val) -> None:
    path, expected = recorded("cc3dt", "tracks_polymot")
    where = (path, mini_val, "v1.0-mini", "mini_val")
    corrected = evaluate_tracking(*where, interpolation="corrected")
    assert 0 < abs(corrected.summary["amota"] - expected.summary["amota"]) < 0.002
    with pytest.raises(InputError, match="the devkit knows only its own interpolation"):
        evaluate_tracking(*where, engine="devkit", interpolation="corrected")


def test_identities_between_metrics(recorded, mini_val) -> None:
    """What the definitions imply: MOTAR = max(0, 1 - FP / TP), annotations = matches + switches + misses."""
    evaluation = evaluate_tracking(recorded("cc3dt", "tracks_polymot")[0], mini_val, "v1.0-mini", "mini_val")
    for name, curves in evaluation.details.items():
        if name == "trailer":
            continue
        tp, fp, fn, ids, gt = (np.array(curves[key]) for key in ("tp", "fp", "fn", "ids", "gt"))
        np.testing.assert_allclose(curves["motar"], np.maximum(0, 1 - fp / tp), atol=1e-12)
        np.testing.assert_array_equal(gt, tp + ids + fn)
        np.testing.assert_allclose(curves["recall"], (tp + ids) / gt)


def test_thresholds_reach_the_recalls_that_they_are_named_for() -> None:
    scores = np.linspace(0.01, 1, 100)
    thresholds, recalls = recall_thresholds(scores, 100)
    reached = np.array([(scores >= threshold).mean() for threshold in thresholds])
    np.testing.assert_allclose(reached, recalls, atol=0.01)


def test_thresholds_beyond_the_highest_recall_are_not_defined() -> None:
    thresholds, recalls = recall_thresholds(np.full(30, 0.5), 100)
    np.testing.assert_array_equal(np.isnan(thresholds), recalls > 0.3)


def test_time_that_runs_backwards_is_refused(recorded, mini_val) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    backwards = type(scenes[0])(**{**vars(scenes[0]), "frames": scenes[0].frames[::-1]})
    tracks = read_tracks(recorded("fastbev", "tracks_polymot")[0])
    with pytest.raises(InputError, match="scene 'scene-0103': time does not increase from sample"):
        tracking_metrics(tracks, [backwards])
