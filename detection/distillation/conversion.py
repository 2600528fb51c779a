"""The student alone, out of a checkpoint that holds what trained with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from detection.checkpoints import read_checkpoint, read_saved
from scenes import InputError

_STUDENT = "student."


def student_weights(path: Path | str) -> dict[str, Tensor]:
    """The student's weights under the names of an ordinary detector.

    A published checkpoint may also hold the teacher, layers of losses and feature maps of its last forward pass: they
    are left out, as are optimizer and schedule.

    Args:
        path: a checkpoint of a distillation, of this project or of HarmoDistill-BEV.

    Raises:
        InputError: the file cannot be read, or holds no student.
    """
    content = read_saved(path)
    saved = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    if not any(str(name).removeprefix("module.").startswith(_STUDENT) for name in saved):
        raise InputError(f"{path}: holds no student; its names would begin with '{_STUDENT}'")
    return read_checkpoint(path)
