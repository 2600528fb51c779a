"""Frames and small heads for the tests of the networks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detection.config import read_config
from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.heads.streampetr_head import StreamPETRHead
from detection.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
HEIGHT_PX, WIDTH_PX, CAMERAS = 64, 96, 2
DETECTION_RANGE = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
POSITION_RANGE = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]


def _pose(x_m: float, yaw_rad: float) -> torch.Tensor:
    """global_from_lidar of a car that has driven x_m metres along x and looks along yaw."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw_rad), -np.sin(yaw_rad)], [np.sin(yaw_rad), np.cos(yaw_rad)]]
    pose[:3, 3] = [x_m, 0.5 * x_m, 1.8]
    return torch.tensor(pose)


def _targets(num_boxes: int, seed: int) -> FrameTargets:
    """Boxes at random places, each camera seeing the first."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate(
        (
            rng.uniform([-40, -40, -2], [40, 40, 1], (num_boxes, 3)),
            rng.uniform([3, 1.5, 1.4], [6, 2.5, 2.5], (num_boxes, 3)),
            rng.uniform(-3, 3, (num_boxes, 1)),
            rng.uniform(-5, 5, (num_boxes, 2)),
        ),
        axis=1,
    )
    seen = min(num_boxes, 1)
    camera = CameraTargets(
        boxes_px=torch.tensor([[20.0, 10.0, 60.0, 50.0]])[:seen],
        labels=torch.zeros(seen, dtype=torch.int64),
        centers_px=torch.tensor([[40.0, 30.0]])[:seen],
        depths_m=torch.tensor([12.0])[:seen],
    )
    return FrameTargets(
        torch.tensor(boxes, dtype=torch.float32), torch.tensor(rng.integers(0, 10, num_boxes)), (camera,) * CAMERAS
    )


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., FrameBatch]:
    """Makes frame number t of streams that drive along; see the arguments of the function."""

    def make(t: int, continues: Sequence[bool] = (True,), num_boxes: Sequence[int] | None = None) -> FrameBatch:
        """A frame.

        Args:
            t: number of the frame, half a second a step; fixes images, poses and boxes of every stream.
            continues: for each stream, whether it continues its scene.
            num_boxes: for each stream, how many boxes are annotated; None for a frame without annotations.
        """
        streams = range(len(continues))
        intrinsics = torch.eye(4).repeat(len(streams), CAMERAS, 1, 1)
        intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = torch.tensor([60.0, 80.0])
        intrinsics[..., 0, 2], intrinsics[..., 1, 2] = WIDTH_PX / 2, HEIGHT_PX / 2
        forward = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, -0.3], [0, 1, 0, -0.7], [0, 0, 0, 1]])
        backward = forward @ torch.diag(torch.tensor([-1.0, -1, 1, 1]))
        extrinsics = torch.stack((forward, backward)).expand(len(streams), -1, -1, -1)
        images = [
            np.random.default_rng([stream, t]).standard_normal((CAMERAS, 3, HEIGHT_PX, WIDTH_PX)) for stream in streams
        ]
        return FrameBatch(
            images=torch.tensor(np.stack(images), dtype=torch.float32),
            image_from_lidar=intrinsics @ extrinsics,
            image_from_camera=intrinsics,
            camera_from_lidar=extrinsics,
            global_from_lidar=torch.stack([_pose(100 * stream + 2.5 * t, 0.1 * t + stream) for stream in streams]),
            timestamp_s=torch.tensor([1.5e9 + 1000 * stream + 0.5 * t for stream in streams], dtype=torch.float64),
            continues_scene=torch.tensor(continues),
            scene_tokens=tuple(f"scene-{stream}" for stream in streams),
            sample_tokens=tuple(f"sample-{stream}-{t}" for stream in streams),
            targets=None if num_boxes is None else tuple(_targets(n, 100 * s + t) for s, n in enumerate(num_boxes)),
        )

    return make


@pytest.fixture(scope="session")
def head_config() -> dict[str, Any]:
    """A StreamPETR head with 12 learned and 4 carried queries that reads maps of 32 channels."""
    return dict(
        type="StreamPETRHead",
        num_classes=10,
        num_query=12,
        embed_dims=32,
        in_channels=32,
        pc_range=DETECTION_RANGE,
        position_range=POSITION_RANGE,
        decoder=dict(num_layers=2, num_heads=4, feedforward_channels=64),
        memory=dict(length=12, topk=4, num_propagated=4),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=POSITION_RANGE, max_num=50),
        denoising=dict(type="StandardDenoising", groups=3),
    )


@pytest.fixture
def head(head_config: dict[str, Any]) -> StreamPETRHead:
    """That head, the same weights every time, in evaluation mode."""
    torch.manual_seed(0)
    made: StreamPETRHead = MODELS.build(head_config)
    return made.eval()


@pytest.fixture(scope="session")
def features_of() -> Callable[[FrameBatch], tuple[torch.Tensor]]:
    """Feature maps (B, N, 32, 4, 6) that depend on the images of a frame, without a backbone."""

    def features(frame: FrameBatch) -> tuple[torch.Tensor]:
        cells = torch.nn.functional.avg_pool2d(frame.images.flatten(0, 1), 16).unflatten(0, frame.images.shape[:2])
        return (4 * cells.repeat(1, 1, 11, 1, 1)[:, :, :32],)

    return features


@pytest.fixture
def model_config(head_config: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    """The smallest detector of a kind, or one for the city, by name."""

    def detector(depth: int = 18, head: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        return dict(
            type="MultiViewDetector",
            img_backbone=dict(type="ResNet", depth=depth, base_channels=8, out_indices=(2, 3)),
            img_neck=dict(type="CPFPN", in_channels=[32, 64], out_channels=32),
            pts_bbox_head={**head_config, **(head or {})},
            **settings,
        )

    def repdetr3d(**settings: Any) -> dict[str, Any]:
        others = {key: value for key, value in head_config.items() if key not in ("in_channels", "position_range")}
        decoder = dict(num_layers=2, num_heads=4, num_levels=4, num_points=3, feedforward_channels=64)
        return dict(
            type="MultiViewDetector",
            pts_bbox_head={**others, "type": "RepDETR3DHead", "decoder": decoder},
            img_roi_head=dict(type="YOLOXHead", num_classes=10, in_channels=32, strides_px=settings.pop("strides_px")),
            **settings,
        )

    def read(name: str) -> dict[str, Any]:
        return dict(read_config(ROOT / "configs" / f"{name}.py")["model"])

    def config(name: str) -> dict[str, Any]:
        roi = dict(type="FocalHead", num_classes=10, in_channels=32)
        petr = {key: value for key, value in head_config.items() if key not in ("memory", "denoising")}
        return {
            "PETR": lambda: {**detector(), "pts_bbox_head": {**petr, "type": "PETRHead"}},
            "Focal-PETR": lambda: detector(img_roi_head={**roi, "train_ratio": 0.75, "infer_ratio": 0.5}),
            "StreamPETR": lambda: detector(img_roi_head=roi),
            "RepDETR3D": lambda: read("repdetr3d/city_r18"),
            "RepDETR3D V2": lambda: repdetr3d(
                img_backbone=dict(type="VoVNet", depth=39, out_indices=(1, 2, 3)),
                img_neck=dict(type="FPN", in_channels=[512, 768, 1024], out_channels=32, num_outs=4),
                strides_px=(8, 16, 32, 64),
            ),
            "RepDETR3D EVA02": lambda: repdetr3d(
                img_backbone=dict(
                    type="EVA02",
                    embed_dims=32,
                    depth=3,
                    num_heads=2,
                    window_size=2,
                    global_window_size=3,
                    global_blocks=(1,),
                    out_channels=32,
                ),
                img_neck=None,
                strides_px=(4, 8, 16, 32),
            ),
            "RepDETR3D proposals": lambda: read("repdetr3d/city_r18_proposals"),
            "RayDN": lambda: read("raydn/city_r18"),
            "perspective": lambda: read("perspective/city_perspective"),
            "dynamic": lambda: dict(
                type="DynamicDetector", easy=detector(), hard=detector(34, dict(denoising=None)), threshold=0.5
            ),
        }[name]()

    return config
