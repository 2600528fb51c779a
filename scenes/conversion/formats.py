"""The formats that can be converted, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from scenes.conversion.drive import Source
from scenes.errors import InputError
from scenes.taxonomy import NUSCENES, Taxonomy

_SOURCES: Final = {
    "kitti": ("scenes.conversion.kitti", "KittiSource"),
    "folder": ("scenes.conversion.folder", "FolderSource"),
    "pandaset": ("scenes.conversion.pandaset", "PandasetSource"),
    "ddad": ("scenes.conversion.ddad", "DdadSource"),
    "nuscenes-schema": ("scenes.conversion.nuscenes_schema", "NuscenesSchemaSource"),
    "rosbag": ("scenes.conversion.rosbag", "RosbagSource"),
    "mcap": ("scenes.conversion.rosbag", "RosbagSource"),
    "argoverse2": ("scenes.conversion.argoverse2", "Argoverse2Source"),
    "py123d": ("scenes.conversion.py123d_logs", "Py123dSource"),
}
"""Module and class; imported when they are asked for, since some need extras."""

FORMATS: Final = tuple(_SOURCES)


def open_source(format_: str, path: Path, taxonomy: Taxonomy = NUSCENES) -> Source:
    """The source in a folder.

    Args:
        format_: one of `FORMATS`.
        path: the folder, or the file of a format of one file.
        taxonomy: the classes that the data root will have.

    Raises:
        InputError: there is no such folder.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    module, name = _SOURCES[format_]
    make: Callable[..., Source] = getattr(import_module(module), name)
    return make(path, taxonomy=taxonomy)
