"""The search for settings: finds what is better, goes on after a stop, and writes what loads."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from scenes import InputError
from tracking import TrackerConfig, load_tracker_config, tracker_config_from_dict
from tracking.sensitivity import scaled
from tracking.tuning import RANGES, config_source, tune

INPUTS = {"detections": "abc", "scenes": "def"}


def nearness(config: TrackerConfig) -> float:
    """Highest where the gate is half as wide as usual."""
    return -abs(config.gate_sigmas - 0.7 * TrackerConfig().gate_sigmas)


def test_finds_better_settings_and_never_worse_ones_than_the_start(tmp_path: Path) -> None:
    tuned = tune(TrackerConfig(), nearness, 30, tmp_path / "journal", inputs=INPUTS)
    assert tuned.start == nearness(TrackerConfig()) and tuned.best > tuned.start
    assert nearness(tuned.config) == pytest.approx(tuned.best)
    assert max(tuned.importance, key=tuned.importance.__getitem__) == "gate_sigmas"
    assert tuned.factors.keys() <= RANGES.keys()


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    tried = []

    def objective(config: TrackerConfig) -> float:
        tried.append(config)
        return nearness(config)

    first = tune(TrackerConfig(), objective, 4, tmp_path / "journal", inputs=INPUTS)
    second = tune(TrackerConfig(), objective, 3, tmp_path / "journal", inputs=INPUTS)
    assert (first.n_trials, second.n_trials, len(tried)) == (4, 7, 7)
    assert second.start == first.start and second.best >= first.best
    assert all(config not in tried[:4] for config in tried[4:])


def test_goes_on_soon_after_a_kill_in_the_middle_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the journal is left behind then."""
    journal = tmp_path / "journal"
    tune(TrackerConfig(), nearness, 1, journal, inputs=INPUTS)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "fsync", lambda _: os._exit(9))
        try:
            tune(TrackerConfig(), nearness, 1, journal, inputs=INPUTS)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    begun_s = time.monotonic()
    assert tune(TrackerConfig(), nearness, 1, journal, inputs=INPUTS).n_trials == 2
    assert time.monotonic() - begun_s < 15


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"inputs": {**INPUTS, "detections": "xyz"}}, "other detections, which"),
        ({"inputs": {"detections": "xyz", "scenes": "uvw"}}, "other detections and scenes, which"),
        ({"base": TrackerConfig(gate_sigmas=2.0)}, "other base settings, which"),
    ],
)
def test_trials_of_other_inputs_are_not_mixed_in(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    given = {"base": TrackerConfig(), "objective": nearness, "storage": tmp_path / "journal", "inputs": INPUTS}
    tune(n_trials=2, **given)
    with pytest.raises(InputError, match=f"journal: holds trials with {named}"):
        tune(n_trials=2, **{**given, **changes})
    assert tune(n_trials=1, **given).n_trials == 3


def test_ranges_hold_the_start_and_name_settings() -> None:
    for name, (lowest, highest) in RANGES.items():
        assert 0.0 < lowest < 1.0 < highest
        assert scaled(TrackerConfig(), {name: lowest}) != TrackerConfig()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gate_sigmas": 2.5, "noise": {"along_m": 0.7}, "classes": {"bus": {"gate_m": 9.0}}},
        {"camera_evidence": {"keep_s": 3.0}, "noise": {"yaw_rad": 0.1}},
        {"cost": "giou", "every_class": {"motion": "bicycle"}},
    ],
)
def test_written_settings_load_as_they_were(given: dict, tmp_path: Path) -> None:
    path = tmp_path / "tuned.py"
    config = tracker_config_from_dict(given)
    path.write_text(config_source(config, "Tuned.\nOn nothing."))
    assert load_tracker_config(path) == config
