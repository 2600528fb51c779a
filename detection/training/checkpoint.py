"""Checkpoints of a training: files that are whole or absent, of tensors and plain containers only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from mmengine.logging import HistoryBuffer, MessageHub

from detection.checkpoints import read_saved
from scenes import InputError
from scenes.files import atomic_path

_NAME: Final = re.compile(r"iter_\d+\.pth")
_PARTS: Final = frozenset({"meta", "state_dict", "optimizer", "message_hub", "processes"})
_REMEMBERED_STEPS: Final = 200
"""Values of each logged scalar that a checkpoint keeps: more than any moving mean in the logs covers."""


def checkpoint_path(work_dir: Path, iteration: int) -> Path:
    """Where the checkpoint after so many iterations lies."""
    return work_dir / f"iter_{iteration}.pth"


def checkpoints_of(work_dir: Path) -> list[Path]:
    """The checkpoints in a work directory, oldest first."""
    return sorted((path for path in work_dir.glob("*.pth") if _NAME.fullmatch(path.name)), key=_iteration_of)


def set_aside_from(work_dir: Path, iteration: int) -> Path | None:
    """Move the checkpoints from an iteration on, which an earlier run has written, into a new folder beside the others.

    Returns:
        the folder; None if there are none.
    """
    later = [path for path in checkpoints_of(work_dir) if _iteration_of(path) >= iteration]
    if not later:
        return None
    folder = next(path for number in itertools.count(1) if not (path := work_dir / f"earlier_run_{number}").exists())
    folder.mkdir()
    for path in later:
        path.rename(folder / path.name)
    return folder


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all, whenever the process may be killed."""
    with atomic_path(path) as temporary:
        torch.save(dict(content), temporary)


def remove_leftovers(work_dir: Path) -> None:
    """Remove what runs that were killed while they wrote have left in a work directory."""
    for path in work_dir.glob(".iter_*.tmp.pth"):
        path.unlink(missing_ok=True)


def read_training_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint to resume from.

    Raises:
        InputError: the file is missing, broken, or holds no state of a training.
    """
    content = read_saved(path)
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        raise InputError(f"{path}: cannot be resumed: it holds no state of a training; start from it with load_from")
    return content


def logged_scalars(hub: MessageHub) -> dict[str, tuple[list[float], list[int]]]:
    """The last values of what has been logged, and their counts, by name: what moving means are taken from."""
    recent = {name: [column[-_REMEMBERED_STEPS:] for column in log.data] for name, log in hub.log_scalars.items()}
    return {name: (values.tolist(), counts.tolist()) for name, (values, counts) in recent.items()}


def set_logged_scalars(hub: MessageHub, scalars: Mapping[str, tuple[list[float], list[int]]]) -> None:
    """Put back what `logged_scalars` has returned."""
    hub.log_scalars.update({name: HistoryBuffer(values, counts) for name, (values, counts) in scalars.items()})


def _iteration_of(path: Path) -> int:
    return int(path.stem.removeprefix("iter_"))
