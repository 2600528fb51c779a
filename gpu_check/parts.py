"""The parts of the check, in their order: what decides comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
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


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        name: of the part.
        title: for the report.
        module: of this package; its `run` does the work.
        subject: what the module works on, if there are several.
        limit_s, quick_limit_s: the longest that it may take; None leaves it out of the quick check.
        decides: whether it has checks, so that a part that is stopped has failed.
    """

    name: str
    title: str
    module: str
    limit_s: float
    quick_limit_s: float | None
    decides: bool
    subject: str = ""

    @property
    def run(self) -> Run:
        """What does the work."""
        function: Run = import_module(f"gpu_check.{self.module}").run
        return function


PARTS: Final = (
    Part("machine", "Machine", "machine", 30, 30, True),
    Part("parity", "Parity with the published implementations", "recordings", 100, 40, True),
    Part("tests", "Tests marked gpu", "suite", 100, 40, True),
    Part("city", "Detections of the city", "city", 120, 60, True),
    Part("training", "Training", "training", 90, 40, True),
    Part("speed-r50-428q", "Speed: StreamPETR, R50, 428 queries", "speed", 180, 70, False, "R50-428q"),
    Part("speed-r50-900q", "Speed: StreamPETR, R50, 900 queries", "speed", 70, None, False, "R50-900q"),
    Part("speed-v2-99", "Speed: StreamPETR, V2-99", "speed", 80, None, False, "V2-99"),
    Part("speed-repdetr3d", "Speed: RepDETR3D, V2-99", "speed", 80, None, False, "RepDETR3D"),
    Part("speed-dynamic", "Speed: dynamic cascade, R18 and R50", "speed", 80, None, False, "dynamic"),
    Part("speed-city", "Speed: the city's perspective detector", "speed", 60, None, False, "city"),
    Part("attention", "flash-attn beside torch's own attention", "attention", 30, 20, True),
)
KERNELS: Final = Part("kernels", "Kernels of a frame", "kernels", 90, 60, False)
"""With `--profile`."""

LIMIT_S: Final = 600.0
QUICK_LIMIT_S: Final = 180.0
"""Of all parts together."""


def chosen_parts(quick: bool, profile: bool) -> Iterator[tuple[Part, float]]:
    """The parts of a check, each with the longest that it may take, in seconds."""
    for part in (*PARTS, *([KERNELS] if profile else ())):
        limit_s = part.quick_limit_s if quick else part.limit_s
        if limit_s is not None:
            yield part, limit_s


def part_of(name: str) -> Part:
    """The part of a name."""
    return next(part for part in (*PARTS, KERNELS) if part.name == name)
