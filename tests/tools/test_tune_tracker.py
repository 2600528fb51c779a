"""`tools/tune_tracker.py` and `tools/tracker_sensitivity.py` as a user runs them."""

import pytest

from scenes import write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from scenes.tables import read_scenes
from tracking import load_tracker_config


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Detections of two short scenes, and where the scenes are."""
    root = tmp_path_factory.mktemp("tuned") / "city"
    make_city(root, train_scenes=1, val_scenes=2, frames=8, seed=2, images=False, workers=1)
    detections = root / "detections.json"
    write_detections(detections, simulate_detections(read_scenes(root, VERSION, VAL_SPLIT)))
    return [detections, "--dataroot", root, "--version", VERSION, "--split", VAL_SPLIT]


@pytest.mark.slow
def test_tuned_settings_are_written_and_a_second_run_goes_on(run, given, tmp_path) -> None:
    arguments = [*given, "--held-out", 1, "--out", tmp_path, "--workers", 1]
    first = run("tune_tracker.py", *arguments, "--trials", 3)
    assert first.returncode == 0, first.stderr
    assert "3 trials" in first.stdout and "on the 1 scenes held out: AMOTA" in first.stdout
    load_tracker_config(tmp_path / "tuned.py")
    second = run("tune_tracker.py", *arguments, "--trials", 2)
    assert second.returncode == 0 and "5 trials" in second.stdout, second.stderr
    assert second.stdout.count("too few") == 1
    other = run("tune_tracker.py", *arguments[:-6], "--held-out", 0, *arguments[-4:], "--trials", 1)
    assert other.returncode == 2 and other.stderr.count("\n") == 1, other.stderr
    assert "trials.journal: holds trials with other scenes, which cannot be compared" in other.stderr


def test_too_many_scenes_held_out(run, given, tmp_path) -> None:
    done = run("tune_tracker.py", *given, "--held-out", 2, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--held-out 2" in done.stderr
    assert not (tmp_path / "out").exists()


def test_sensitivity_is_a_table_of_every_setting(run, given) -> None:
    done = run("tracker_sensitivity.py", *given, "--workers", 1, "--factors", 0.5)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| setting | detections x0.5 |") and lines[2].startswith("| unchanged | 0.")
    assert any(line.startswith("| classes.gate_m | 0.") for line in lines)
    assert len({line.count("|") for line in lines}) == 1
