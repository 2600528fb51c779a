"""Reads, checks and writes detection and tracking result files in the nuScenes submission format.

A file is `{"meta": {...}, "results": {sample_token: [box, ...]}}`. Additional keys of a box are allowed;
`query_id` is the one this project writes and reads: it carries a detector query's identity to the tracker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from mmap import mmap
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from scenes.boxes import NO_QUERY, Boxes3D
from scenes.errors import InputError, shown
from scenes.files import atomic_path
from scenes.geometry import FloatArray
from scenes.jobs.shards import Shards, open_shards
from scenes.json_text import LARGEST_NUMBER, decode_json
from scenes.result_format import (
    DETECTION_FORMAT,
    MAX_BOXES_PER_SAMPLE,
    TRACKING_FORMAT,
    UNIT_TOLERANCE,
    ResultFormat,
    find_fault,
)
from scenes.scene import Scene, taxonomy_of
from scenes.taxonomy import NUSCENES, Taxonomy

CAMERA_META = {
    "use_camera": True,
    "use_lidar": False,
    "use_radar": False,
    "use_map": False,
    "use_external": False,
}

Part = tuple[int, int]
WHOLE: Part = (0, 1)

_SAMPLES_AT_A_TIME = 64

SHARD_KINDS: Final[Mapping[ResultFormat, str]] = {DETECTION_FORMAT: "detections", TRACKING_FORMAT: "tracks"}
"""What a folder of shards in each format says that it holds."""

Buffer = bytes | mmap

_Vector = tuple[float, float, float]
_Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class Results:
    """The content of a result file.

    Attributes:
        boxes: for each sample token, in file order, its boxes in global coordinates. Detections carry
            `attribute`, tracks carry `track_id`; both carry `query_id` if the file names queries.
        meta: which inputs were used, as the format asks.
        taxonomy: the classes that the labels of the boxes mean.
    """

    boxes: Mapping[str, Boxes3D]
    meta: Mapping[str, Any] = field(default_factory=lambda: dict(CAMERA_META))
    taxonomy: Taxonomy = NUSCENES


class _Box(msgspec.Struct, gc=False, kw_only=True):
    sample_token: str
    translation: _Vector
    size: _Vector
    rotation: _Quaternion
    velocity: tuple[float, float]
    query_id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = NO_QUERY


class _DetectionBox(_Box):
    detection_name: str
    detection_score: float
    attribute_name: str


class _TrackingBox(_Box):
    tracking_id: str
    tracking_name: str
    tracking_score: float


class _File(msgspec.Struct):
    meta: dict[str, Any]
    results: dict[str, msgspec.Raw]


_ROWS: dict[ResultFormat, type[_Box]] = {DETECTION_FORMAT: _DetectionBox, TRACKING_FORMAT: _TrackingBox}


def read_detections(path: Path | str, taxonomy: Taxonomy = NUSCENES, part: Part = WHOLE) -> Results:
    """Read and check a detection result file, or a folder of shards (`scenes.jobs.shards`).

    Args:
        path: the file or folder.
        taxonomy: the classes of its data root, see `scenes.read_taxonomy`.
        part: which share of a file's samples, the first of several equal ones being (0, several).

    Raises:
        InputError: the file cannot be read or used; the message names file, sample, box and key.
    """
    return _read(Path(path), DETECTION_FORMAT, taxonomy, part)


def read_tracks(path: Path | str, taxonomy: Taxonomy = NUSCENES, part: Part = WHOLE) -> Results:
    """Read and check a tracking result file, or a folder of shards (`scenes.jobs.shards`).

    Args:
        path: the file or folder.
        taxonomy: the classes of its data root, see `scenes.read_taxonomy`.
        part: which share of a file's samples, the first of several equal ones being (0, several).

    Raises:
        InputError: the file cannot be read or used; the message names file, sample, box and key.
    """
    return _read(Path(path), TRACKING_FORMAT, taxonomy, part)


def hold_tracks(path: Path) -> bool:
    """Whether a result file holds tracks, by the name that it gives the boxes' class; nothing is checked.

    Raises:
        InputError: the file cannot be read.
    """
    if path.is_dir():
        return open_shards(path, *SHARD_KINDS.values()).kind == SHARD_KINDS[TRACKING_FORMAT]
    content = _content(path)
    name_keys = (TRACKING_FORMAT.name_key, DETECTION_FORMAT.name_key)
    tracks, detections = (f'"{key}"'.encode() in content for key in name_keys)
    return tracks and not detections


def write_detections(path: Path | str, results: Results) -> None:
    """Write a detection result file, whole or not at all. Unknown velocities are written as 0."""
    write_samples(path, DETECTION_FORMAT, results.meta, results.boxes.items(), results.taxonomy)


def write_tracks(path: Path | str, results: Results) -> None:
    """Write a tracking result file, whole or not at all. Every box needs a `track_id`."""
    write_samples(path, TRACKING_FORMAT, results.meta, results.boxes.items(), results.taxonomy)


def write_samples(
    path: Path | str,
    format_: ResultFormat,
    meta: Mapping[str, Any],
    samples: Iterable[tuple[str, Boxes3D]],
    taxonomy: Taxonomy,
) -> None:
    """Write a result file sample by sample, whole or not at all; see `write_detections` and `write_tracks`.

    Args:
        path: the file.
        format_: what it holds.
        meta: see `Results`.
        samples: tokens and boxes, of which there may be more than memory holds.
        taxonomy: the classes that the labels mean.
    """
    encoder = msgspec.json.Encoder()
    rows_of = _ROWS_OF[format_]
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(b'{"meta": ' + encoder.encode(dict(meta)) + b', "results": {')
        for index, (token, boxes) in enumerate(samples):
            separator = b", " if index else b""
            file.write(
                separator + encoder.encode(token) + b": " + encoder.encode(rows_of(token, boxes, taxonomy.names))
            )
        file.write(b"}}")


def select_samples(results: Results, wanted: Collection[str], known: Collection[str], path: Path | str) -> Results:
    """The results of the wanted samples, in the order of `wanted`.

    Args:
        results: what `path` held.
        wanted: the sample tokens of a split; each must be in the file.
        known: sample tokens that the file may hold besides, and that are left out. Empty for the devkit's own
            splits: there a file must hold exactly the split's samples.
        path: named in messages.

    Raises:
        InputError: a wanted sample is missing, or the file holds one that is neither wanted nor known.
    """
    check_samples(results.boxes.keys(), wanted, known, path)
    return replace(results, boxes={token: results.boxes[token] for token in wanted})


def check_samples(present: Collection[str], wanted: Collection[str], known: Collection[str], path: Path | str) -> None:
    """Check that the samples of a file are those that are wanted; see `select_samples`."""
    missing = [token for token in wanted if token not in present]
    if missing:
        raise InputError(
            f"{path}: sample '{missing[0]}' of the split is missing ({len(missing)} of {len(wanted)} are); "
            "a sample without boxes is written as an empty list"
        )
    allowed = {*wanted, *known}
    foreign = [token for token in present if token not in allowed]
    if foreign:
        raise InputError(f"{path}: sample '{foreign[0]}' does not belong to the split ({len(foreign)} do not)")


def shared_taxonomy(results: Results, scenes: Sequence[Scene]) -> Taxonomy:
    """The classes of results and of the scenes that they are for.

    Raises:
        InputError: the labels of the results mean other classes than those of the scenes.
    """
    taxonomy = taxonomy_of(scenes) if scenes else results.taxonomy
    if results.taxonomy != taxonomy:
        raise InputError(
            f"results with the classes of {results.taxonomy}, for scenes with those of {taxonomy}; "
            "give the scenes' taxonomy where results are read or made"
        )
    return taxonomy


def _read(path: Path, format_: ResultFormat, taxonomy: Taxonomy, part: Part) -> Results:
    if not path.is_dir():
        return decode_results(_content(path), path, format_, taxonomy, part)
    if part != WHOLE:
        raise ValueError(f"{path}: a folder of shards is read as a whole")
    shards = open_shards(path, SHARD_KINDS[format_])
    boxes: dict[str, Boxes3D] = {}
    for token, of_sample in shard_samples(shards, format_, taxonomy):
        if token in boxes:
            raise InputError(f"{path}: sample {shown(token)} stands in two shards")
        boxes[token] = of_sample
    return Results(boxes, shards_meta(shards), taxonomy)


def shard_samples(shards: Shards, format_: ResultFormat, taxonomy: Taxonomy) -> Iterator[tuple[str, Boxes3D]]:
    """The samples of all shards, in order; one shard at a time is in memory.

    In a shard identities of tracks count from 1, so that it depends on no other; here they are unique over all.

    Raises:
        InputError: a shard is missing or cannot be used.
    """
    offset = 0
    for path in shards.paths():
        of_scene = decode_results(_content(path), path, format_, taxonomy)
        highest = 0
        for token, boxes in of_scene.boxes.items():
            if boxes.track_id is not None and len(boxes):
                try:
                    numbers = boxes.track_id.astype(np.int64)
                except ValueError as error:
                    raise InputError(f"{path}: sample '{token}': a tracking_id of a shard is no number") from error
                highest = max(highest, int(numbers.max()))
                boxes = boxes.replace(track_id=(numbers + offset).astype(np.str_))
            yield token, boxes
        offset += highest


def shards_meta(shards: Shards) -> dict[str, Any]:
    """The `meta` of the first shard, which is that of all."""
    first = next(shards.paths(), None)
    return dict(CAMERA_META) if first is None else sample_spans(_content(first), first)[0]


def decode_results(
    content: Buffer, path: Path, format_: ResultFormat, taxonomy: Taxonomy, part: Part = WHOLE
) -> Results:
    """The results that a file holds.

    Args:
        content: of the file, or of a part of it that is one in itself.
        path: named in messages.
        format_: what it has to hold.
        taxonomy, part: see `read_detections`.

    Raises:
        InputError: the content cannot be used; the message names file, sample, box and key.
    """
    number, count = part
    try:
        file = msgspec.json.decode(content, type=_File)
        decode_json(_without_boxes(content, file.results))
        begin, end = (len(file.results) * edge // count for edge in (number, number + 1))
        boxes = _decode_boxes(dict(islice(file.results.items(), begin, end)), format_, taxonomy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InputError, _UnusableError) as error:
        # The fast path only knows that something is wrong. Look again, slowly, for a person to mend it.
        raise InputError(f"{path}: {find_fault(bytes(content), format_, taxonomy) or error}") from error
    return Results(boxes, file.meta, taxonomy)


def sample_spans(content: Buffer, path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Where the boxes of each sample stand in a result file, which may be mapped into memory; they are not looked at.

    Returns:
        the file's `meta`; by sample token where the list of its boxes begins, and its length, bytes.

    Raises:
        InputError: it is no result file.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
        start = _address(content)
        spans = {token: (_address(raw) - start, memoryview(raw).nbytes) for token, raw in file.results.items()}
        decode_json(_without_boxes(content, file.results))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InputError) as error:
        raise InputError(f"{path}: {error}") from error
    return file.meta, spans


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _without_boxes(content: Buffer, samples: Mapping[str, msgspec.Raw]) -> bytes:
    """The file with a number for the boxes of each sample that was decoded.

    Of a sample that is there twice the decoder keeps the last and says nothing. What it kept are views of `content`;
    what is left is short, and `decode_json` finds a repeated key in it.
    """
    start = _address(content)
    spans = sorted((_address(raw) - start, memoryview(raw).nbytes) for raw in samples.values())
    begins = [0, *(place + size for place, size in spans)]
    ends = [*(place for place, _ in spans), len(content)]
    viewed = memoryview(content)
    return b"0".join(viewed[begin:end] for begin, end in zip(begins, ends, strict=True))


def _address(view: Any) -> int:
    """Where the bytes of a view lie in memory."""
    return int(np.frombuffer(view, dtype=np.uint8).__array_interface__["data"][0])


def _decode_boxes(samples: Mapping[str, msgspec.Raw], format_: ResultFormat, taxonomy: Taxonomy) -> dict[str, Boxes3D]:
    """The boxes of each sample, decoded and checked many samples at a time: numpy's work does not count for few."""
    decoder: msgspec.json.Decoder[list[_Box]] = msgspec.json.Decoder(list[_ROWS[format_]])  # type: ignore[valid-type]
    decoded: dict[str, Boxes3D] = {}
    remaining = iter(samples.items())
    while chunk := {token: decoder.decode(raw) for token, raw in islice(remaining, _SAMPLES_AT_A_TIME)}:
        boxes = _checked_boxes(chunk, format_, taxonomy)
        end = 0
        for token, rows in chunk.items():
            start, end = end, end + len(rows)
            decoded[token] = _without_empty_queries(boxes.select(slice(start, end)))
    return decoded


