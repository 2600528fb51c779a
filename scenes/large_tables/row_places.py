"""Where in the large tables the rows of each scene lie, so that a few scenes cost what a few scenes hold."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scenes.table_rows import CalibrationRow, SampleRow, SceneRow, SensorRow, read_table

if TYPE_CHECKING:
    from scenes.large_tables.row_scan import RowScan

KEY_FRAMES: Final = "sample_data"
"""The recordings of key frames."""
LIDAR_SWEEPS: Final = "sample_data of sweeps"
"""The other recordings of LIDAR_TOP."""
KEY_POSES: Final = "ego_pose"
SWEEP_POSES: Final = "ego_pose of sweeps"
ANNOTATIONS: Final = "sample_annotation"

LARGE_TABLES: Final = ("sample_data", "ego_pose", "sample_annotation")

_IntArray = NDArray[np.int64]
_HashArray = NDArray[np.uint64]
_BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class _Places:
    """The rows of one kind, scene after scene; rows that follow one another in the table are one piece.

    Attributes:
        first: (S + 1,) the pieces of scene s are `first[s]` to `first[s + 1]`.
        start, stop: (P,) the bytes of each.
    """

    first: _IntArray
    start: _IntArray
    stop: _IntArray


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows of scenes lie.

    Attributes:
        number_of_scene: by scene token.
        places: by the kind of rows, such as `KEY_FRAMES`.
    """

    number_of_scene: dict[str, int]
    places: dict[str, _Places]

    def read(self, folder: Path, kinds: Sequence[str], scenes: Sequence[str]) -> bytes:
        """The rows of some scenes, as a table that holds nothing else: those of each scene in the order of the table.

        Args:
            folder: the tables' folder.
            kinds: of rows, all of one table.
            scenes: their tokens.
        """
        pieces = []
        with (folder / f"{table_of(kinds[0])}.json").open("rb", buffering=0) as file:
            for scene in scenes:
                for start, stop in self._pieces(kinds, self.number_of_scene[scene]):
                    file.seek(start)
                    pieces.append(file.read(stop - start))
        return b"[" + b",".join(pieces) + b"]"

    def _pieces(self, kinds: Sequence[str], scene: int) -> list[tuple[int, int]]:
        pieces: list[tuple[int, int]] = []
        for places in (self.places[kind] for kind in kinds):
            which = slice(places.first[scene], places.first[scene + 1])
            pieces += zip(places.start[which].tolist(), places.stop[which].tolist(), strict=True)
        # A pose may be of a key frame and of a sweep.
        return sorted(set(pieces))


def table_of(kind: str) -> str:
    """The table that holds rows of this kind."""
    return kind.split()[0]


def find_row_places(folder: Path) -> RowPlaces | None:
    """Scan the large tables; None where it is not plain to see which rows are whose: then they have to be decoded.

    Raises:
        InputError, OSError: a table is missing or cannot be used.
    """
    number_of_scene = {token: number for number, token in enumerate(read_table(folder / "scene.json", SceneRow))}
    samples = read_table(folder / "sample.json", SampleRow)
    scene_of_sample = np.array([number_of_scene.get(row.scene_token, -1) for row in samples.values()], dtype=np.int64)
    from scenes.large_tables.row_scan import (  # numba takes half a second to import, and is seldom needed
        hashes_of,
        scan_rows,
    )

    true, false, empty = hashes_of(["true", "false", ""])
    lidars = _Lookup(hashes_of(_lidar_calibrations(folder)))
    scene_of = _Lookup(hashes_of(samples), scene_of_sample)

    def recordings() -> tuple[RowScan, bool] | None:
        """The rows of sample_data that are of key frames or lidar sweeps, and whether all rows are plain."""
        plain = True

        def is_wanted(hashes: dict[str, _HashArray]) -> _BoolArray:
            nonlocal plain
            is_key = hashes["is_key_frame"] == true
            plain = plain and bool((is_key | (hashes["is_key_frame"] == false)).all())
            wanted: _BoolArray = is_key | (lidars(hashes["calibrated_sensor_token"]) >= 0)
            return wanted

        keys = ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "is_key_frame")
        data = scan_rows(folder / "sample_data.json", keys, is_wanted)
        return None if data is None else (data, plain and _distinct(data.hashes["token"], empty))

    def poses_and_annotations() -> tuple[RowScan, RowScan, bool] | None:
        """The rows of ego_pose and sample_annotation, and whether the latter are plain."""
        poses = scan_rows(folder / "ego_pose.json", ("token",))
        annotations = _scan_annotations(folder / "sample_annotation.json")
        if poses is None or annotations is None:
            return None
        return poses, annotations, _distinct(annotations.hashes["token"], empty)

    with ThreadPoolExecutor(2) as threads:  # compiled code, reading and sorting let each other go on
        scans = threads.submit(recordings), threads.submit(poses_and_annotations)
        found, others = scans[0].result(), scans[1].result()
    if found is None or others is None:
        return None
    data, plain = found
    poses, annotations, plain_annotations = others
    pose_of_row = _rows_of_tokens(poses.hashes["token"], data.hashes["ego_pose_token"], data.row)
    if not (plain and plain_annotations and scene_of.distinct) or pose_of_row is None:
        return None
    scene_of_row = scene_of(data.hashes["sample_token"])
    is_key = data.hashes["is_key_frame"] == true
    n_scenes = len(number_of_scene)

    def rows_of(which: _BoolArray) -> _Places:
        rows = np.flatnonzero(which & (scene_of_row >= 0))
        return _places(data.row[rows], scene_of_row[rows], data.start[rows], data.stop[rows], n_scenes)

    def poses_of(which: _BoolArray) -> _Places:
        rows = np.flatnonzero(which & (scene_of_row >= 0) & (pose_of_row >= 0))
        # A pose may belong to several recordings, and be needed by several scenes.
        needed = np.unique(scene_of_row[rows] * len(poses.start) + pose_of_row[rows])
        scene, row = np.divmod(needed, max(len(poses.start), 1))
        return _places(row, scene, poses.start[row], poses.stop[row], n_scenes)

    scene_of_annotation = scene_of(annotations.hashes["sample_token"])
    annotated = np.flatnonzero(scene_of_annotation >= 0)
    places = {
        KEY_FRAMES: rows_of(is_key),
        LIDAR_SWEEPS: rows_of(~is_key),
        KEY_POSES: poses_of(is_key),
        SWEEP_POSES: poses_of(~is_key),
        ANNOTATIONS: _places(
            annotated,
            scene_of_annotation[annotated],
            annotations.start[annotated],
            annotations.stop[annotated],
            n_scenes,
        ),
    }
    return RowPlaces(number_of_scene, places)


