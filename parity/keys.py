"""Recorded names and shapes of the weights of every released config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import torch
from torch import nn

from parity.comparison import Comparison
from parity.models import RecordedModel, Workshop
from parity.recording import read_table

_CONFIG: Final = re.compile(r"keys_(?:harmo_(?:distill3d|raydn|streampetr)_)?(?P<config>\w+)")
# The published speed test of RayDN puts the head of RepDETR3D into StreamPETR, which cannot run.
_CANNOT_RUN: Final = "raydn_r50_704_bs2_seq_428q_nui_speed_test"


def check_keys(path: Path, workshop: Workshop) -> Comparison | None:
    """Compare every name, shape and type of a released config's weights.

    Args:
        path: `keys_<config>.txt` or `keys_harmo_<folder>_<config>.txt`, rows of name, shape and type.
        workshop: makes the model.

    Returns:
        None where there is no such config.
    """
    named = _CONFIG.fullmatch(path.stem)
    if named is None or named["config"] == _CANNOT_RUN:
        return None
    model = RecordedModel(named["config"])
    if not workshop.has(model):
        return None
    with torch.device("meta"):  # names and shapes need no memory
        detector = workshop.bare(model)
    return compare_names(detector, path)


def compare_names(model: nn.Module, path: Path) -> Comparison:
    """Compare every name, shape and type of a model's weights with the recorded rows."""
    mine = {name: _shape_and_type(value) for name, value in model.state_dict().items()}
    theirs = {row[0]: tuple(row[1:]) for row in read_table(path)}
    comparison = Comparison()
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in mine or name not in theirs:
            comparison.lacks(name, "is only in one of both")
        elif mine[name] != theirs[name]:
            comparison.lacks(name, f"is {' '.join(mine[name])}, recorded {' '.join(theirs[name])}")
        else:
            comparison.equal(name, 0, 0)
    return comparison


def _shape_and_type(value: torch.Tensor) -> tuple[str, str]:
    return "x".join(map(str, value.shape)) or "scalar", str(value.dtype).removeprefix("torch.")
