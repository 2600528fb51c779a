"""The rows of nuScenes tables, with the columns that the project needs, and how a table is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec

from scenes.errors import InputError, shown

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

_FARTHEST = 1e9
_Number = Annotated[float, msgspec.Meta(ge=-_FARTHEST, le=_FARTHEST)]
"""Metres, pixels, or parts of a quaternion: far beyond what can be, and far below what overflows."""
_Length = Annotated[float, msgspec.Meta(gt=0, le=_FARTHEST)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
TimestampUs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Microseconds since 1970, as many as a float holds exactly: until the year 2255."""

Vector = tuple[_Number, _Number, _Number]
Quaternion = tuple[_Number, _Number, _Number, _Number]
Size = tuple[_Length, _Length, _Length]


class Row(msgspec.Struct, gc=False):
    token: _Name


class SceneRow(Row):
    name: _Name
    log_token: str
    first_sample_token: str
    description: str = ""


class LogRow(Row):
    location: str = ""


class SampleRow(Row):
    timestamp: TimestampUs
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
    timestamp: TimestampUs
    is_key_frame: bool
    filename: str
    height: _Count | None = None
    width: _Count | None = None


class NamedRow(Row):
    name: str


class InstanceRow(Row):
    category_token: str


class AnnotationRow(Row):
    sample_token: str
    instance_token: str
    attribute_tokens: list[str]
    translation: Vector
    size: Size
    rotation: Quaternion
    prev: str
    next: str
    num_lidar_pts: _Count
    num_radar_pts: _Count
    visibility_token: Literal["", "0", "1", "2", "3", "4"] | None = None


RowT = TypeVar("RowT", bound=Row)


class Table(dict[str, RowT]):
    """Rows by token. A token that is not there is reported with the row that pointed to it.

    Raises:
        InputError: a token is there twice.
    """

    def __init__(self, path: Path, rows: Iterable[RowT]) -> None:
        listed = list(rows)
        super().__init__((row.token, row) for row in listed)
        self.path = path
        if len(self) != len(listed):
            twice = next(row for row in listed if self[row.token] is not row)
            raise self.error(twice, "is there twice")

    def at(self, token: str, referrer: str) -> RowT:
        try:
            return self[token]
        except KeyError:
            raise InputError(f"{self.path}: no row {shown(token)}, to which {referrer} points") from None

    def error(self, row: RowT, what: str, key: str | None = None) -> InputError:
        """What is wrong with a row, or with what it has under a key."""
        return InputError(f"{self.path}: row {shown(row.token)}{f', key {key}: ' if key else ' '}{what}")


_CHUNK_ROWS = 20_000


def read_table(path: Path, row: type[RowT], keep: Callable[[RowT], bool] | None = None) -> Table[RowT]:
    """Read a table.

    Args:
        path: the table's file.
        row: its rows' type.
        keep: which rows to keep. Of a large table only those stay in memory.

    Raises:
        InputError: the table is missing, a row lacks a column or holds something else in it, or a token is there twice.
    """
    return decode_table(path, read_rows(path, path.read_bytes), row, keep)


def read_rows(path: Path, read: Callable[[], bytes]) -> bytes:
    """What `read` gives of a table's file.

    Raises:
        InputError: it is missing, or cannot be read.
    """
    try:
        return read()
    except FileNotFoundError:
        raise InputError(f"{path}: the table is missing") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def decode_table(
    path: Path, content: bytes, row: type[RowT], keep: Callable[[RowT], bool] | None = None
) -> Table[RowT]:
    """The table of a list of rows, which may be some of those of `path`; otherwise as `read_table`."""
    try:
        if keep is None:
            return Table(path, msgspec.json.decode(content, type=list[row]))  # type: ignore[valid-type]
        return Table(path, _kept_rows(content, row, keep))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: {_fault(content, row) or error}") from error


def recorded_path(dataroot: Path, table: Table[SampleDataRow], row: SampleDataRow) -> Path:
    """Where the file of a recording lies; it may be missing.

    Raises:
        InputError: not below the data root: tables are passed from hand to hand, and name no other files.
    """
    name = row.filename
    if name.startswith("/") or "\0" in name or (".." in name and ".." in PurePosixPath(name).parts):
        raise table.error(row, f"{shown(name)} is no path below the data root", "filename")
    return dataroot / name


class RowFault(NamedTuple):
    """Why a row cannot be used: what stands as its token, the key, "" for the row as a whole, and what is wrong."""

    token: Any
    key: str
    what: str


def row_fault(raw: msgspec.Raw, row: type[Row]) -> RowFault | None:
    """What keeps a row that is not decoded yet from being one of a type; None where nothing does."""
    try:
        msgspec.json.decode(raw, type=row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what, _, key = str(error).partition(" - at `$.")
        return RowFault(_token(raw), key[:-1], what)
    return None


def _fault(content: bytes, row: type[Row]) -> str | None:
    """Which row cannot be used and why, by its token; None where the content is no list of rows at all."""
    try:
        undecoded = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    faults = ((index, row_fault(raw, row)) for index, raw in enumerate(undecoded))
    found = next(((index, fault) for index, fault in faults if fault), None)
    if found is None:
        return None
    index, fault = found
    return (
        f"row {shown(fault.token) if fault.token else index}{f', key {fault.key}' if fault.key else ''}: {fault.what}"
    )


def _token(raw: msgspec.Raw) -> Any:
    try:
        row: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return (row["token"] or None) if isinstance(row, dict) and "token" in row else None


def _kept_rows(content: bytes, row: type[RowT], keep: Callable[[RowT], bool]) -> list[RowT]:
    """Decode chunk by chunk: one call a row takes three times as long, one call for all needs all in memory."""
    decoder: msgspec.json.Decoder[list[RowT]] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
    undecoded = iter(msgspec.json.decode(content, type=list[msgspec.Raw]))
    kept: list[RowT] = []
    while chunk := list(islice(undecoded, _CHUNK_ROWS)):
        kept += filter(keep, decoder.decode(b"[" + b",".join(chunk) + b"]"))
    return kept
