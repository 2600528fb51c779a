"""Rows of the nuScenes tables, and the tables that are the same in every city.

Tokens are hashes of the seed and of what a row stands for: the same city has the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scenes.city.catalog import KINDS
from scenes.city.sensors.rig import CAMERAS, LIDAR_TRANSLATION_M, CameraMount, lidar_rotation_wxyz
from scenes.classes import ATTRIBUTES
from scenes.new_rows import Row, Tables, attribute_rows, empty_tables, token_of, visibility_rows

LIDAR_CHANNEL: Final = "LIDAR_TOP"


def vocabulary_tables(seed: int, width_px: int, height_px: int) -> Tables:
    """Categories, attributes, visibility levels, sensors and their mounting."""
    categories = sorted({kind.category for kind in KINDS})
    channels = [(LIDAR_CHANNEL, "lidar"), *((mount.channel, "camera") for mount in CAMERAS)]
    tables = empty_tables()
    tables["category"] = [
        {"token": token_of(seed, "category", name), "name": name, "description": "", "index": index}
        for index, name in enumerate(categories, start=1)
    ]
    tables["attribute"] = attribute_rows(seed, ATTRIBUTES)
    tables["visibility"] = visibility_rows()
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
