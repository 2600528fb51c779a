"""What every denoising strategy keeps to in every head: half precision, frames without boxes, no cost at inference."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from detection.frames import FrameBatch
from detection.models.heads.query_head import QueryHead
from detection.models.predictions import HeadOutputs
from detection.registry import MODELS

MakeFrame = Callable[..., FrameBatch]
STRATEGIES = ["StandardDenoising", "RayDenoising"]
HEADS = ["StreamPETRHead", "RepDETR3DHead"]

pytestmark = pytest.mark.parametrize("kind", HEADS)


def _head(config: dict[str, Any], kind: str, strategy: str | None) -> QueryHead:
    """A head, the same weights every time; None for no denoising."""
    settings = {**config, "type": kind, "denoising": None if strategy is None else dict(type=strategy, groups=3)}
    if kind == "RepDETR3DHead":
        settings = {name: value for name, value in settings.items() if name not in ("in_channels", "position_range")}
        settings["decoder"] = dict(num_layers=2, num_heads=4, num_levels=1, num_points=3)
    torch.manual_seed(0)
    head: QueryHead = MODELS.build(settings)
    return head


def _features(frame: FrameBatch) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*frame.images.shape[:2], 32, 4, 6, generator=generator)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_trains_under_autocast(
    strategy: str, dtype: torch.dtype, kind: str, head_config: dict[str, Any], make_frame: MakeFrame
) -> None:
    """Reference points, labels and losses stay in float32, and every number is finite."""
    head = _head(head_config, kind, strategy).train()
    frame = make_frame(0, [False, False], num_boxes=[3, 1])
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype):
        outputs = head(_features(frame), frame)
        losses = head.loss(outputs, frame)
    torch.manual_seed(1)
    exact = head.denoising(frame, head.pc_range, head.num_classes)
    assert outputs.denoising is not None
    torch.testing.assert_close(outputs.denoising.reference_points, exact.reference_points, rtol=0, atol=0)
    assert torch.equal(outputs.denoising.labels, exact.labels)
    for loss in losses.values():
        assert loss.dtype == torch.float32 and loss.isfinite()
    scale = 2.0**-10  # that a gradient scaler would find: float16 ends at 65504
    (torch.stack(list(losses.values())).sum() * scale).backward()
    assert all(weight.grad.isfinite().all() for weight in head.parameters() if weight.grad is not None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_frame_without_boxes_trains_as_without_denoising(
    strategy: str, kind: str, head_config: dict[str, Any], make_frame: MakeFrame
) -> None:
    """It has no denoising queries; their losses are logged all the same and have no gradient."""
    frame = make_frame(0, [False, False], num_boxes=[0, 0])
    outputs, losses = {}, {}
    for name in (strategy, None):
        head = _head(head_config, kind, name).train()
        torch.manual_seed(1)  # of dropout
        outputs[name] = head(_features(frame), frame)
        losses[name] = head.loss(outputs[name], frame)
    assert outputs[strategy].denoising is None
    torch.testing.assert_close(outputs[strategy].predictions.logits, outputs[None].predictions.logits)
    extra = losses[strategy].keys() - losses[None].keys()
    assert len(extra) == 4 and all("dn_loss" in name and not losses[strategy][name].requires_grad for name in extra)
    for name, loss in losses[None].items():
        torch.testing.assert_close(losses[strategy][name], loss)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_stream_without_boxes_beside_one_with(
    strategy: str, kind: str, head_config: dict[str, Any], make_frame: MakeFrame
) -> None:
    head = _head(head_config, kind, strategy).train()
    frame = make_frame(0, [False, False], num_boxes=[0, 2])
    outputs = head(_features(frame), frame)
    assert outputs.denoising is not None and set(outputs.denoising.streams.tolist()) == {1}
    assert all(loss.isfinite() for loss in head.loss(outputs, frame).values())


def test_denoising_costs_nothing_at_inference(kind: str, head_config: dict[str, Any], make_frame: MakeFrame) -> None:
    """Over two frames of a stream: the same numbers from the same arithmetic, whatever the denoising of training."""
    frames = [make_frame(0, [False]), make_frame(1, [True])]

    def run(strategy: str | None) -> tuple[int, list[HeadOutputs], set[str]]:
        head = _head(head_config, kind, strategy).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            outputs = [head(_features(frame), frame) for frame in frames]
        return counter.get_total_flops(), outputs, set(head.state_dict())

    flops, outputs, names = run(None)
    assert flops > 0
    for strategy in STRATEGIES:
        same_flops, same_outputs, same_names = run(strategy)
        assert same_flops == flops and same_names == names
        for one, other in zip(outputs, same_outputs, strict=True):
            assert torch.equal(one.predictions.logits, other.predictions.logits)
            assert torch.equal(one.predictions.codes, other.predictions.codes)
            assert other.denoising is None and other.denoising_predictions is None
