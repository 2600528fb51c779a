"""The rows of nuScenes tables, with the columns that the project needs, and how a table is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from scenes.errors import InputError

TABLE_NAMES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
"""The tables of a data root that nuscenes-devkit's `NuScenes` loads, as the stems of their files."""

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Row(msgspec.Struct, gc=False):
    token: str


class SceneRow(Row):
    name: str
    log_token: str
    first_sample_token: str
    description: str = ""


class LogRow(Row):
    location: str = ""


class SampleRow(Row):
    timestamp: int
    next: str
    scene_token: str


class SensorRow(Row):
    channel: str
    modality: str


class CalibrationRow(Row):
    sensor_token: str
    translation: Vector
    rotation: Quaternion
    camera_intrinsic: list[Vector]


class PoseRow(Row):
    translation: Vector
    rotation: Quaternion


class SampleDataRow(Row):
    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    timestamp: int
    is_key_frame: bool
    filename: str
    height: int | None = None
    width: int | None = None


class NamedRow(Row):
    name: str


class InstanceRow(Row):
    category_token: str


class AnnotationRow(Row):
    sample_token: str
    instance_token: str
    attribute_tokens: list[str]
    translation: Vector
    size: Vector
    rotation: Quaternion
    prev: str
    next: str
    num_lidar_pts: int
    num_radar_pts: int
    visibility_token: str | None = None


RowT = TypeVar("RowT", bound=Row)


class Table(dict[str, RowT]):
    """Rows by token. A token that is not there is reported with the row that pointed to it."""

    def __init__(self, path: Path, rows: Iterable[RowT]) -> None:
        super().__init__((row.token, row) for row in rows)
        self.path = path

    def at(self, token: str, referrer: str) -> RowT:
        try:
            return self[token]
        except KeyError:
            raise InputError(f"{self.path}: no row '{token}', to which {referrer} points") from None


_CHUNK_ROWS = 20_000


def read_table(path: Path, row: type[RowT], keep: Callable[[RowT], bool] | None = None) -> Table[RowT]:
    """Read a table.

    Args:
        path: the table's file.
        row: its rows' type.
        keep: which rows to keep. Of a large table only those stay in memory.

    Raises:
        InputError: the table is missing, or a row lacks a column or holds something else in it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: the table is missing") from None
    try:
        if keep is None:
            return Table(path, msgspec.json.decode(content, type=list[row]))  # type: ignore[valid-type]
        return Table(path, _kept_rows(content, row, keep))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def _kept_rows(content: bytes, row: type[RowT], keep: Callable[[RowT], bool]) -> list[RowT]:
    """Decode chunk by chunk: one call a row takes three times as long, one call for all needs all in memory."""
    decoder: msgspec.json.Decoder[list[RowT]] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
    undecoded = iter(msgspec.json.decode(content, type=list[msgspec.Raw]))
    kept: list[RowT] = []
    while chunk := list(islice(undecoded, _CHUNK_ROWS)):
        kept += filter(keep, decoder.decode(b"[" + b",".join(chunk) + b"]"))
    return kept
