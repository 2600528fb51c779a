"""Every model on this machine's own GPU, beside the CPU; `tools/gpu_check.sh` runs these too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detection.config import read_config
from detection.frames import FrameBatch
from detection.registry import MODELS
from detection.running.compilation import compile_for_inference
from parity.arithmetic import tensor_float32

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parents[3]
GPU = "cuda:0"
MODELS_OF_THE_CITY = {
    "StreamPETR": "streampetr/city_r18",
    "RepDETR3D": "repdetr3d/city_r18",
    "RayDN": "raydn/city_r18",
    "perspective": "perspective/city_perspective",
    "dynamic": "dynamic/city_step1",
}
WITH_STEP = ["StreamPETR", "RepDETR3D", "RayDN"]
SCORES = 1e-3  # between the CPU and a GPU in float32; those of untrained networks are near 0.01
MakeFrame = Callable[..., FrameBatch]


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    with tensor_float32(False):
        yield


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Whatever makes the CPU wait for the GPU is an error inside the block."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _model(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS.build(read_config(ROOT / "configs" / f"{MODELS_OF_THE_CITY[name]}.py")["model"])
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.eval()


def _frames(make_frame: MakeFrame, boxes: list[int] | None = None) -> list[FrameBatch]:
    """Four frames of two streams, of which one begins another scene in the third."""
    return [make_frame(t, [t > 0, t not in (0, 2)], num_boxes=boxes) for t in range(4)]


@torch.no_grad()
def _scores(model: Any, frames: list[FrameBatch], device: str) -> list[list[Tensor]]:
    """Of every frame and stream, the best first."""
    return [[found.scores.cpu() for found in model([frame.to(device)])] for frame in frames]


def _apart(some: list[list[Tensor]], others: list[list[Tensor]]) -> float:
    """The largest difference of scores of one rank."""
    pairs = [pair for frame in zip(some, others, strict=True) for pair in zip(*frame, strict=True)]
    shared = [min(len(one), len(other)) for one, other in pairs]
    assert min(shared) > 0
    return max(
        float((one[:count] - other[:count]).abs().max()) for (one, other), count in zip(pairs, shared, strict=True)
    )


@pytest.mark.parametrize("name", MODELS_OF_THE_CITY)
def test_boxes_are_those_of_the_cpu(name: str, make_frame: MakeFrame) -> None:
    model, frames = _model(name), _frames(make_frame)
    expected = _scores(copy.deepcopy(model), frames, "cpu")
    assert _apart(_scores(model.to(GPU), frames, GPU), expected) < SCORES


@pytest.mark.parametrize("name", ["StreamPETR", "RepDETR3D", "perspective"])
def test_compiled_boxes_are_the_eager_ones(name: str, make_frame: MakeFrame) -> None:
    """As CUDA graphs, over a change of scene: no frame may read what the graph of a later one has overwritten."""
    model, frames = _model(name).to(GPU), _frames(make_frame) * 2
    expected = _scores(copy.deepcopy(model), frames, GPU)
    compile_for_inference(model)
    assert _apart(_scores(model, frames, GPU), expected) < SCORES


@pytest.mark.parametrize("name", WITH_STEP)
def test_a_step_waits_for_nothing(name: str, make_frame: MakeFrame) -> None:
    model, frames = _model(name).to(GPU), [frame.to(GPU) for frame in _frames(make_frame)]
    with torch.no_grad():
        for frame in frames[:2]:
            model.step(frame)
        with _no_waiting():
            for frame in frames[2:]:
                model.step(frame)


def test_pinned_batches_are_moved_without_waiting(make_frame: MakeFrame) -> None:
    frame = make_frame(0, [False, False], num_boxes=[3, 2]).pin_memory()
    with _no_waiting():
        moved = frame.to(GPU)
    assert torch.equal(moved.images.cpu(), frame.images)


@pytest.mark.parametrize("name", ["StreamPETR", "RepDETR3D", "perspective", "dynamic"])
def test_losses_and_gradients_are_those_of_the_cpu(name: str, make_frame: MakeFrame) -> None:
    norms = []
    frame = make_frame(0, [False, False], num_boxes=[3, 2])
    for device in ("cpu", GPU):
        model = _model(name).to(device)
        for part in (model, *model.children()):
            part.train()
        _without_chance(model)
        losses = model([frame.to(device)], mode="loss")
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        gradients = [parameter.grad.norm().cpu() for parameter in model.parameters() if parameter.grad is not None]
        norms.append((total.detach().cpu(), torch.stack(gradients).norm()))
    for expected, found in zip(*norms, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS_OF_THE_CITY)
def test_half_precision_gives_numbers(name: str, dtype: torch.dtype, make_frame: MakeFrame) -> None:
    model = _model(name).train().to(GPU)
    frame = make_frame(0, [False, False], num_boxes=[3, 2]).to(GPU)
    with torch.autocast("cuda", dtype):
        losses = model([frame], mode="loss")
    assert all(loss.isfinite() for loss in losses.values()), losses
    torch.stack(list(losses.values())).sum().backward()
    if dtype is torch.bfloat16:  # float16 needs a loss that is scaled
        assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


def _without_chance(model: nn.Module) -> None:
    """Leaves out denoising queries and masks of images: each device draws other numbers."""
    for module in model.modules():
        for name in ("denoising", "grid_mask"):
            if getattr(module, name, None) is not None:
                setattr(module, name, None)
