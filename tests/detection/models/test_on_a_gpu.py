"""Every model on a simulated GPU: nothing mixes devices, and what makes the CPU and the device wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from detection.config import read_config
from detection.frames import FrameBatch
from detection.registry import MODELS

from .simulated_gpu import simulated_gpu

ROOT = Path(__file__).resolve().parents[3]
MakeFrame = Callable[..., FrameBatch]
GPU = "cuda:0"


@pytest.fixture
def model_configs(head_config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The smallest of every kind of detector."""

    def detector(depth: int = 18, **settings: Any) -> dict[str, Any]:
        return dict(
            type="MultiViewDetector",
            img_backbone=dict(type="ResNet", depth=depth, base_channels=8, out_indices=(2, 3)),
            img_neck=dict(type="CPFPN", in_channels=[32, 64], out_channels=32),
            pts_bbox_head={**head_config, **settings.pop("head", {})},
            **settings,
        )

    roi = dict(type="FocalHead", num_classes=10, in_channels=32)
    petr = {name: value for name, value in head_config.items() if name not in ("memory", "denoising")}
    city = {
        name: read_config(ROOT / "configs" / f"{name}.py")["model"]
        for name in (
            "repdetr3d/city_r18",
            "repdetr3d/city_r18_proposals",
            "raydn/city_r18",
            "perspective/city_perspective",
        )
    }
    everywhere = city["repdetr3d/city_r18"].to_dict()
    everywhere["pts_bbox_head"]["decoder"]["sampling"] = "grid_sample"
    return {
        "PETR": {**detector(), "pts_bbox_head": {**petr, "type": "PETRHead"}},
        "Focal-PETR": detector(img_roi_head={**roi, "train_ratio": 0.75, "infer_ratio": 0.5}),
        "StreamPETR": detector(img_roi_head=roi),
        "RepDETR3D": everywhere,
        "RepDETR3D in view": city["repdetr3d/city_r18"],
        "RepDETR3D proposals": city["repdetr3d/city_r18_proposals"],
        "RayDN": city["raydn/city_r18"],
        "perspective": city["perspective/city_perspective"],
        "dynamic": dict(
            type="DynamicDetector", easy=detector(), hard=detector(34, head=dict(denoising=None)), threshold=0.5
        ),
    }


NAMES = (
    "PETR",
    "Focal-PETR",
    "StreamPETR",
    "RepDETR3D",
    "RepDETR3D in view",
    "RepDETR3D proposals",
    "RayDN",
    "perspective",
    "dynamic",
)


def _built(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = MODELS.build(config)
    if hasattr(model, "router"):
        nn.init.normal_(model.router.layer2.weight)
    return model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["predict", "loss"])
def test_table(name, mode, model_configs, make_frame, capsys):
    model = _built(model_configs[name]).train(mode == "loss")
    with simulated_gpu() as log, torch.set_grad_enabled(mode == "loss"):
        model.to(GPU)
        for t in range(3):
            frame = make_frame(t, [t > 0] * 2, num_boxes=[3, 2] if mode == "loss" else None)
            log.clear()
            frame = frame.to(GPU)
            moved = sum(log.copies.values())
            log.clear()
            model([frame], mode=mode)
        with capsys.disabled():
            print(
                f"\n{name} {mode}: waits {sum(log.waits.values())} copies {sum(log.copies.values())} (frame.to {moved})"
            )
            for what, counter in (("  wait", log.waits), ("  copy", log.copies)):
                for place, count in counter.most_common():
                    print(what, count, place)
