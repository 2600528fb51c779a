"""Frames and small heads for the tests of the networks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.heads.streampetr_head import StreamPETRHead
from detection.registry import MODELS

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
