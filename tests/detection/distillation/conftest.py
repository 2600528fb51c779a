"""The numbers recorded from the published distillation code; small detectors to teach and to learn."""

import importlib.util
import json
import pprint
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from detection.distillation.detector import DistilledDetector
from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.registry import MODELS

HEIGHT_PX, WIDTH_PX, CAMERAS = 64, 96, 2
DETECTION_RANGE = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
POSITION_RANGE = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]


@pytest.fixture(scope="session")
def golden_methods(recordings: Path) -> Path:
    """The folder of recordings of RayDN, HarmoDistill-BEV and DynamicDet."""
    return recordings / "golden_methods"


@pytest.fixture(scope="session")
def methods_rule(golden_methods: Path, golden: Path) -> ModuleType:
    """The module that makes the inputs of these recordings from numpy alone."""
    sys.path.append(str(golden))  # it imports the rule of the detectors
    spec = importlib.util.spec_from_file_location("golden_rule2", golden_methods / "rule2.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(golden))
    return module


@pytest.fixture(scope="session")
def recorded_losses(golden_methods: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each distillation loss alone: values and norms of layer gradients, and gradients of the student's maps."""
    values = json.loads((golden_methods / "harmo_losses.json").read_text())
    with np.load(golden_methods / "harmo_losses.npz") as gradients:
        return values, dict(gradients)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., str]:
    """Writes the config of a small detector and gives its path; `base_channels` is the width of its ResNet-18."""

    def write(
        name: str,
        base_channels: int = 8,
        dense: bool = False,
        embed_dims: int = 16,
        output_size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX),
        colours: dict[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        model: dict[str, Any] | None = None,
        **head: Any,
    ) -> str:
        shared = dict(
            num_classes=10,
            num_query=8,
            embed_dims=embed_dims,
            pc_range=DETECTION_RANGE,
            memory=dict(length=12, topk=6, num_propagated=4),
            bbox_coder=dict(type="NMSFreeCoder", post_center_range=POSITION_RANGE, max_num=50),
            denoising=dict(type="StandardDenoising", groups=2),
        )
        decoder: dict[str, Any] = dict(num_layers=2, num_heads=4, feedforward_channels=32, dropout=0.0)
        kind: dict[str, Any] = dict(type="StreamPETRHead", position_range=POSITION_RANGE, in_channels=embed_dims)
        neck: dict[str, Any] = dict(type="CPFPN")
        if not dense:
            decoder, kind = dict(**decoder, num_levels=3, num_points=3), dict(type="RepDETR3DHead")
            neck = dict(type="FPN", num_outs=3)
        normalisation = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], to_rgb=True) | (colours or {})
        pipeline = [
            dict(type="LoadImages"),
            dict(type="ResizeCropFlipRotate", output_size=output_size, training=True),
            dict(type="NormalizeImages", **normalisation),
            dict(type="PadImages", divisor=32),
        ]
        dataset = dict(type="TemporalFrameDataset", dataroot="data", ann_file="infos.pkl", pipeline=pipeline)
        config = dict(
            model=dict(
                type="MultiViewDetector",
                img_backbone=dict(type="ResNet", depth=18, base_channels=base_channels, out_indices=(2, 3)),
                img_neck=dict(**neck, in_channels=[4 * base_channels, 8 * base_channels], out_channels=embed_dims),
                pts_bbox_head={**shared, **kind, "decoder": decoder, **head},
                **(model or {}),
            ),
            train_dataloader=dict(dataset=dataset | (dict(classes=list(classes)) if classes else {})),
        )
        path = tmp_path / f"{name}.py"
        path.write_text("".join(f"{key} = {pprint.pformat(value)}\n" for key, value in config.items()))
        return str(path)

    return write


@pytest.fixture
def build(write_config: Callable[..., str]) -> Callable[..., DistilledDetector]:
    """Builds a distillation with a wider teacher, in training, the same weights every time."""

    def build(
        terms: dict[str, dict[str, Any]],
        student: dict[str, Any] | None = None,
        teacher: dict[str, Any] | None = None,
        **settings: Any,
    ) -> DistilledDetector:
        torch.manual_seed(0)
        built: DistilledDetector = MODELS.build(
            dict(
                type="DistilledDetector",
                student=write_config("student", **(student or {})),
                teacher=write_config("teacher", **dict(base_channels=16) | (teacher or {})),
                terms=terms,
                **dict(teacher_checkpoint="teacher.pth") | settings,
            )
        )
        return built.train()

    return build


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., FrameBatch]:
    """Makes frame `number` of streams that drive along, with as many boxes a stream as `num_boxes` says."""

    def make(
        number: int, num_boxes: Sequence[int] = (3,), size_px: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
    ) -> FrameBatch:
        streams = len(num_boxes)
        random = np.random.default_rng(number)
        scale = size_px[0] / HEIGHT_PX
        intrinsics = torch.diag(torch.tensor([60.0 * scale, 60.0 * scale, 1.0, 1.0])).repeat(streams, CAMERAS, 1, 1)
        intrinsics[..., 0, 2], intrinsics[..., 1, 2] = size_px[1] / 2, size_px[0] / 2
        forward = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, -0.3], [0, 1, 0, -0.7], [0, 0, 0, 1]])
        extrinsics = torch.stack((forward, forward @ torch.diag(torch.tensor([-1.0, -1, 1, 1])))).repeat(
            streams, 1, 1, 1
        )
        pose = torch.eye(4)
        pose[0, 3] = 2.0 * number
        images = random.standard_normal((streams, CAMERAS, 3, *size_px))
        return FrameBatch(
            images=torch.tensor(images, dtype=torch.float32),
            image_from_lidar=intrinsics @ extrinsics,
            image_from_camera=intrinsics,
            camera_from_lidar=extrinsics,
            global_from_lidar=pose.repeat(streams, 1, 1),
            timestamp_s=torch.full((streams,), 1.5e9 + 0.5 * number, dtype=torch.float64),
            continues_scene=torch.full((streams,), number > 0),
            scene_tokens=tuple(f"scene-{stream}" for stream in range(streams)),
            sample_tokens=tuple(f"sample-{stream}-{number}" for stream in range(streams)),
            targets=tuple(_targets(random, count, size_px) for count in num_boxes),
        )

    return make


def _targets(random: np.random.Generator, count: int, size_px: tuple[int, int]) -> FrameTargets:
    boxes = np.concatenate(
        (random.uniform(-40, 40, (count, 2)), random.uniform(-1, 1, (count, 1)), random.uniform(1, 5, (count, 3))),
        axis=1,
    )
    boxes = np.concatenate((boxes, random.uniform(-3, 3, (count, 3))), axis=1)
    seen = min(count, 1)
    quarter = torch.tensor([size_px[1] / 4, size_px[0] / 4])
    camera = CameraTargets(
        boxes_px=torch.cat((quarter, 2 * quarter)).repeat(seen, 1),
        labels=torch.zeros(seen, dtype=torch.int64),
        centers_px=(1.5 * quarter).repeat(seen, 1),
        depths_m=torch.full((seen,), 12.0),
    )
    labels = torch.tensor(random.integers(0, 10, count))
    return FrameTargets(torch.tensor(boxes, dtype=torch.float32), labels, (camera,) * CAMERAS)
