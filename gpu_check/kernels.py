"""Where the time of a frame goes, kernel by kernel, in the eager float32 detector and in the compiled bfloat16 one."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile

from detection.running.benchmark import made_stream
from detection.running.compilation import compile_for_inference, inference_precision
from gpu_check.cases import TRAINED, case_of
from gpu_check.parts import Settings
from gpu_check.record import Record

_WARM_UP, _FRAMES = 5, 5
_ROWS: Final = 25


def run(settings: Settings, record: Record, subject: str) -> None:
    """Profile a few frames in both ways."""
    case = case_of(TRAINED, settings.on_gpu)
    device = torch.device(settings.device)
    stream = made_stream(_WARM_UP + _FRAMES, case.cameras, case.image_size, device)
    for name, dtype in (("eager float32", torch.float32), ("compiled bfloat16", torch.bfloat16)):
        model = case.model().to(device).eval()
        if name.startswith("compiled"):
            compile_for_inference(model)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if settings.on_gpu else [])]
        with torch.no_grad(), inference_precision(device, dtype):
            for frame in stream[:_WARM_UP]:
                model([frame])
            with profile(activities=activities) as profiled:
                for frame in stream[_WARM_UP:]:
                    model([frame])
        _write(name, profiled.key_averages(), settings.on_gpu, record)


def _write(name: str, events: Any, on_gpu: bool, record: Record) -> None:
    """The longest of them."""
    spent_us = sorted(((_own_us(event, on_gpu), event) for event in events), key=lambda pair: -pair[0])
    total_us = sum(us for us, _ in spent_us) or 1.0
    for us, event in spent_us[:_ROWS]:
        record.row(
            way=name,
            kernel=event.key[:80],
            calls_a_frame=round(event.count / _FRAMES, 1),
            ms_a_frame=round(us / _FRAMES / 1e3, 3),
            share=f"{us / total_us:.1%}",
        )


def _own_us(event: Any, on_gpu: bool) -> float:
    """Microseconds in a kernel itself; torch has renamed the attribute."""
    if not on_gpu:
        return float(event.self_cpu_time_total)
    name = "self_device_time_total" if hasattr(event, "self_device_time_total") else "self_cuda_time_total"
    return float(getattr(event, name))
