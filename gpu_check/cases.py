"""Which detectors are timed and trained, and small ones of their kinds for a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from detection.config import read_config
from detection.registry import MODELS

_CONFIGS: Final = Path(__file__).resolve().parents[1] / "configs"


@dataclass(frozen=True)
class Case:
    """A detector and what it sees.

    Attributes:
        config: below `configs`.
        image_size: height and width, pixels.
        cameras: number of cameras.
        changes: config values by dotted key.
    """

    config: str
    image_size: tuple[int, int]
    cameras: int = 6
    changes: Mapping[str, Any] = field(default_factory=dict)

    def model(self) -> Any:
        """The detector with random weights, the same every time. What they are costs no time."""
        torch.manual_seed(0)
        return MODELS.build(read_config(_CONFIGS / self.config, self.changes)["model"])


_R50: Final = "streampetr/stream_petr_r50_704_bs2_seq_428q_nui_speed_test.py"
_ALL_HARD: Final = {"model.threshold": 1.0}  # an untrained router decides nothing; both detectors run
CASES: Final = {
    "R50-428q": Case(_R50, (256, 704)),
    "R50-900q": Case("streampetr/stream_petr_r50_flash_704_bs2_seq_24e.py", (256, 704)),
    "V2-99": Case("streampetr/stream_petr_vov_flash_800_bs2_seq_24e.py", (320, 800)),
    "RepDETR3D": Case("repdetr3d/repdetr3d_vov_800_bs2_seq_24e.py", (320, 800)),
    "dynamic": Case("dynamic/raydn_r18_r50_704_step2.py", (256, 704), changes=_ALL_HARD),
    "city": Case("perspective/city_perspective.py", (288, 704)),
}
_SMALL, _FEW = (64, 192), 2  # pixels and cameras of the small ones
SMALL_CASES: Final = {
    "R50-428q": Case("streampetr/city_r18.py", _SMALL, _FEW),
    "R50-900q": Case("streampetr/city_r18.py", _SMALL, _FEW),
    "V2-99": Case("streampetr/city_r18.py", _SMALL, _FEW),
    "RepDETR3D": Case("repdetr3d/city_r18.py", _SMALL, _FEW),
    "dynamic": Case("dynamic/city_step2.py", _SMALL, _FEW, _ALL_HARD),
    "city": Case("perspective/city_perspective.py", _SMALL, _FEW),
}
TRAINED: Final = "R50-428q"


def case_of(name: str, on_gpu: bool) -> Case:
    """The detector of a name, a small one for a CPU."""
    return (CASES if on_gpu else SMALL_CASES)[name]
