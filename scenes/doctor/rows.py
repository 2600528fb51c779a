"""Rows as they may stand in somebody's first tables: every column may be missing, and every number be wrong."""

from __future__ import annotations

from math import nan
from typing import Final

import msgspec

from scenes import table_rows

_UNKNOWN: Final = (nan, nan, nan)


class LooseRow(msgspec.Struct, gc=False, kw_only=True):
    token: str = ""


class LooseScene(LooseRow):
    name: str = ""
    log_token: str = ""
    first_sample_token: str = ""
    last_sample_token: str = ""
    nbr_samples: int | None = None


class LooseSample(LooseRow):
    timestamp: float = nan
    prev: str = ""
    next: str = ""
    scene_token: str = ""


class LooseSensor(LooseRow):
    channel: str = ""
    modality: str = ""


class LooseCalibration(LooseRow):
    sensor_token: str = ""
    translation: tuple[float, float, float] = _UNKNOWN
    rotation: tuple[float, float, float, float] = (nan, *_UNKNOWN)
    camera_intrinsic: list[list[float]] = []


class LoosePose(LooseRow):
    timestamp: float = nan
    translation: tuple[float, float, float] = _UNKNOWN
    rotation: tuple[float, float, float, float] = (nan, *_UNKNOWN)


class LooseSampleData(LooseRow):
    sample_token: str = ""
    ego_pose_token: str = ""
    calibrated_sensor_token: str = ""
    timestamp: float = nan
    is_key_frame: bool = False
    filename: str = ""
    height: int | None = None
    width: int | None = None


class LooseLog(LooseRow):
    """The doctor asks a log for nothing but to be there."""


class LooseNamed(LooseRow):
    name: str = ""


class LooseInstance(LooseRow):
    category_token: str = ""
    nbr_annotations: int | None = None


class LooseAnnotation(LooseRow):
    sample_token: str = ""
    instance_token: str = ""
    attribute_tokens: list[str] = []
    translation: tuple[float, float, float] = _UNKNOWN
    size: tuple[float, float, float] = _UNKNOWN
    rotation: tuple[float, float, float, float] = (nan, *_UNKNOWN)
    prev: str = ""
    next: str = ""
    num_lidar_pts: int | None = None
    num_radar_pts: int | None = None


STRICT_OF_LOOSE: Final[dict[type[LooseRow], type[table_rows.Row]]] = {
    LooseScene: table_rows.SceneRow,
    LooseLog: table_rows.LogRow,
    LooseSample: table_rows.SampleRow,
    LooseSensor: table_rows.SensorRow,
    LooseCalibration: table_rows.CalibrationRow,
    LoosePose: table_rows.PoseRow,
    LooseSampleData: table_rows.SampleDataRow,
    LooseNamed: table_rows.NamedRow,
    LooseInstance: table_rows.InstanceRow,
    LooseAnnotation: table_rows.AnnotationRow,
}
"""The rows that the readers ask for."""
