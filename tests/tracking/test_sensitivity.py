"""Settings varied one at a time."""

import pytest

from tracking import TrackerConfig, tracker_config_from_dict
from tracking.sensitivity import scaled, varied


def test_each_variation_changes_one_setting() -> None:
    base = TrackerConfig()
    seen = set()
    for name, factor, config in varied(base, (0.5, 2.0)):
        assert config != base and scaled(config, {name: 1.0 / factor}) == base
        seen.add(name)
    assert {"gate_sigmas", "noise.along_m", "classes.gate_m"} <= seen
    assert "max_tracks" not in seen and "classes.min_score" not in seen


def test_class_settings_are_scaled_for_all_classes() -> None:
    config = scaled(TrackerConfig(), {"classes.gate_m": 2.0, "noise.yaw_rad": 0.5})
    for name, own in TrackerConfig().classes.items():
        assert config.classes[name].gate_m == 2.0 * own.gate_m
    assert config.noise.yaw_rad == 0.5 * TrackerConfig().noise.yaw_rad


def test_settings_of_nothing_are_left_out() -> None:
    config = tracker_config_from_dict({"birth_probability": 0.0})
    assert "birth_probability" not in {name for name, _, _ in varied(config)}


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(AttributeError):
        scaled(TrackerConfig(), {"gates": 2.0})
