"""What the machine is."""

from __future__ import annotations

import platform
from importlib.util import find_spec

import torch

from gpu_check.parts import Settings
from gpu_check.record import Record
from scenes.jobs.processes import available_cores


def run(settings: Settings, record: Record, subject: str) -> None:
    """Hardware and versions."""
    record.row(what="Python", value=platform.python_version())
    record.row(what="torch", value=torch.__version__)
    record.row(what="CPU cores", value=available_cores())
    record.row(what="triton", value="yes" if find_spec("triton") else "no")
    record.row(what="flash-attn", value="yes" if find_spec("flash_attn") else "no")
    if settings.on_gpu:
        _describe_gpu(settings.device, record)
    device = torch.zeros(2, device=settings.device).add(1).sum().item()
    record.check(f"{settings.device} computes", device == 2)


def _describe_gpu(device: str, record: Record) -> None:
    properties = torch.cuda.get_device_properties(device)
    record.row(what="GPU", value=properties.name)
    record.row(what="GPU memory, GB", value=round(properties.total_memory / 1e9, 1))
    record.row(what="compute capability", value=f"{properties.major}.{properties.minor}")
    record.row(what="CUDA", value=torch.version.cuda)
    record.row(what="cuDNN", value=torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
