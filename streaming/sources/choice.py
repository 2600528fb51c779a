"""`open_source`: what a path on the command line plays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from scenes import InputError, read_scenes
from scenes.conversion.folder import CALIBRATION
from streaming.events import Source
from streaming.journal import Journal
from streaming.sources.bag import BagSource
from streaming.sources.cameras import CameraSource
from streaming.sources.data_root import DataRootSource
from streaming.sources.recording import RecordingSource

_BAGS: Final = (".bag", ".mcap", ".db3")
_CALIBRATIONS: Final = (".yaml", ".yml")


def open_source(path: Path, journal: Journal, version: str | None = None, split: str | None = None) -> Source:
    """What is played: a data root, a folder with a calibration, a bag, or the cameras of a calibration file.

    Args:
        path: of it.
        journal: told of what is wrong while it plays.
        version, split: of a data root.

    Raises:
        InputError: no such path, none of these, or it cannot be used.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix.lower() in _CALIBRATIONS:
        return CameraSource.open(path, journal)
    if path.suffix.lower() in _BAGS or (path / "metadata.yaml").is_file():
        return BagSource.open(path, journal)
    if path.is_dir() and ((path / CALIBRATION).is_file() or any(path.glob(f"*/{CALIBRATION}"))):
        return RecordingSource.open(path)
    if not path.is_dir() or not any(path.glob("*/scene.json")):
        raise InputError(
            f"{path}: neither a data root, a folder with {CALIBRATION}, a bag ({', '.join(_BAGS)}), "
            f"nor a calibration file of cameras ({_CALIBRATIONS[0]})"
        )
    if version is None or split is None:
        raise InputError(f"{path}: a data root; say its --version and --split")
    scenes = read_scenes(path, version, split, annotations=False)
    if not scenes:
        raise InputError(f"{path}: no scenes in split {split}")
    return DataRootSource(str(path), scenes)
