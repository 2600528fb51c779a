"""`tools/convert_checkpoint.py`: weights alone under our names; nothing written where they do not fit."""

from functools import partial
from pathlib import Path

import pytest
import torch

from detection.checkpoints import load_weights, read_checkpoint
from detection.config import read_config
from detection.models.backbones import ResNet
from detection.models.yolo import DynamicYoloDetector
from detection.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/streampetr/stream_petr_r50_704_bs2_seq_428q_nui_speed_test.py"


@pytest.fixture
def convert(run):
    return partial(run, "convert_checkpoint.py")


def test_a_wrapped_model_with_its_training_state(convert, tmp_path: Path) -> None:
    model = MODELS.build(read_config(CONFIG)["model"])
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "optimizer": {"param_groups": [{"lr": 1e-4}]}}, tmp_path / "published.pth")
    done = convert(tmp_path / "published.pth", tmp_path / "out.safetensors", "--config", CONFIG)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("out.safetensors: 591 tensors, StreamPETR, ResNet-50, 300 queries")
    converted = read_checkpoint(tmp_path / "out.safetensors")
    assert all(torch.equal(converted[name], value) for name, value in model.state_dict().items())


def test_weights_of_another_model_are_not_written(convert, tmp_path: Path) -> None:
    torch.save(ResNet(18, base_channels=4).state_dict(), tmp_path / "other.pth")
    done = convert(tmp_path / "other.pth", tmp_path / "out.pth", "--config", CONFIG)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "holds no detector of this project; the model is StreamPETR, ResNet-50, 300 queries: " in done.stderr
    assert not (tmp_path / "out.pth").exists()


def test_half_precision_weights_of_a_2d_detector(convert, tmp_path: Path) -> None:
    """As the published ones are; the names of an average's wrapper are taken off."""
    detector = DynamicYoloDetector("dy-yolov7", width=0.03)
    weights = {
        f"ema.{name}": value.half() for name, value in detector.state_dict().items() if value.is_floating_point()
    }
    torch.save({"model": weights, "epoch": 2}, tmp_path / "published.pt")
    config = tmp_path / "config.py"
    config.write_text('model = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.03)')
    done = convert(tmp_path / "published.pt", tmp_path / "out.safetensors", "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("tensors, Dy-YOLOv7, 80 classes")
    load_weights(detector, tmp_path / "out.safetensors")
    loaded = detector.state_dict()
    assert all(torch.equal(loaded[name.removeprefix("ema.")], value.float()) for name, value in weights.items())
