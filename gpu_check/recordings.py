"""Parity on the device: what the published implementations gave, in float32 within the tolerances, and in TF32 and
bfloat16 as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from gpu_check.parts import Settings
from gpu_check.record import Record
from parity.arithmetic import ARITHMETICS
from parity.checks import check_file
from parity.comparison import Difference
from parity.models import Workshop
from parity.rule import Rule

_ROOT: Final = Path(__file__).resolve().parents[1]
_FOLDER: Final = _ROOT / "tests" / "recordings" / "golden"
_TOLERATED: Final = "float32"
_QUICK: Final = ("b_r50_428q_seqA.npz", "c_r50_428q_stream.json")
_ARRAYS: Final = {  # column: part of the names of recorded arrays
    "features": "img_feats",
    "logits": "all_cls_scores",
    "boxes": "all_bbox_preds",
    "scores": "decoded_scores",
}


def run(settings: Settings, record: Record, subject: str) -> None:
    """Compare every recording of inference and of training."""
    workshop = Workshop(_ROOT / "configs", Rule.find(_FOLDER), torch.device(settings.device))
    paths = [path for pattern in ("b_*.npz", "c_*.json") for path in sorted(_FOLDER.glob(pattern))]
    for path in paths:
        if settings.quick and path.name not in (_QUICK if settings.on_gpu else _QUICK[:1]):
            continue
        for name in _arithmetics(path, settings):
            report = check_file(path, workshop, ARITHMETICS[name])
            comparison = report.comparison
            assert comparison is not None and comparison.worst is not None, "recordings of frames hold arrays"
            worst = comparison.worst
            record.row(
                recording=path.stem,
                arithmetic=name,
                arrays=len(comparison.compared),
                **{column: _largest(comparison.differences, array) for column, array in _ARRAYS.items()},
                worst_of_tolerance=float(f"{worst.ratio:.2g}") if name == _TOLERATED else None,
            )
            if name == _TOLERATED:
                record.check(f"{path.name} in float32", report.agrees, str(worst))


def _arithmetics(path: Path, settings: Settings) -> Sequence[str]:
    """What a recording is compared in: gradients, and all of it on a CPU, which has no units for others, in float32."""
    return tuple(ARITHMETICS) if path.name.startswith("b_") and settings.on_gpu else (_TOLERATED,)


def _largest(differences: Sequence[Difference], array: str) -> float | None:
    """Of all arrays with this in their name."""
    sizes = [difference.size for difference in differences if array in difference.array]
    return float(f"{max(sizes):.2g}") if sizes else None
