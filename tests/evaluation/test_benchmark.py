"""The benchmark's data: whole data roots, on which both engines agree."""

from pathlib import Path

import pytest

from evaluation import evaluate_detection, evaluate_tracking
from evaluation.benchmark import EngineRun, comparison, measure, measurement_table, prepare
from evaluation.check import first_difference
from scenes import read_scenes, read_tracks
from scenes.city import VAL_SPLIT, VERSION


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The first two of three scenes of a city, five frames each."""
    return prepare(tmp_path_factory.mktemp("benchmark"), n_scenes=2, n_all=3, frames=5)


def test_holds_the_first_scenes_whole(root) -> None:
    city = read_scenes(root.parent / "city_3x5", VERSION, VAL_SPLIT)
    part = read_scenes(root, VERSION)
    assert [scene.name for scene in part] == [scene.name for scene in city[:2]]
    for scene, original in zip(part, city, strict=False):
        assert scene.sample_tokens == original.sample_tokens
        assert len(scene.frames[3].annotations.boxes) == len(original.frames[3].annotations.boxes)


def test_tracks_are_neither_perfect_nor_hopeless(root) -> None:
    tracks = read_tracks(root / "tracking.json")
    assert all(boxes.track_id is not None for boxes in tracks.boxes.values())
    evaluation = evaluate_tracking(root / "tracking.json", root, VERSION, VAL_SPLIT)
    assert 0.1 < evaluation.summary["mota"] < 0.9 and not evaluation.warnings


@pytest.mark.slow
@pytest.mark.parametrize(("task", "evaluate"), [("tracking", evaluate_tracking), ("detection", evaluate_detection)])
def test_engines_agree_on_the_city(task, evaluate, root) -> None:
    pytest.importorskip("nuscenes")
    path = root / f"{task}.json"
    ours, theirs = (evaluate(path, root, VERSION, VAL_SPLIT, engine=engine) for engine in ("ours", "devkit"))
    assert first_difference(ours, theirs) is None


def test_measures_a_run(root) -> None:
    measurement = measure("detection", "ours", 2, root)
    assert measurement.wall_s > 0.1 and measurement.peak_bytes > 50e6
    assert (root / "metrics" / "detection" / "ours" / "metrics_summary.json").is_file()


def test_comparison_says_what_was_extrapolated() -> None:
    measurements = [
        EngineRun("tracking", "ours", 10, 1.0, 0),
        EngineRun("tracking", "ours", 100, 5.0, 10**9),
        EngineRun("tracking", "devkit", 10, 60.0, 0),
    ]
    assert comparison("tracking", measurements) == (
        "tracking on 100 scenes: the devkit takes, from 10 scenes in proportion, 600 s, ours 5.0 s: 120 times as fast"
    )
    assert "1.00" in measurement_table(measurements)
