"""Steps of a training in every precision: frames a second, memory, and that losses and weights stay numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from detection.data.collate import collate
from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.running.benchmark import made_stream
from detection.training.optimizer import build_optim_wrapper
from gpu_check.cases import TRAINED, case_of
from gpu_check.parts import Settings
from gpu_check.record import Record
from scenes import InputError

_STREAMS: Final = 2
_BOXES: Final = 30  # of a frame; some four are seen by each camera
_OPTIMIZER: Final = dict(optimizer=dict(type="AdamW", weight_decay=0.01), clip_grad=dict(max_norm=35))
_LEARNING_RATE: Final = 1e-4
_PRECISIONS: Final[dict[str, str | None]] = {"float32": None, "bfloat16": "bfloat16", "float16": "float16"}
_CLASSES: Final = 10


def run(settings: Settings, record: Record, subject: str) -> None:
    """Train the model of 428 queries for a few steps, from images in the device's memory."""
    case = case_of(TRAINED, settings.on_gpu)
    device = torch.device(settings.device)
    warm_up, steps = (5, 20) if settings.on_gpu and not settings.quick else (2, 5)
    stream = made_stream(warm_up + steps, case.cameras, case.image_size, device)
    frames = [_annotated(frame, number) for number, frame in enumerate(stream)]
    for precision, amp in _PRECISIONS.items():
        model = case.model().to(device).train()
        try:
            optimizer = build_optim_wrapper(model, _OPTIMIZER, _LEARNING_RATE, amp)
        except InputError as reason:
            record.note(f"{precision}: {reason}")
            continue
        _reset_peak_memory(device)
        losses = list(_trained(model, optimizer, frames[:warm_up]))
        started_s = time.perf_counter()
        losses += list(_trained(model, optimizer, frames[warm_up:]))
        elapsed_s = time.perf_counter() - started_s
        record.row(
            precision=precision,
            frames_per_second=round(_STREAMS * steps / elapsed_s, 2),
            ms_a_step=round(elapsed_s / steps * 1e3, 1),
            peak_mb=_peak_mb(device),
            first_loss=round(losses[0], 3),
            last_loss=round(losses[-1], 3),
        )
        finite = all(parameter.isfinite().all() for parameter in model.parameters())
        numbers = torch.tensor(losses).isfinite().all().item()
        record.check(f"losses and weights in {precision} are numbers", bool(finite and numbers))
        del model, optimizer


def _trained(model: Any, optimizer: Any, frames: list[FrameBatch]) -> Iterator[float]:
    """The loss of each step. Reading it waits for the device, as a training does to see that it is finite."""
    for frame in frames:
        with optimizer.optim_context(model):
            losses = model([frame], mode="loss")
        total, _ = model.parse_losses(losses)
        optimizer.update_params(total)
        yield float(total)


def _annotated(frame: FrameBatch, number: int) -> FrameBatch:
    """Two streams that see the frame of one, with boxes at random places and what cameras see of them."""
    generator = torch.Generator().manual_seed(number)
    device = frame.images.device
    on_cpu = frame.to("cpu")
    streams = [replace(on_cpu, targets=(_targets(on_cpu, generator),)) for _ in range(_STREAMS)]
    return collate([[stream] for stream in streams])["frames"][0].to(device)


def _targets(frame: FrameBatch, generator: torch.Generator) -> FrameTargets:
    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(_BOXES, *shape, generator=generator)

    centers = torch.cat((drawn(-40, 40, 2), drawn(-2, 0, 1)), dim=1)
    boxes = torch.cat((centers, drawn(1, 5, 3), drawn(-3, 3, 1), drawn(-5, 5, 2)), dim=1)
    labels = torch.randint(0, _CLASSES, (_BOXES,), generator=generator)
    height, width = frame.image_size_px
    cameras = [_seen(image_from_lidar, boxes, labels, height, width) for image_from_lidar in frame.image_from_lidar[0]]
    return FrameTargets(boxes, labels, tuple(cameras))


def _seen(image_from_lidar: Tensor, boxes: Tensor, labels: Tensor, height: int, width: int) -> CameraTargets:
    """The boxes whose centres a camera sees, as squares about them."""
    points = torch.cat((boxes[:, :3], torch.ones(len(boxes), 1)), dim=1) @ image_from_lidar.T
    depths = points[:, 2]
    centers = points[:, :2] / depths[:, None].clamp(min=1e-3)
    size = torch.tensor([width, height])
    inside = (depths > 1) & ((centers > 0) & (centers < size)).all(dim=1)
    half = (0.5 * width * boxes[:, 3] / depths.clamp(min=1))[:, None].clamp(min=2)
    edges = torch.cat((centers - half, centers + half), dim=1).clamp(min=0).minimum(size.repeat(2))
    return CameraTargets(edges[inside], labels[inside], centers[inside], depths[inside])


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mb(device: torch.device) -> int | None:
    return round(torch.cuda.max_memory_allocated(device) / 1e6) if device.type == "cuda" else None
