"""RepDETR3D head: a query sees only what its points project to, in the camera that sees them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.heads.repdetr3d_head import RepDETR3DHead
from detection.registry import MODELS

MakeFrame = Callable[..., FrameBatch]
LEVELS = ((8, 12), (4, 6))


@pytest.fixture
def head(head_config: dict[str, Any]) -> RepDETR3DHead:
    torch.manual_seed(0)
    config = {name: value for name, value in head_config.items() if name not in ("in_channels", "position_range")}
    config |= dict(type="RepDETR3DHead", decoder=dict(num_layers=2, num_heads=4, num_levels=2, num_points=3))
    made: RepDETR3DHead = MODELS.build(config)
    return made.eval()


def _features(seed: int = 0, streams: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(streams, 2, 32, *cells, generator=generator) for cells in LEVELS]


def test_predictions_and_memory(head: RepDETR3DHead, make_frame: MakeFrame) -> None:
    with torch.no_grad():
        outputs = head(_features(streams=2), make_frame(0, (False, False)))
        again = head(_features(1, 2), make_frame(1, (True, True)))
    assert outputs.predictions.logits.shape == (2, 2, 16, 10)
    assert outputs.query_ids is not None and again.query_ids is not None and outputs.pushed is not None
    carried = outputs.query_ids.gather(1, outputs.pushed)
    assert torch.equal(again.query_ids[:, -4:], carried)


def test_images_that_no_point_projects_to_do_not_matter(head: RepDETR3DHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0, (False,))
    blind = replace(frame, image_from_lidar=frame.image_from_lidar + torch.eye(4)[3] * torch.eye(4)[0][:, None] * 1e9)
    with torch.no_grad():
        first = head(_features(0), blind).predictions.codes
        second = head(_features(1), blind).predictions.codes
    torch.testing.assert_close(first, second)


def test_calibration_reaches_the_features(head: RepDETR3DHead, make_frame: MakeFrame) -> None:
    torch.nn.init.normal_(head.spatial_alignment.gamma.weight)
    frame = make_frame(0)
    points = torch.rand(1, 5, 3)
    context = head.image_context(_features(), frame, points, None)
    other = head.image_context(_features(), replace(frame, image_from_camera=frame.image_from_camera * 2), points, None)
    assert not torch.allclose(context.features[0], other.features[0])
    middle = torch.tensor([[[0.5, 0.5, 0.5]]])
    metres = head.image_context(_features(), frame, middle, None).reference_points_m
    torch.testing.assert_close(metres, torch.tensor([[[0.0, 0.0, -1.0]]]))


@pytest.mark.parametrize("num_boxes", [0, 3])
def test_recomputed_activations_give_the_same_gradients(
    num_boxes: int, head: RepDETR3DHead, make_frame: MakeFrame
) -> None:
    frame = make_frame(0, (False,), [num_boxes])
    gradients = []
    for with_cp in (False, True):
        head.transformer["decoder"].with_cp = with_cp
        assert head.memory is not None
        head.memory.reset()
        head.zero_grad()
        sum(head.loss(head(_features(), frame), frame).values(), torch.zeros(())).backward()
        gradients.append([p.grad.clone() for p in head.parameters() if p.grad is not None])
    assert len(gradients[0]) > 30
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_half_precision_predicts(head: RepDETR3DHead, make_frame: MakeFrame) -> None:
    frame = make_frame(0, (False,))
    with torch.no_grad():
        whole = head(_features(), frame).predictions
        assert head.memory is not None
        head.memory.reset()
        with torch.autocast("cpu", torch.bfloat16):
            half = head(_features(), frame).predictions
    assert half.codes.dtype == torch.float32
    torch.testing.assert_close(half.codes, whole.codes, atol=0.5, rtol=0.1)