def _scan_annotations(path: Path) -> RowScan | None:
    """The rows of sample_annotation, which a version without annotations may lack."""
    from scenes.large_tables.row_scan import RowScan, scan_rows

    keys = ("token", "sample_token")
    if path.is_file():
        return scan_rows(path, keys)
    none = np.zeros(0, np.int64)
    return RowScan(none, none, none, {key: np.zeros(0, np.uint64) for key in keys})


class _Content(msgspec.Struct, array_like=True):
    scenes: list[str]
    places: dict[str, tuple[memoryview, memoryview, memoryview]]


def encode_row_places(places: RowPlaces) -> bytes:
    """As bytes."""
    arrays = {
        kind: (memoryview(one.first.tobytes()), memoryview(one.start.tobytes()), memoryview(one.stop.tobytes()))
        for kind, one in places.places.items()
    }
    return msgspec.msgpack.encode(_Content(list(places.number_of_scene), arrays))


def decode_row_places(content: memoryview) -> RowPlaces:
    """What was encoded.

    Raises:
        msgspec.DecodeError, ValueError: it was something else.
    """
    decoded = msgspec.msgpack.decode(content, type=_Content)
    return RowPlaces(
        {token: number for number, token in enumerate(decoded.scenes)},
        {kind: _Places(*(np.frombuffer(part, np.int64) for part in parts)) for kind, parts in decoded.places.items()},
    )


def _lidar_calibrations(folder: Path) -> list[str]:
    sensors = read_table(folder / "sensor.json", SensorRow)
    lidars = {row.token for row in sensors.values() if row.channel == "LIDAR_TOP"}
    calibrations = read_table(folder / "calibrated_sensor.json", CalibrationRow)
    return [row.token for row in calibrations.values() if row.sensor_token in lidars]


class _Lookup:
    """The values of hashes, their numbers if none are given; -1 for a hash that is not there.

    Attributes:
        distinct: whether no hash is there twice.
    """

    def __init__(self, hashes: _HashArray, values: _IntArray | None = None) -> None:
        order = np.argsort(hashes)
        self._hashes, self._values = hashes[order], order if values is None else values[order]
        self.distinct = bool((self._hashes[1:] != self._hashes[:-1]).all())

    def __call__(self, hashes: _HashArray) -> _IntArray:
        if not len(self._hashes):
            return np.full(len(hashes), -1)
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[place] == hashes, self._values[place], -1)


def _rows_of_tokens(tokens: _HashArray, wanted: _HashArray, guess: _IntArray) -> _IntArray | None:
    """The rows that have the wanted tokens (N,), -1 where none has; None if a token is there twice.

    Args:
        guess: (N,) where they are as published: both tables are in one order.
    """
    if len(guess) and guess.max() < len(tokens) and (tokens[guess] == wanted).all():
        return guess
    row_of = _Lookup(tokens)
    return row_of(wanted) if row_of.distinct else None


def _distinct(hashes: _HashArray, empty: int) -> bool:
    """Whether no token is there twice, and none is empty."""
    ordered = np.sort(hashes)
    return bool((ordered[1:] != ordered[:-1]).all() and not (ordered == empty).any())


def _places(rows: _IntArray, scene: _IntArray, start: _IntArray, stop: _IntArray, n_scenes: int) -> _Places:
    """The places of N rows of a table.

    Args:
        rows: (N,) their numbers.
        scene: (N,) the scenes that they belong to.
        start, stop: (N,) their bytes.
        n_scenes: how many scenes there are.
    """
    order = np.argsort(scene, kind="stable")
    rows, scene = rows[order], scene[order]
    parted = (np.diff(rows) != 1) | (np.diff(scene) != 0)
    edge = np.ones(min(len(rows), 1), np.bool_)
    first, last = np.flatnonzero(np.append(edge, parted)), np.flatnonzero(np.append(parted, edge))
    first_piece = np.searchsorted(scene[first], np.arange(n_scenes + 1)).astype(np.int64)
    return _Places(first_piece, start[order][first], stop[order][last])
