"""The data sets of the configs: what the published ones say, and that they can be built."""

from pathlib import Path
from typing import Any

import pytest

from detection import models  # noqa: F401 - registers what configs name
from detection.config import read_config
from detection.data.loading import build_loader
from detection.metrics import scene_metric  # noqa: F401 - registers what configs name

CONFIGS = Path(__file__).resolve().parents[3] / "configs"

# Network input, scales of 1600x900 images, whether red comes first, frames of a window, batch size.
PUBLISHED = {
    "petr/petrv1_r50_flash_704_24e": ((256, 704), (0.38, 0.55), True, 1, 2),
    "petr/focal_petrv1_r50_flash_704_24e": ((256, 704), (0.38, 0.55), True, 1, 2),
    "streampetr/stream_petr_r50_flash_704_bs2_seq_24e": ((256, 704), (0.38, 0.55), True, 1, 2),
    "streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_60e": ((256, 704), (0.38, 0.55), True, 1, 2),
    "streampetr/stream_petr_r50_flash_704_bs1_8key_2grad_24e": ((256, 704), (0.38, 0.55), True, 8, 1),
    "streampetr/stream_petr_vov_flash_800_bs2_seq_24e": ((320, 800), (0.47, 0.625), False, 1, 2),
    "streampetr/stream_petr_r101_flash_1408_bs2_seq_644q_nui_60e": ((512, 1408), (0.8, 1.0), True, 1, 1),
    "raydn/raydn_r18_704_bs2_seq_428q_nui_24e": ((256, 704), (0.38, 0.55), True, 1, 2),
    "raydn/raydn_r101_1408_bs2_seq_644q_nui_60e": ((512, 1408), (0.8, 1.0), True, 1, 1),
    "raydn/raydn_eva02_800_bs2_seq_24e": ((320, 800), (0.47, 0.625), True, 1, 2),
    "repdetr3d/repdetr3d_vov_800_bs2_seq_24e": ((320, 800), (0.47, 0.625), False, 1, 2),
    "repdetr3d/repdetr3d_eva02_800_bs2_seq_24e": ((320, 800), (0.47, 0.625), True, 1, 2),
}


def _step(pipeline: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (step,) = [step for step in pipeline if step["type"] == name]
    return step


@pytest.mark.parametrize("name", PUBLISHED)
def test_released_configs_see_what_the_published_ones_do(name: str) -> None:
    size, scales, to_rgb, frames, batch_size = PUBLISHED[name]
    config = read_config(CONFIGS / f"{name}.py")
    loader = config["train_dataloader"]
    assert loader["batch_size"] == batch_size and loader["dataset"].get("num_frames", 1) == frames
    pipeline = loader["dataset"]["pipeline"]
    resize = _step(pipeline, "ResizeCropFlipRotate")
    fitting = max(size[0] / 900, size[1] / 1600)
    assert tuple(resize["output_size"]) == size and resize["flip"]
    assert [zoom * fitting for zoom in resize["zoom_range"]] == pytest.approx(scales)
    turn = _step(pipeline, "RotateScaleFlipLidarFrame")
    assert (*turn["rotation_range_rad"], *turn["scale_range"]) == (-0.3925, 0.3925, 0.95, 1.05)
    for steps in (pipeline, config["val_dataloader"]["dataset"]["pipeline"]):
        normalize = _step(steps, "NormalizeImages")
        red, blue = (0, 2) if to_rgb else (2, 0)
        assert (normalize["to_rgb"], normalize["mean"][red], normalize["std"][blue]) == (to_rgb, 123.675, 57.375)
        assert tuple(_step(steps, "ResizeCropFlipRotate")["output_size"]) == size


def test_city_config_makes_batches(small_city: Path, train_infos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_ROOT", str(small_city))
    config = read_config(CONFIGS / "_base_" / "datasets" / "city.py")
    for name, batch_size, annotated in (("train_dataloader", 4, True), ("val_dataloader", 1, False)):
        settings = {**config[name], "num_workers": 0}
        (frame,) = next(iter(build_loader(settings)))["frames"]
        assert frame.images.shape == (batch_size, 6, 3, 96, 256)
        assert (frame.targets is not None) == annotated
