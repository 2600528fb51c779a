"""Thresholds of a checkpoint: found, written, read, chosen by share; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import read_checkpoint, write_weights
from detection.data.loading import batches, build_loader
from detection.running import operating_point
from detection.running.detector import Detector, detect
from detection.running.operating_point import (
    RouterThresholds,
    find_thresholds,
    read_thresholds,
    set_hard_share,
    set_threshold,
    thresholds_path,
    write_thresholds,
)
from scenes import InputError

DynamicConfig = Callable[..., Config]


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """Trained weights, with invented thresholds beside them."""
    path = Path(shutil.copy(trained, tmp_path))
    digest = operating_point.digest_of_weights(read_checkpoint(path))
    write_thresholds(RouterThresholds(digest, 3, [0.0, 0.5, 1.0], [0.0, 0.4, 1.0]), path)
    return path


def test_thresholds_are_percentiles_of_the_scores(dynamic_config: DynamicConfig, trained: Path, tmp_path: Path) -> None:
    config = dynamic_config(2)
    path = Path(shutil.copy(trained, tmp_path))
    seen: list[tuple[int, int]] = []
    found = find_thresholds(config, path, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12) and found.frames == 12
    detector, scores = Detector.from_config(config, path), []
    for batch in batches(build_loader(config.val_dataloader)):
        detector.step(batch["frames"][-1])
        scores.append(detector.model.last_routing.scores.item())
    assert found.thresholds[3] == pytest.approx(np.percentile(scores, 30), abs=1e-6)
    assert len(set(scores)) > 1
    written = write_thresholds(found, path)
    assert written == tmp_path / "dynamic.thresholds.json" and read_thresholds(path) == found


def test_share_sets_the_threshold(dynamic_config: DynamicConfig, checkpoint: Path) -> None:
    config = dynamic_config(2)
    for share, threshold in ((0.0, 0.0), (0.25, 0.2), (0.5, 0.4), (1.0, 1.0)):
        set_hard_share(config, share, checkpoint)
        assert config.model.threshold == pytest.approx(threshold)
        assert ("budget" in config.model) == (0 < share < 1)
    set_hard_share(config, 0.25, checkpoint)
    assert config.model.budget.share == 0.25 and config.model.budget.thresholds[-1] == 1.0
    set_threshold(config, 0.25)
    assert "budget" not in config.model


def test_same_weights_in_another_format_keep_their_thresholds(checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "dynamic.safetensors"
    write_weights(read_checkpoint(checkpoint), other)
    shutil.copy(thresholds_path(checkpoint), other.parent)
    assert read_thresholds(other) == read_thresholds(checkpoint)


def test_thresholds_of_another_checkpoint(dynamic_config: DynamicConfig, checkpoint: Path) -> None:
    weights = read_checkpoint(checkpoint)
    weights["router.layer2.bias"] += 1
    torch.save(weights, checkpoint)
    with pytest.raises(InputError, match=r"dynamic\.thresholds\.json: holds the thresholds of another checkpoint"):
        set_hard_share(dynamic_config(2), 0.3, checkpoint)


@pytest.mark.parametrize("content", ["", "[]", '{"weights": ""}', '{"weights": 1, "frames": 1, "hard_shares": 1}'])
def test_file_without_thresholds(checkpoint: Path, content: str) -> None:
    thresholds_path(checkpoint).write_text(content)
    with pytest.raises(InputError, match="holds no thresholds of a router"):
        read_thresholds(checkpoint)


def test_thresholds_never_made(dynamic_config: DynamicConfig, trained: Path) -> None:
    config = dynamic_config(2)
    with pytest.raises(InputError, match=r"dynamic\.thresholds\.json: no such file; `streamtrack dynamic_thresholds"):
        set_hard_share(config, 0.3, trained)
    for share in (0.0, 1.0):  # none and all need no threshold
        set_hard_share(config, share, trained)
        assert config.model.threshold == share


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_and_threshold_outside_their_range(dynamic_config: DynamicConfig, checkpoint: Path, share: float) -> None:
    config = dynamic_config(2)
    with pytest.raises(InputError, match=r"hard fraction .*: expected a number from 0"):
        set_hard_share(config, share, checkpoint)
    with pytest.raises(InputError, match=r"threshold .*: expected a number from 0"):
        set_threshold(config, share)


def test_another_kind_of_detector(tiny_config: Callable[..., Config], checkpoint: Path) -> None:
    config = tiny_config()
    for refused in (
        lambda: set_threshold(config, 0.5),
        lambda: set_hard_share(config, 0.5, checkpoint),
        lambda: find_thresholds(config, checkpoint),
    ):
        with pytest.raises(InputError, match="model is a MultiViewDetector; only a DynamicDetector or Dynam"):
            refused()


def test_router_never_trained(dynamic_config: DynamicConfig, checkpoint: Path) -> None:
    weights = read_checkpoint(checkpoint)
    weights["router.layer2.weight"].zero_()
    torch.save(weights, checkpoint)
    with pytest.raises(InputError, match="the router of these weights has never been trained"):
        find_thresholds(dynamic_config(2), checkpoint)
    with pytest.raises(InputError, match=r"model\.threshold: the router is asked between 0 and 1 only"):
        find_thresholds(dynamic_config(1), checkpoint)


def test_detections_at_every_speed(dynamic_config: DynamicConfig, checkpoint: Path) -> None:
    config = dynamic_config(2)
    found = []
    for threshold in (0.0, 0.5, 1.0):
        set_threshold(config, threshold)
        results = detect(config, checkpoint)
        assert results is not None and len(results.boxes) == 12
        found.append(np.concatenate([boxes.score for boxes in results.boxes.values()]))
    assert not np.array_equal(found[0], found[2])


def test_file_is_readable(checkpoint: Path) -> None:
    assert json.loads(thresholds_path(checkpoint).read_text())["thresholds"] == [0.0, 0.4, 1.0]
