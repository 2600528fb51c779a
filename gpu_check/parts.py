"""The parts of the check, in their order: what decides comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_check.record import Record


@dataclass(frozen=True)
class Settings:
    """How the check runs.

    Attributes:
        device: `cuda` or `cpu`; on the latter small models take the place of the published ones.
        quick: whether to take 3 minutes instead of 10.
        folder: for files of its own.
    """

    device: str
    quick: bool
    folder: Path

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU to measure."""
        return self.device != "cpu"


Run = Callable[[Settings, Record, str], None]
"""What a part's module does, on its subject if it has several."""


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        name: of the part.
        title: for the report.
        module: whose `run` does the work.
        subject: what the module works on, if there are several.
        limit_s, quick_limit_s: the longest that it may take on a GPU; None leaves it out of the quick check.
        decides: whether it has checks, so that a part that is stopped has failed.
    """

    name: str
    title: str
    module: str
    limit_s: float
    quick_limit_s: float | None
    decides: bool
    subject: str = ""


PARTS: Final = (
    Part("machine", "Machine", "gpu_check.machine", 30, 30, True),
    Part("parity", "Parity with the published implementations", "gpu_check.recordings", 100, 40, True),
    Part("parity-methods", "Parity of RayDN, distillation and DynamicDet", "gpu_check.methods", 80, None, True),
    Part("tests", "Tests marked gpu", "gpu_check.suite", 150, 50, True),
    Part("city", "Detections of the city", "gpu_check.city", 120, 90, True),
    Part("training", "Training", "gpu_check.training", 90, 40, True),
    Part("speed-r50-428q", "Speed: StreamPETR, R50, 428 queries", "gpu_check.speed", 200, 110, False, "R50-428q"),
    Part("speed-r50-900q", "Speed: StreamPETR, R50, 900 queries", "gpu_check.speed", 70, None, False, "R50-900q"),
    Part("speed-v2-99", "Speed: StreamPETR, V2-99", "gpu_check.speed", 80, None, False, "V2-99"),
    Part("speed-repdetr3d", "Speed: RepDETR3D, V2-99", "gpu_check.speed", 80, None, False, "RepDETR3D"),
    Part("speed-dynamic", "Speed: dynamic cascade, R18 and R50", "gpu_check.speed", 80, None, False, "dynamic"),
    Part("speed-city", "Speed: the city's perspective detector", "gpu_check.speed", 60, None, False, "city"),
    Part("attention", "flash-attn beside torch's own attention", "gpu_check.attention", 30, 20, True),
)
KERNELS: Final = Part("kernels", "Kernels of a frame", "gpu_check.kernels", 90, 60, False)
"""With `--profile`."""

_LIMIT_S, _QUICK_LIMIT_S = 570.0, 170.0  # 10 and 3 minutes with the start and the end
_ON_A_CPU: Final = 5.0  # times as long, since nobody waits for it at a GPU


def limit_s(device: str, quick: bool) -> float:
    """The longest that all parts together may take, in seconds."""
    return (_QUICK_LIMIT_S if quick else _LIMIT_S) * _patience(device)


def chosen_parts(device: str, quick: bool, profile: bool) -> Iterator[tuple[Part, float]]:
    """The parts of a check, each with the longest that it may take, in seconds."""
    for part in (*PARTS, *([KERNELS] if profile else ())):
        longest_s = part.quick_limit_s if quick else part.limit_s
        if longest_s is not None:
            yield part, longest_s * _patience(device)


def _patience(device: str) -> float:
    return _ON_A_CPU if device == "cpu" else 1.0
