"""A training that stops and resumes goes on bit for bit as if it had never stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import read_saved
from detection.training import train
from scenes import InputError

TinyConfig = Callable[..., Config]


def _train(config: Config, work_dir: Path, resume: Path | str | None = None) -> None:
    train(config, work_dir=work_dir, resume=resume, launcher="none")


def _logged(work_dir: Path, key: str) -> dict[int, float]:
    """The values of a key by iteration, as the log holds them."""
    lines = [line for path in work_dir.glob("*/vis_data/scalars.json") for line in path.read_text().splitlines()]
    return {entry["step"]: entry[key] for entry in map(json.loads, lines) if key in entry}


def _assert_equal(first: Any, second: Any, where: str = "") -> None:
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            _assert_equal(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            _assert_equal(*pair, where=f"{where}.{index}")
    else:
        assert first == second, where


_WHOLE_STATE = ("state_dict", "optimizer", "processes")


@pytest.mark.parametrize("interrupted_at", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_resumed_run_equals_the_straight_one(tiny_config: TinyConfig, tmp_path: Path, interrupted_at: int) -> None:
    """Interrupted within an epoch, and where a validation has been due and the temporal memory was reset."""
    config = tiny_config(schedule__epochs=1.5, schedule__validation_epochs=4 / 6, schedule__checkpoint_epochs=2 / 6)
    config.keep_checkpoints = 10
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    _train(config, straight)
    _train(config, resumed, straight / f"iter_{interrupted_at}.pth")
    for iteration in range(interrupted_at + 1, 10):
        if (path := straight / f"iter_{iteration}.pth").is_file():
            expected, found = read_saved(path), read_saved(resumed / path.name)
            _assert_equal([expected[part] for part in _WHOLE_STATE], [found[part] for part in _WHOLE_STATE])
    losses = _logged(straight, "loss")
    assert list(losses) == list(range(1, 10))
    assert _logged(resumed, "loss") == {step: loss for step, loss in losses.items() if step > interrupted_at}
    assert _logged(resumed, "lr") == {
        step: rate for step, rate in _logged(straight, "lr").items() if step > interrupted_at
    }


def test_newest_checkpoint_is_found_and_old_ones_go(tiny_config: TinyConfig, tmp_path: Path) -> None:
    config = tiny_config(validate=False, schedule__epochs=4 / 6, schedule__checkpoint_epochs=1 / 6, keep_checkpoints=2)
    _train(config, tmp_path, resume="newest")
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_3.pth", "iter_4.pth"]
    config.schedule.epochs = 1
    _train(config, tmp_path, resume="newest")
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_5.pth", "iter_6.pth"]
    assert sorted(_logged(tmp_path, "loss")) == [1, 2, 3, 4, 5, 6]


def test_going_on_from_an_older_checkpoint_loses_nothing(tiny_config: TinyConfig, tmp_path: Path) -> None:
    """What an earlier run has written after it lies in a folder of its own, and is not the newest any more."""
    config = tiny_config(validate=False, schedule__checkpoint_epochs=1 / 6, keep_checkpoints=3)
    _train(config, tmp_path)
    earlier = {path.name: path.read_bytes() for path in tmp_path.glob("*.pth")}
    assert sorted(earlier) == ["iter_4.pth", "iter_5.pth", "iter_6.pth"]
    config.schedule.epochs = 5 / 6
    _train(config, tmp_path, tmp_path / "iter_4.pth")
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_4.pth", "iter_5.pth"]
    aside = {path.name: path.read_bytes() for path in tmp_path.glob("earlier_run_1/*")}
    assert aside == {name: content for name, content in earlier.items() if name != "iter_4.pth"}
    config.schedule.epochs = 1
    _train(config, tmp_path, resume="newest")
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["iter_4.pth", "iter_5.pth", "iter_6.pth"]
    assert sorted(_logged(tmp_path, "loss")) == [1, 2, 3, 4, 5, 6]
    assert not (tmp_path / "earlier_run_2").exists()


def test_a_folder_with_checkpoints_is_not_trained_over(tiny_config: TinyConfig, tmp_path: Path) -> None:
    (tmp_path / "iter_7.pth").touch()
    with pytest.raises(InputError, match="holds checkpoints of another run; go on with --resume"):
        _train(tiny_config(), tmp_path)


def test_leftovers_of_a_killed_run_go(tiny_config: TinyConfig, tmp_path: Path) -> None:
    (tmp_path / ".iter_7.abc.tmp.pth").touch()
    config = tiny_config(validate=False, schedule__epochs=1 / 6)
    _train(config, tmp_path)
    assert [path.name for path in tmp_path.glob("**/*.pth")] == ["iter_1.pth"]


def test_the_shortest_run_logs_its_last_iteration_and_not_its_config(tiny_config: TinyConfig, tmp_path: Path) -> None:
    config = tiny_config(validate=False, schedule__epochs=2 / 6, log_interval=50)
    _train(config, tmp_path)
    assert list(_logged(tmp_path, "loss")) == [2]
    (log,) = tmp_path.glob("*/*.log")
    lines = log.read_text().splitlines()
    assert any("Schedule: 2 iterations" in line for line in lines[:5])
    (named,) = (line.split("Config: ")[1] for line in lines if "Config: " in line)
    assert "pts_bbox_head" in Path(named).read_text()


def test_runs_of_one_second_keep_their_own_logs(
    tiny_config: TinyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    for name in ("first", "second"):
        _train(tiny_config(validate=False, schedule__epochs=1 / 6), tmp_path / name)
        assert list(_logged(tmp_path / name, "loss")) == [1]


def test_batches_do_not_depend_on_workers(tiny_config: TinyConfig, tmp_path: Path) -> None:
    losses = []
    for workers in (0, 2):
        config = tiny_config(validate=False, schedule__epochs=0.5, train_dataloader__num_workers=workers)
        _train(config, tmp_path / str(workers))
        losses.append(_logged(tmp_path / str(workers), "loss"))
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


def test_other_batch_goes_on_at_the_same_share(tiny_config: TinyConfig, tmp_path: Path) -> None:
    config = tiny_config(validate=False, schedule__epochs=0.5)
    _train(config, tmp_path / "two")
    config.train_dataloader.batch_size = 1
    config.schedule.epochs = 1
    _train(config, tmp_path / "one", tmp_path / "two" / "iter_3.pth")
    assert list(_logged(tmp_path / "one", "loss")) == list(range(7, 13))


def test_weights_alone_cannot_be_resumed(tiny_config: TinyConfig, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth: cannot be resumed: it holds no state of a training"):
        _train(tiny_config(), tmp_path, tmp_path / "weights.pth")


def test_checkpoint_of_another_model_is_named(tiny_config: TinyConfig, tmp_path: Path) -> None:
    config = tiny_config(validate=False, schedule__epochs=1 / 6)
    _train(config, tmp_path / "one")
    config.model.pts_bbox_head.num_query = 50
    with pytest.raises(InputError, match=r"iter_1\.pth: .*1 of another shape"):
        _train(config, tmp_path / "other", tmp_path / "one" / "iter_1.pth")
