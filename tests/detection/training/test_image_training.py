"""Both steps of training a 2D detector by config: end to end, resumed bit for bit, on several processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from detection.checkpoints import describe, read_checkpoint, read_saved
from detection.config import read_config
from detection.training import train
from scenes import InputError

from ..conftest import ForkHost

TINY = Path(__file__).resolve().parents[1] / "images_tiny.py"
STEP_2 = {"model.trains": "router", "model.threshold": 0.5, "custom_hooks": [dict(type="AdaptiveOffsetHook")]}
STATE = ("state_dict", "optimizer", "processes", "adaptive_offset", "weight_average")
ImagesConfig = Callable[..., Config]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with rectangles of two classes in two colours; the last image shows none."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    for index in range(6):
        pixels = random.integers(90, 160, (64, 96, 3), dtype=np.uint8)
        for _ in range(3 if index < 5 else 0):
            label, (x, y) = int(random.integers(2)), random.integers(0, 40, 2).tolist()
            width, height = random.integers(12, 24, 2).tolist()
            pixels[y : y + height, x : x + width] = (255, 0, 0) if label else (0, 255, 0)
            bbox = [x, y, width, height]
            row = {"id": len(annotations) + 1, "image_id": index, "category_id": 5 + 2 * label, "bbox": bbox}
            annotations.append({**row, "area": width * height, "iscrowd": 0})
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    named = [dict(id=index, file_name=f"{index}.png", width=96, height=64) for index in range(6)]
    categories = [{"id": 5, "name": "green"}, {"id": 7, "name": "blue"}]
    content = {"images": named, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def images_config(images: Path, monkeypatch: pytest.MonkeyPatch) -> ImagesConfig:
    """Reads the config of the tiny 2D detector for a step of training, with overrides by dotted key."""
    monkeypatch.setenv("IMAGES_ROOT", str(images))

    def read(step: int = 1, *, validate: bool = False, **overrides: Any) -> Config:
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        config = read_config(TINY, {**(STEP_2 if step == 2 else {}), **settings})
        for key in () if validate else ("val_dataloader", "val_evaluator"):
            config.pop(key)
        return config

    return read


def _flat(value: Any, where: str = "") -> dict[str, Any]:
    """Leaves of nested containers by place."""
    if isinstance(value, dict):
        return {place: leaf for key, part in value.items() for place, leaf in _flat(part, f"{where}.{key}").items()}
    if isinstance(value, list | tuple):
        return {place: leaf for i, part in enumerate(value) for place, leaf in _flat(part, f"{where}.{i}").items()}
    return {where: value}


def _assert_same(found: Path, expected: Path) -> None:
    contents = [read_saved(path) for path in (found, expected)]
    states = [_flat({part: content[part] for part in STATE if part in content}) for content in contents]
    assert states[0].keys() == states[1].keys()
    for place, value in states[1].items():
        same = torch.equal(states[0][place], value) if isinstance(value, torch.Tensor) else states[0][place] == value
        assert same, place


def _logged(work_dir: Path) -> list[dict[str, Any]]:
    lines = [line for path in work_dir.glob("*/vis_data/scalars.json") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("step", [1, 2])
def test_resumed_run_equals_the_straight_one(images_config: ImagesConfig, tmp_path: Path, step: int) -> None:
    config = images_config(step, schedule__epochs=4 / 3, schedule__checkpoint_epochs=2 / 3)
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(config, work_dir=straight, launcher="none")
    train(config, work_dir=resumed, resume=straight / "iter_2.pth", launcher="none")
    _assert_same(resumed / "iter_4.pth", straight / "iter_4.pth")


def test_both_steps_and_their_validation(images_config: ImagesConfig, tmp_path: Path) -> None:
    """The second leaves the detectors as the first made them; images are scored in both."""
    train(images_config(1, validate=True, schedule__epochs=1), work_dir=tmp_path / "1", launcher="none")
    first = tmp_path / "1" / "iter_3.pth"
    assert describe(read_checkpoint(first)).startswith("Dy-YOLOv7")
    config = images_config(2, validate=True, schedule__epochs=1, load_from=str(first))
    train(config, work_dir=tmp_path / "2", launcher="none")
    before, after = (read_saved(path)["state_dict"] for path in (first, tmp_path / "2" / "iter_3.pth"))
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {"router"}
    logged = _logged(tmp_path / "2")
    assert any({"loss_router", "score", "gain", "offset"} <= entry.keys() for entry in logged)
    for work_dir in (tmp_path / "1", tmp_path / "2"):
        assert [entry["coco/AP"] for entry in _logged(work_dir) if "coco/AP" in entry]


@pytest.mark.slow
def test_it_learns(images_config: ImagesConfig, tmp_path: Path) -> None:
    """What it was trained on: its scores on so few images jump from run to run, its loss does not."""
    config = images_config(
        schedule__epochs=60,
        schedule__checkpoint_epochs=60,
        model__width=0.06,
        optim_wrapper__optimizer=dict(_delete_=True, type="AdamW", weight_decay=0.01),
        schedule__reference_lr=3e-3,
    )
    train(config, work_dir=tmp_path, launcher="none")
    losses = [entry["loss"] for entry in _logged(tmp_path) if "loss" in entry]
    assert sum(losses[-15:]) < 0.6 * sum(losses[:15])


def test_a_loss_that_is_no_number_names_the_images(images_config: ImagesConfig, tmp_path: Path) -> None:
    config = images_config(schedule__reference_lr=1e30)
    with pytest.raises(InputError, match=r"iteration \d: .*; samples of the batch: \S*\d\.png, \S*\d\.png; ") as caught:
        train(config, work_dir=tmp_path, launcher="none")
    assert "\n" not in str(caught.value)


def test_another_number_of_classes_is_named(images_config: ImagesConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the data set has 2 classes \(green, blue\), the detector 3"):
        train(images_config(model__num_classes=3), work_dir=tmp_path, launcher="none")


def test_weights_of_another_variant_are_named(images_config: ImagesConfig, tmp_path: Path) -> None:
    train(images_config(schedule__epochs=1 / 3), work_dir=tmp_path / "1", launcher="none")
    config = images_config(model__variant="dy-yolov7x", load_from=str(tmp_path / "1" / "iter_1.pth"))
    with pytest.raises(InputError, match=r"iter_1\.pth: holds Dy-YOLOv7, .*; the model is Dy-YOLOv7-X, .*: \d+ miss"):
        train(config, work_dir=tmp_path / "2", launcher="none")


@pytest.mark.slow
def test_two_processes_resume_exactly(fork_host: ForkHost, images: Path, tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    for arguments in (["--work-dir", straight], ["--work-dir", resumed, "--resume", straight / "iter_2.pth"]):
        options = ("train_dataloader.batch_size=1", "schedule.epochs=1.334", "schedule.checkpoint_epochs=0.667")
        fork_host.run("train.py", TINY, *arguments, "--cfg-options", *options, processes=2, IMAGES_ROOT=images)
    _assert_same(resumed / "iter_4.pth", straight / "iter_4.pth")
    assert any("coco/AP" in entry for entry in _logged(straight))
