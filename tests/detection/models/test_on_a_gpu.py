"""Every model on a simulated GPU: nothing mixes devices, and how often the CPU and the device wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.image_batch import ImageBatch, ImageTargets
from detection.registry import MODELS
from detection.running.compilation import for_inference, inference_precision

from .simulated_gpu import Log, simulated_gpu

GPU = "cuda:0"
MakeFrame = Callable[..., FrameBatch]

# Waits for a frame's boxes, waits and blocking copies of a training step, for two streams of two cameras. A new number
# below these is welcome, one above them makes training or driving slower. A router's answer is waited for, by which the
# CPU knows what to launch; SimOTA, of the heads with YOLOX (V2, EVA02), waits three times, for however many images.
WAITS = {
    "PETR": (1, 1, 0),
    "Focal-PETR": (1, 3, 0),
    "StreamPETR": (1, 3, 0),
    "RepDETR3D": (1, 3, 0),
    "RepDETR3D V2": (1, 5, 0),
    "RepDETR3D EVA02": (1, 5, 0),
    "RepDETR3D proposals": (1, 2, 0),
    "RayDN": (1, 5, 0),
    "perspective": (1, 2, 0),
    "dynamic": (2, 4, 0),
}


def _built(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = MODELS.build(config)
    if hasattr(model, "router"):
        nn.init.normal_(model.router.layer2.weight)
    return model.eval()


def _last_frame(log: Log, run: Callable[[FrameBatch], Any], make_frame: MakeFrame, boxes: list[int] | None) -> Any:
    """What a run finds in the third frame of two streams, alone in the log."""
    for t in range(3):
        frame = make_frame(t, [t > 0] * 2, num_boxes=boxes).pin_memory()
        moved = frame.to(GPU)
        log.clear()
        found = run(moved)
    return found


@pytest.mark.parametrize("name", WAITS)
def test_boxes_cost_one_wait(name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame) -> None:
    model = _built(model_config(name))
    with simulated_gpu() as log, torch.no_grad():
        model.to(GPU)
        found = _last_frame(log, lambda frame: model([frame]), make_frame, None)
        assert (log.waits.total(), log.copies.total()) == (WAITS[name][0], 0), (log.waits, log.copies)
    assert len(found) == 2 and found[0].boxes.device.type == "cpu"


@pytest.mark.parametrize("name", [name for name in WAITS if name != "dynamic"])
def test_a_step_waits_for_nothing(
    name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    model = _built(model_config(name))
    with simulated_gpu() as log, torch.no_grad():
        model.to(GPU)
        _last_frame(log, model.step, make_frame, None)
        assert not log.waits and not log.copies, (log.waits, log.copies)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["StreamPETR", "RepDETR3D EVA02", "RepDETR3D proposals", "perspective", "dynamic"])
def test_the_form_for_inference_runs_there(
    name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame, dtype: torch.dtype
) -> None:
    """With folded norms, and weights that are rounded once where the autocast of CUDA rounds them."""
    model = _built(model_config(name))
    with simulated_gpu() as log, torch.no_grad():
        form = for_inference(model, torch.device(GPU), dtype)
        with inference_precision(torch.device(GPU), dtype):
            found = _last_frame(log, lambda frame: form([frame]), make_frame, None)
        assert (log.waits.total(), log.copies.total()) == (WAITS[name][0], 0), (log.waits, log.copies)
    assert len(found) == 2 and all(detections.scores.isfinite().all() for detections in found)


@pytest.mark.parametrize(("threshold", "waits"), [(0.0, 0), (0.5, 1), (1.0, 0)])
def test_a_step_of_a_cascade_waits_for_its_router_alone(
    threshold: float, waits: int, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    """Also where the streams take both paths."""
    model = _built({**model_config("dynamic"), "threshold": threshold})
    model._is_hard = lambda scores, continues: torch.tensor([True, False])
    with simulated_gpu() as log, torch.no_grad():
        model.to(GPU)
        found = _last_frame(log, model.step, make_frame, None)
        assert (log.waits.total(), log.copies.total()) == (waits, 0), (log.waits, log.copies)
        assert len(found.detections()) == 2


@pytest.mark.parametrize("amp", [None, torch.bfloat16])
@pytest.mark.parametrize("name", WAITS)
def test_training_waits_no_more_than_it_has_to(
    name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame, amp: torch.dtype | None
) -> None:
    """Also that the autocast of CUDA, which forbids what that of the CPU does not, takes every loss."""
    model = _built(model_config(name)).train()
    with simulated_gpu() as log, torch.autocast("cuda", amp, enabled=amp is not None):
        model.to(GPU)
        losses = _last_frame(log, lambda frame: model([frame], mode="loss"), make_frame, [3, 2])
        assert (log.waits.total(), log.copies.total()) == WAITS[name][1:], (log.waits, log.copies)
        assert all(loss.isfinite().item() for loss in losses.values())


def test_a_window_with_gradients_through_several_frames(
    model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    window = dict(num_frame_losses=2, num_frame_head_grads=2, num_frame_backbone_grads=2)
    model = _built({**model_config("StreamPETR"), **window}).train()
    with simulated_gpu() as log:
        model.to(GPU)
        frames = [make_frame(t, [t > 0] * 2, num_boxes=[3, 2]).pin_memory().to(GPU) for t in range(3)]
        log.clear()
        losses = model(frames, mode="loss")
        assert (log.waits.total(), log.copies.total()) == (2 * WAITS["StreamPETR"][1], 0), (log.waits, log.copies)
        assert all(loss.isfinite().item() for loss in losses.values())


def test_a_router_trains(model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame) -> None:
    model = _built({**model_config("dynamic"), "trains": "router"}).train()
    with simulated_gpu() as log:
        model.to(GPU)
        losses = _last_frame(log, lambda frame: model([frame], mode="loss"), make_frame, [3, 2])
        assert not log.copies, (log.waits, log.copies)
        assert losses["loss_router"].isfinite().item()


def _images() -> ImageBatch:
    return ImageBatch(
        torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8),
        (0, 1),
        ("0.jpg", "1.jpg"),
        torch.tensor([[64, 96]] * 2),
        torch.tensor([[1.0, 0.0, 0.0]] * 2),
        ImageTargets(
            torch.tensor([0, 0, 1]),
            torch.tensor([[8.0, 8, 40, 30], [50, 20, 80, 60], [10, 5, 30, 50]]),
            torch.tensor([0, 2, 1]),
        ),
    )


def _dynamic_yolo(threshold: float = 0.5) -> Any:
    config = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.03, num_classes=3, threshold=threshold)
    return _built(config)


@pytest.mark.parametrize(("threshold", "waits"), [(0.0, 3), (0.5, 4), (1.0, 3)])
def test_detectors_of_single_images_wait_for_the_router_and_for_their_boxes(threshold: float, waits: int) -> None:
    """Three times, since how many boxes are likely decides what is compared; however many images there are."""
    with simulated_gpu() as log, torch.no_grad():
        model = _dynamic_yolo(threshold).to(GPU)
        model(_images().pin_memory().to(GPU))  # whether the router is trained is asked once
        log.clear()
        assert len(model(_images().pin_memory().to(GPU))) == 2
        assert (log.waits.total(), log.copies.total()) == (waits, 0), (log.waits, log.copies)


@pytest.mark.parametrize("amp", [None, torch.bfloat16])
def test_detectors_of_single_images_train(amp: torch.dtype | None) -> None:
    """Dy-YOLOv7 has a loss, which autocast on a GPU once refused, and copies nothing to the device."""
    with simulated_gpu() as log, torch.autocast("cuda", amp or torch.bfloat16, enabled=amp is not None):
        model = _dynamic_yolo().to(GPU).train()
        log.clear()
        losses: dict[str, Tensor] = model(_images().pin_memory().to(GPU), mode="loss")
        assert (log.waits.total(), log.copies.total()) == (9, 0), (log.waits, log.copies)
        assert all(loss.isfinite().item() for loss in losses.values())


def test_pinned_batches_are_moved_without_waiting(make_frame: MakeFrame) -> None:
    with simulated_gpu() as log:
        make_frame(0, [False, False], num_boxes=[3, 2]).pin_memory().to(GPU)
        _images().pin_memory().to(GPU)
        assert not log.copies
        make_frame(0, [False]).to(GPU)
        assert log.copies.total() == 7


def test_mixed_devices_are_refused() -> None:
    with simulated_gpu():
        on_gpu = torch.ones(2, device=GPU)
        assert (on_gpu + torch.tensor(1.0)).tolist() == [2.0, 2.0]  # a number may come along
        for mixed in (lambda: on_gpu + torch.ones(2), lambda: torch.ones(2)[torch.zeros(1, device=GPU).long()]):
            with pytest.raises(RuntimeError, match=r"on the same device|indices on cuda"):
                mixed()


def test_every_wait_is_written_down() -> None:
    with simulated_gpu() as log:
        on_gpu = torch.ones(2, device=GPU)
        on_gpu.tolist(), on_gpu[0].item(), on_gpu.nonzero(), on_gpu[on_gpu > 0], on_gpu.cpu()
        assert sorted(place.split(",")[0] for place in log.waits) == [
            "_local_scalar_dense", "boolean index", "copy to the CPU", "nonzero", "tolist",
        ]  # fmt: skip
        on_gpu.new_tensor([1.0]), on_gpu[[1, 0]]
        assert log.copies.total() == 2
