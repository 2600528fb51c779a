"""Rows of the nuScenes tables, and the tables that are the same in every city.

Tokens are hashes of the seed and of what a row stands for: the same city has the same tokens.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from scenes.city.catalog import KINDS
from scenes.city.rig import CAMERAS, LIDAR_TRANSLATION_M, CameraMount, lidar_rotation_wxyz
from scenes.classes import ATTRIBUTES
from scenes.table_rows import TABLE_NAMES

Row = dict[str, Any]
Tables = dict[str, list[Row]]

LIDAR_CHANNEL: Final = "LIDAR_TOP"

_VISIBILITY_BOUNDS: Final = (0, 40, 60, 80, 100)


def token_of(seed: int, *name: object) -> str:
    """32 hexadecimal digits that stand for a row."""
    text = "/".join(str(part) for part in (seed, *name))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def empty_tables() -> Tables:
    """All tables, without rows."""
    return {name: [] for name in TABLE_NAMES}


def merge_tables(parts: list[Tables]) -> Tables:
    """The rows of all parts, in order."""
    merged: defaultdict[str, list[Row]] = defaultdict(list)
    for part in parts:
        for name, rows in part.items():
            merged[name] += rows
    return {name: merged[name] for name in TABLE_NAMES}


def vocabulary_tables(seed: int, width_px: int, height_px: int) -> Tables:
    """Categories, attributes, visibility levels, sensors and their mounting."""
    categories = sorted({kind.category for kind in KINDS})
    channels = [(LIDAR_CHANNEL, "lidar"), *((mount.channel, "camera") for mount in CAMERAS)]
    tables = empty_tables()
    tables["category"] = [
        {"token": token_of(seed, "category", name), "name": name, "description": "", "index": index}
        for index, name in enumerate(categories, start=1)
    ]
    tables["attribute"] = [
        {"token": token_of(seed, "attribute", name), "name": name, "description": ""} for name in ATTRIBUTES
    ]
    tables["visibility"] = [
        {
            "token": str(level),
            "level": f"v{low}-{high}",
            "description": f"visibility of whole object is between {low} and {high}%",
        }
        for level, (low, high) in enumerate(pairwise(_VISIBILITY_BOUNDS), start=1)
    ]
    tables["sensor"] = [
        {"token": token_of(seed, "sensor", channel), "channel": channel, "modality": modality}
        for channel, modality in channels
    ]
    lidar = _calibration(seed, LIDAR_CHANNEL, (), LIDAR_TRANSLATION_M, lidar_rotation_wxyz().tolist(), [])
    tables["calibrated_sensor"] = [lidar, *camera_calibrations(seed, CAMERAS, width_px, height_px)]
    return tables


def camera_calibrations(
    seed: int, mounts: Sequence[CameraMount], width_px: int, height_px: int, scene: str | None = None
) -> list[Row]:
    """Rows of calibrated_sensor for cameras: those of every scene, or of the one named."""
    owner = () if scene is None else (scene,)
    return [
        _calibration(
            seed,
            mount.channel,
            owner,
            mount.translation_m,
            mount.rotation_wxyz().tolist(),
            mount.intrinsic(width_px, height_px).tolist(),
        )
        for mount in mounts
    ]


def _calibration(
    seed: int,
    channel: str,
    owner: tuple[str, ...],
    translation_m: tuple[float, float, float],
    rotation: list[float],
    intrinsic: list[Any],
) -> Row:
    return {
        "token": token_of(seed, *owner, "calibrated_sensor", channel),
        "sensor_token": token_of(seed, "sensor", channel),
        "translation": list(translation_m),
        "rotation": rotation,
        "camera_intrinsic": intrinsic,
    }


def link_chain(rows: list[Row]) -> None:
    """Set `prev` and `next` of rows that follow one another."""
    for row, before, after in zip(rows, [None, *rows[:-1]], [*rows[1:], None], strict=True):
        row["prev"] = before["token"] if before else ""
        row["next"] = after["token"] if after else ""