class _UnusableError(ValueError):
    """A sample's boxes cannot be used; `find_fault` says which and why."""


def _checked_boxes(samples: Mapping[str, Sequence[_Box]], format_: ResultFormat, taxonomy: Taxonomy) -> Boxes3D:
    """The boxes of several samples, one after the other."""
    if any(len(rows) > MAX_BOXES_PER_SAMPLE for rows in samples.values()):
        raise _UnusableError("too many boxes")
    try:
        boxes = _boxes_from_rows([row for rows in samples.values() for row in rows], format_, taxonomy)
    except KeyError as error:
        raise _UnusableError("an unknown class") from error
    numbers = np.column_stack([boxes.center_m, boxes.size_wlh_m, boxes.rotation, boxes.velocity_mps, boxes.score])
    usable = (
        (np.abs(numbers) < LARGEST_NUMBER).all()
        and (boxes.size_wlh_m > 0).all()
        and (np.abs(np.linalg.norm(boxes.rotation, axis=1) - 1) < UNIT_TOLERANCE).all()
        and all(row.sample_token == token for token, rows in samples.items() for row in rows)
        and (boxes.attribute is None or {"", *taxonomy.attributes}.issuperset(boxes.attribute.tolist()))
        and (format_ == DETECTION_FORMAT or taxonomy.tracked_labels.issuperset(boxes.label.tolist()))
    )
    if not usable:
        raise _UnusableError("unusable boxes")
    return boxes


