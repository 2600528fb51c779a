"""A scene as one block of bytes, and back: arrays and names, from which its frames are made faster than from tables.

Poses and boxes keep every bit. What a scene repeats is there once: mountings, intrinsics, names of instances.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from scenes.boxes import Boxes3D
from scenes.scene import Annotations, Camera, Frame, Scene
from scenes.taxonomy import Taxonomy

_Item = TypeVar("_Item")


class _Boxes(msgspec.Struct, array_like=True):
    """Boxes of all frames, one after the other; `count` a frame."""

    count: memoryview
    numbers: memoryview
    label: memoryview
    track: memoryview
    tracks: list[str]
    attribute: memoryview
    attributes: list[str]


class _Annotations(msgspec.Struct, array_like=True):
    boxes: _Boxes
    points: memoryview
    visibility: memoryview
    bike_racks: _Boxes


class _Cameras(msgspec.Struct, array_like=True):
    """Cameras of all frames, one after the other; `count` a frame."""

    count: memoryview
    name: memoryview
    names: list[str]
    timestamp_us: memoryview
    filenames: list[str]
    stated_size_px: memoryview
    intrinsic: memoryview
    intrinsics: memoryview
    mounting: memoryview
    mountings: memoryview
    global_from_ego: memoryview


class _Block(msgspec.Struct, array_like=True):
    token: str
    name: str
    description: str
    location: str
    frames: list[str]
    timestamp_us: memoryview
    global_from_ego: memoryview
    lidar: memoryview
    lidar_mountings: memoryview
    cameras: msgspec.Raw
    annotations: msgspec.Raw


_BOX_COLUMNS = {"center_m": 3, "size_wlh_m": 3, "rotation": 4, "velocity_mps": 2, "score": 1}
_ENCODER = msgspec.msgpack.Encoder()
_BLOCK = msgspec.msgpack.Decoder(_Block)
_CAMERAS = msgspec.msgpack.Decoder(_Cameras)
_ANNOTATIONS = msgspec.msgpack.Decoder(_Annotations | None)
_NONE = -1


def encode_scene(scene: Scene, dataroot: Path) -> bytes:
    """The block of a scene whose images lie below `dataroot`."""
    lidar, mountings = _by_identity([frame.ego_from_lidar for frame in scene.frames])
    block = _Block(
        token=scene.token,
        name=scene.name,
        description=scene.description,
        location=scene.location,
        frames=list(scene.sample_tokens),
        timestamp_us=_bytes([frame.timestamp_us for frame in scene.frames], np.int64),
        global_from_ego=_bytes([frame.global_from_ego for frame in scene.frames], np.float64),
        lidar=_bytes(lidar, np.int32),
        lidar_mountings=_bytes(mountings, np.float64),
        cameras=msgspec.Raw(_ENCODER.encode(_encoded_cameras(scene.frames, dataroot))),
        annotations=msgspec.Raw(_ENCODER.encode(_encoded_annotations(scene.frames))),
    )
    return _ENCODER.encode(block)


def decode_scene(block: memoryview, dataroot: Path, taxonomy: Taxonomy, annotations: bool, cameras: bool) -> Scene:
    """The scene of a block, with or without annotations and cameras; with those that its ego poses depend on.

    Raises:
        msgspec.DecodeError, ValueError, IndexError: it is no such block.
    """
    content = _BLOCK.decode(block)
    count = len(content.frames)
    lidar = _array(content.lidar, np.int32).tolist()
    of_frames = _decoded_cameras(content.cameras, dataroot) if cameras or _NONE in lidar else [()] * count
    annotated = _decoded_annotations(content.annotations, count) if annotations else [None] * count
    mountings = list(_array(content.lidar_mountings, np.float64, 4, 4))
    mounting_of = [None if index == _NONE else mountings[index] for index in lidar]
    frames = zip(
        content.frames,
        _array(content.timestamp_us, np.int64).tolist(),
        _array(content.global_from_ego, np.float64, 4, 4),
        mounting_of,
        of_frames,
        annotated,
        strict=True,
    )
    return Scene(
        content.token,
        content.name,
        content.description,
        content.location,
        tuple(Frame(*frame) for frame in frames),
        taxonomy,
    )


def _encoded_cameras(frames: Sequence[Frame], dataroot: Path) -> _Cameras:
    cameras = [camera for frame in frames for camera in frame.cameras]
    name, names = _by_name([camera.name for camera in cameras])
    intrinsic, intrinsics = _by_identity([camera.intrinsic for camera in cameras])
    mounting, mountings = _by_identity([camera.ego_from_camera for camera in cameras])
    root = f"{dataroot}/"
    return _Cameras(
        count=_bytes([len(frame.cameras) for frame in frames], np.int32),
        name=_bytes(name, np.int32),
        names=names,
        timestamp_us=_bytes([camera.timestamp_us for camera in cameras], np.int64),
        filenames=[str(camera.image_path).removeprefix(root) for camera in cameras],
        stated_size_px=_bytes([camera.stated_size_px or (0, 0) for camera in cameras], np.int64),
        intrinsic=_bytes(intrinsic, np.int32),
        intrinsics=_bytes(intrinsics, np.float64),
        mounting=_bytes(mounting, np.int32),
        mountings=_bytes(mountings, np.float64),
        global_from_ego=_bytes([camera.global_from_ego for camera in cameras], np.float64),
    )


def _decoded_cameras(raw: msgspec.Raw, dataroot: Path) -> list[tuple[Camera, ...]]:
    """The cameras of each frame."""
    content = _CAMERAS.decode(raw)
    intrinsics = list(_array(content.intrinsics, np.float64, 3, 3))
    mountings = list(_array(content.mountings, np.float64, 4, 4))
    columns = zip(
        _array(content.name, np.int32).tolist(),
        _array(content.timestamp_us, np.int64).tolist(),
        content.filenames,
        _array(content.stated_size_px, np.int64, 2).tolist(),
        _array(content.intrinsic, np.int32).tolist(),
        _array(content.mounting, np.int32).tolist(),
        _array(content.global_from_ego, np.float64, 4, 4),
        strict=True,
    )
    cameras = [
        Camera(
            content.names[name],
            timestamp_us,
            dataroot / filename,
            (width, height) if width else None,
            intrinsics[intrinsic],
            mountings[mounting],
            global_from_ego,
        )
        for name, timestamp_us, filename, (width, height), intrinsic, mounting, global_from_ego in columns
    ]
    ends = np.cumsum(_array(content.count, np.int32)).tolist()
    return [tuple(cameras[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _encoded_annotations(frames: Sequence[Frame]) -> _Annotations | None:
    given = [frame.annotations for frame in frames]
    annotations = [one for one in given if one is not None]
    if len(annotations) < len(given):
        return None
    points = [np.stack([one.num_lidar_pts, one.num_radar_pts], axis=1) for one in annotations]
    return _Annotations(
        boxes=_encoded_boxes([one.boxes for one in annotations]),
        points=_bytes(_joined(points, (0, 2)), np.int32),
        visibility=_bytes(_joined([one.visibility for one in annotations], (0,)), np.int8),
        bike_racks=_encoded_boxes([one.bike_racks for one in annotations]),
    )


def _decoded_annotations(raw: msgspec.Raw, count: int) -> Sequence[Annotations | None]:
    """The annotations of each frame."""
    content = _ANNOTATIONS.decode(raw)
    if content is None:
        return [None] * count
    boxes = _decoded_boxes(content.boxes)
    lidar, radar = _array(content.points, np.int32, 2).astype(np.int64).T.copy()
    visibility = _array(content.visibility, np.int8).astype(np.int64)
    racks = _decoded_boxes(content.bike_racks)
    ends = np.cumsum([0, *map(len, boxes)]).tolist()
    return [
        Annotations(of_frame, lidar[start:end], radar[start:end], visibility[start:end], of_racks)
        for of_frame, of_racks, start, end in zip(boxes, racks, ends, ends[1:], strict=False)
    ]


def _encoded_boxes(parts: Sequence[Boxes3D]) -> _Boxes:
    track, tracks = _by_name([name for part in parts for name in _names(part.track_id)])
    attribute, attributes = _by_name([name for part in parts for name in _names(part.attribute)])
    numbers = [np.column_stack([getattr(part, name) for name in _BOX_COLUMNS]) for part in parts]
    return _Boxes(
        count=_bytes([len(part) for part in parts], np.int32),
        numbers=_bytes(_joined(numbers, (0, sum(_BOX_COLUMNS.values()))).T, np.float64),
        label=_bytes(_joined([part.label for part in parts], (0,)), np.int32),
        track=_bytes(track, np.int32),
        tracks=tracks,
        attribute=_bytes(attribute, np.int32),
        attributes=attributes,
    )


def _decoded_boxes(content: _Boxes) -> list[Boxes3D]:
    """The boxes of each frame."""
    count = _array(content.count, np.int32)
    total = int(count.sum())
    numbers = _array(content.numbers, np.float64).reshape(sum(_BOX_COLUMNS.values()), total)
    ends = np.cumsum(list(_BOX_COLUMNS.values()))[:-1]
    columns = dict(zip(_BOX_COLUMNS, (np.ascontiguousarray(part.T) for part in np.split(numbers, ends)), strict=True))
    boxes = Boxes3D(
        **columns | {"score": columns["score"][:, 0]},
        label=_array(content.label, np.int32).astype(np.int64),
        track_id=np.array(content.tracks, dtype=np.str_)[_array(content.track, np.int32)],
        attribute=np.array(content.attributes, dtype=np.str_)[_array(content.attribute, np.int32)],
    )
    if not total:
        return [boxes] * len(count)
    stops = np.cumsum(count).tolist()
    return [boxes.select(slice(start, stop)) for start, stop in zip([0, *stops], stops, strict=False)]


def _names(column: NDArray[np.str_] | None) -> list[str]:
    assert column is not None  # annotations have both
    names: list[str] = column.tolist()
    return names


def _numbered(items: Sequence[_Item | None], keys: Sequence[Hashable]) -> tuple[list[int], list[_Item]]:
    """Items that repeat as numbers of the different ones, by their keys, `_NONE` for None."""
    different = {key: item for key, item in zip(keys, items, strict=True) if item is not None}
    number_of = {key: number for number, key in enumerate(different)}
    return [number_of.get(key, _NONE) for key in keys], list(different.values())


def _by_identity(items: Sequence[_Item | None]) -> tuple[list[int], list[_Item]]:
    return _numbered(items, list(map(id, items)))


def _by_name(names: Sequence[str]) -> tuple[list[int], list[str]]:
    return _numbered(names, names)


def _joined(parts: Sequence[NDArray[Any]], shape_of_none: tuple[int, ...]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(shape_of_none)


def _bytes(values: Any, dtype: DTypeLike) -> memoryview:
    return memoryview(np.asarray(values, dtype=dtype).tobytes())


def _array(content: memoryview, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
    """A copy, which has its place in memory and can be written to."""
    flat = np.frombuffer(content, dtype=dtype).copy()
    return flat.reshape(-1, *shape) if shape else flat
