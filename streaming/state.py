"""What a run remembers, in one file that is written whole or not at all: arrays alone, so that nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes import InputError
from scenes.files import atomic_path

_VERSION: Final = 1
_TRACKER: Final = "tracker."
_MEMORY: Final = "memory."


@dataclass(frozen=True, eq=False)
class LiveState:
    """Where a run is after a step.

    Attributes:
        scene, token: of the step.
        numbered, highest: identities that were taken before this scene, and until now.
        tracker: `Tracker.state()`.
        memory: `Detector.state()` after the same step.
    """

    scene: str
    token: str
    numbered: int
    highest: int
    tracker: Mapping[str, NDArray[Any]]
    memory: Mapping[str, NDArray[Any]]


def write_state(path: Path, state: LiveState) -> None:
    """Write a state.

    Raises:
        OSError: it cannot be written; the file is what it was.
    """
    arrays: dict[str, Any] = {
        "version": np.array(_VERSION),
        "scene": np.array(state.scene),
        "token": np.array(state.token),
        "numbered": np.array(state.numbered),
        "highest": np.array(state.highest),
        **{_TRACKER + name: array for name, array in state.tracker.items()},
        **{_MEMORY + name: array for name, array in state.memory.items()},
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_state(path: Path) -> LiveState:
    """Read a state.

    Raises:
        InputError: no state, a broken one, or one of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: no state of a live run: {reason}") from None
    missing = [name for name in ("version", "scene", "token", "numbered", "highest") if name not in arrays]
    if missing or int(arrays["version"]) != _VERSION:
        what = f"lacks '{missing[0]}'" if missing else f"is of version {arrays['version']}, this one reads {_VERSION}"
        raise InputError(f"{path}: no state of a live run that can be read: it {what}")
    return LiveState(
        str(arrays["scene"]),
        str(arrays["token"]),
        int(arrays["numbered"]),
        int(arrays["highest"]),
        _part(arrays, _TRACKER),
        _part(arrays, _MEMORY),
    )


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