def _boxes_from_rows(rows: Sequence[_Box], format_: ResultFormat, taxonomy: Taxonomy) -> Boxes3D:
    def vectors(name: str, width: int) -> FloatArray:
        values = chain.from_iterable(map(attrgetter(name), rows))
        return np.fromiter(values, dtype=np.float64, count=len(rows) * width).reshape(-1, width)

    def column(name: str) -> Any:  # `Boxes3D` makes an array of it
        return list(map(attrgetter(name), rows))

    tracks, label_of = format_ == TRACKING_FORMAT, taxonomy.label_of
    return Boxes3D(
        center_m=vectors("translation", 3),
        size_wlh_m=vectors("size", 3),
        rotation=vectors("rotation", 4),
        velocity_mps=vectors("velocity", 2),
        label=np.array([label_of[name] for name in column(format_.name_key)], dtype=np.int64),
        score=column(format_.score_key),
        query_id=column("query_id"),
        track_id=column("tracking_id") if tracks else None,
        attribute=None if tracks else column("attribute_name"),
    )


def _without_empty_queries(boxes: Boxes3D) -> Boxes3D:
    """Boxes of a sample in which no query is named have no `query_id`."""
    named = boxes.query_id is not None and (boxes.query_id != NO_QUERY).any()
    return boxes if named else boxes.replace(query_id=None)


