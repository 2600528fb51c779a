"""Config files, and what is said of wrong ones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from scenes import InputError
from tracking import TrackerConfig, load_tracker_config, tracker_config_from_dict
from tracking.config import CameraEvidenceConfig, ClassConfig, MeasurementNoise

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "tracking"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_config_loads(path: Path) -> None:
    assert set(load_tracker_config(path).classes) == set(TrackerConfig().classes)


def test_default_config_is_the_default() -> None:
    assert load_tracker_config(CONFIGS / "default.py") == TrackerConfig() == tracker_config_from_dict({})


def test_settings_of_all_classes_then_of_one() -> None:
    given = {"every_class": {"gate_m": 7, "max_unseen_s": 2.0}, "classes": {"bus": {"gate_m": 9.5}}}
    config = tracker_config_from_dict(given)
    assert (config.classes["car"].gate_m, config.classes["bus"].gate_m) == (7.0, 9.5)
    assert config.classes["bus"].max_unseen_s == 2.0
    assert config.classes["pedestrian"].speed_mps == TrackerConfig().classes["pedestrian"].speed_mps


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gate_sigma": 3.0}, "tracker: no setting 'gate_sigma', did you mean 'gate_sigmas'?"),
        ({"xyzzy": 3.0}, "tracker: no setting 'xyzzy' (there are classes"),
        ({"classes": {"cart": {}}}, "tracker: classes: no setting 'cart', did you mean 'car'?"),
        ({"classes": {"car": {"gate": 1.0}}}, "tracker: classes.car: no setting 'gate', did you mean 'gate_m'?"),
        ({"classes": ["car"]}, "tracker: classes: expected a dict, got ['car']"),
        ({"classes": {"car": 4.0}}, "tracker: classes.car: expected a dict, got 4.0"),
        ({"every_class": 1}, "tracker: every_class: expected a dict, got 1"),
        ({"noise": {"along": 1.0}}, "tracker: noise: no setting 'along', did you mean 'along_m'?"),
        ({"camera_evidence": {"min_iou": 0.5}}, "tracker: camera_evidence: no setting 'min_iou' (there are least_iou,"),
        ({"camera_evidence": True}, "tracker: camera_evidence: expected a dict, got True"),
        ({"assignment": "hungarian"}, "tracker: assignment is 'hungarian', expected one of optimal, greedy, nearest"),
        ({"classes": {"car": {"motion": "ctra"}}}, "tracker: classes.car: motion is 'ctra', expected one of"),
        ({"gate_sigmas": "3"}, "tracker: gate_sigmas is '3', expected float"),
        ({"gate_sigmas": True}, "tracker: gate_sigmas is True, expected float"),
        ({"gate_sigmas": -1.0}, "tracker: gate_sigmas is -1.0, expected a finite number, not negative"),
        ({"gate_sigmas": float("nan")}, "tracker: gate_sigmas is nan, expected a finite number, not negative"),
        ({"gate_sigmas": float("inf")}, "tracker: gate_sigmas is inf, expected a finite number, not negative"),
        ({"max_tracks": 10.5}, "tracker: max_tracks is 10.5, expected int"),
        ({"use_identity": 1}, "tracker: use_identity is 1, expected bool"),
    ],
)
def test_wrong_settings_are_named(given: dict, message: str) -> None:
    with pytest.raises(InputError) as raised:
        tracker_config_from_dict(given)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrackerConfig(assignment="hungarian"), "assignment is 'hungarian', expected one of optimal, greedy"),
        (lambda: TrackerConfig(gate_sigmas=-1.0), "gate_sigmas is -1.0, expected a finite number, not negative"),
        (lambda: TrackerConfig(max_tracks=10.5), "max_tracks is 10.5, expected int"),
        (lambda: TrackerConfig(max_tracks=-1), "max_tracks is -1, expected a number that is not negative"),
        (lambda: ClassConfig(confirm_hits=-3), "confirm_hits is -3, expected a number that is not negative"),
        (lambda: TrackerConfig(use_identity=1), "use_identity is 1, expected bool"),
        (lambda: TrackerConfig(noise={"along_m": 1.0}), "noise is {'along_m': 1.0}, expected MeasurementNoise"),
        (lambda: TrackerConfig(classes={"car": {"gate_m": 1.0}}), "classes is {'car': {'gate_m': 1.0}}, expected a"),
        (lambda: TrackerConfig(classes={"cart": ClassConfig()}), "classes: no class 'cart' (there are bicycle, bus,"),
        (lambda: ClassConfig(motion="ctra"), "motion is 'ctra', expected one of constant_velocity,"),
        (lambda: ClassConfig(gate_m=float("nan")), "gate_m is nan, expected a finite number, not negative"),
        (lambda: MeasurementNoise(yaw_rad="0.4"), "yaw_rad is '0.4', expected float"),
        (lambda: CameraEvidenceConfig(keep_s=float("inf")), "keep_s is inf, expected a finite number, not negative"),
        (lambda: dataclasses.replace(TrackerConfig(), cost="iou"), "cost is 'iou', expected one of mahalanobis, giou"),
    ],
)
def test_settings_made_in_python_are_checked_as_those_of_a_file(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        make()
    assert str(raised.value).startswith(message)


def test_whole_numbers_stand_for_others() -> None:
    assert type(TrackerConfig(gate_sigmas=3).gate_sigmas) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tracker = dict(", "not a config: "),
        ("tracker = 1 / 0", "not a config: ZeroDivisionError"),
        ("model = dict()", "no `tracker = dict(...)` in it"),
        ("tracker = 3", ": expected a dict, got 3"),
        ("tracker = dict(cost='iou')", "cost is 'iou', expected one of"),
    ],
)
def test_wrong_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_tracker_config(path)
    assert str(raised.value).startswith(str(path)) and message in str(raised.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such config file"):
        load_tracker_config(tmp_path / "nothing.py")
