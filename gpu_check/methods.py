"""Parity on the device of what trains beside the family: RayDN, distillation, the 2D detectors of DynamicDet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from gpu_check.parts import Settings
from gpu_check.record import Record
from parity.checks import check_file
from parity.models import Workshop
from parity.rule import Rule

_ROOT: Final = Path(__file__).resolve().parents[1]
_FOLDER: Final = _ROOT / "tests" / "recordings"
_NAMES: Final = (
    "raydn_r50.json",
    "harmo_losses.json",
    "harmo_branches.json",
    "harmo_distill_r50_r18.json",
    "dynamicdet.json",
)


def run(settings: Settings, record: Record, subject: str) -> None:
    """Compare every recording of these methods in float32."""
    workshop = Workshop(_ROOT / "configs", Rule.find(_FOLDER / "golden"), torch.device(settings.device))
    for name in _NAMES:
        report = check_file(_FOLDER / "golden_methods" / name, workshop)
        comparison = report.comparison
        assert comparison is not None and comparison.worst is not None, "recordings of methods hold arrays"
        worst = comparison.worst
        record.row(
            recording=Path(name).stem,
            compared=len(comparison.compared),
            worst_of_tolerance=float(f"{worst.ratio:.2g}"),
        )
        record.check(name, report.agrees, str(worst))