def _common_rows(token: str, boxes: Boxes3D) -> list[dict[str, Any]]:
    columns = zip(
        boxes.center_m.tolist(),
        boxes.size_wlh_m.tolist(),
        boxes.rotation.tolist(),
        np.nan_to_num(boxes.velocity_mps, nan=0.0).tolist(),
        strict=True,
    )
    rows: list[dict[str, Any]] = [
        {"sample_token": token, "translation": center, "size": size, "rotation": rotation, "velocity": velocity}
        for center, size, rotation, velocity in columns
    ]
    if boxes.query_id is not None:
        for row, query_id in zip(rows, boxes.query_id.tolist(), strict=True):
            row["query_id"] = query_id
    return rows


def _detection_rows(token: str, boxes: Boxes3D, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = _common_rows(token, boxes)
    attributes = [""] * len(boxes) if boxes.attribute is None else boxes.attribute.tolist()
    for row, label, score, attribute in zip(rows, boxes.label.tolist(), boxes.score.tolist(), attributes, strict=True):
        row.update(detection_name=names[label], detection_score=score, attribute_name=attribute)
    return rows


def _tracking_rows(token: str, boxes: Boxes3D, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = _common_rows(token, boxes)
    if boxes.track_id is None and len(boxes):
        raise ValueError(f"sample '{token}': boxes without track_id cannot be written as tracks")
    identities = [] if boxes.track_id is None else boxes.track_id.tolist()
    for row, label, score, identity in zip(rows, boxes.label.tolist(), boxes.score.tolist(), identities, strict=True):
        row.update(tracking_id=identity, tracking_name=names[label], tracking_score=score)
    return rows


_ROWS_OF: Final = {DETECTION_FORMAT: _detection_rows, TRACKING_FORMAT: _tracking_rows}
