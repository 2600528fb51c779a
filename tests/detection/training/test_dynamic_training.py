"""Both steps of training by config: end to end, and resumed bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import read_saved
from detection.training import train

DynamicConfig = Callable[..., Config]
STATE = ("state_dict", "optimizer", "processes", "adaptive_offset")


def _flat(value: Any, where: str = "") -> dict[str, Any]:
    """Leaves of nested containers by place."""
    if isinstance(value, dict):
        return {place: leaf for key, part in value.items() for place, leaf in _flat(part, f"{where}.{key}").items()}
    if isinstance(value, list | tuple):
        return {place: leaf for i, part in enumerate(value) for place, leaf in _flat(part, f"{where}.{i}").items()}
    return {where: value}


def _state(path: Path) -> dict[str, Any]:
    content = read_saved(path)
    return _flat({part: content[part] for part in STATE if part in content})


def _logged(work_dir: Path) -> list[dict[str, Any]]:
    lines = [line for path in work_dir.glob("*/vis_data/scalars.json") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_resumed_run_equals_the_straight_one(dynamic_config: DynamicConfig, tmp_path: Path, step: int) -> None:
    config = dynamic_config(step, schedule__epochs=4 / 6, schedule__checkpoint_epochs=2 / 6, model__hysteresis=0.1)
    config.pop("val_dataloader")
    config.pop("val_evaluator")
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(config, work_dir=straight, launcher="none")
    train(config, work_dir=resumed, resume=straight / "iter_2.pth", launcher="none")
    expected, found = _state(straight / "iter_4.pth"), _state(resumed / "iter_4.pth")
    assert expected.keys() == found.keys()
    for place, value in expected.items():
        same = torch.equal(found[place], value) if isinstance(value, torch.Tensor) else found[place] == value
        assert same, place
    assert any(place.startswith(".processes.0.memory.hard_path") for place in expected)
    if step == 2:
        assert len(expected[".adaptive_offset.differences"]) == 4 * 2


def test_second_step_begins_with_the_first_and_leaves_it_as_it_is(
    dynamic_config: DynamicConfig, tmp_path: Path
) -> None:
    train(dynamic_config(1, schedule__epochs=1 / 6), work_dir=tmp_path / "1", launcher="none")
    first = tmp_path / "1" / "iter_1.pth"
    config = dynamic_config(2, schedule__epochs=2 / 6, load_from=str(first))
    train(config, work_dir=tmp_path / "2", launcher="none")
    before, after = (read_saved(path)["state_dict"] for path in (first, tmp_path / "2" / "iter_2.pth"))
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {"router"}
    logged = [entry for entry in _logged(tmp_path / "2") if "loss_router" in entry]
    assert {"score", "gain", "offset"} <= logged[-1].keys()
    assert any("nuscenes/mAP" in entry for entry in _logged(tmp_path / "2"))
