"""Info files: what a detector has to know of every frame, in the layout that StreamPETR's and mmdet3d 1.0's converters
write.

A file is the pickle of `{"infos": [one dict a frame], "metadata": {"version": ...}}`. A pickle can run code when it is
read, and info files are passed from hand to hand, so it is read by an unpickler that knows arrays and plain containers
and nothing else.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scenes import InputError
from scenes.files import atomic_path
from scenes.pickled_arrays import ARRAY_FUNCTIONS

Info = dict[str, Any]

CAMERA_ORDER: Final = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_FRONT_LEFT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
)
"""The order in which the published networks see the six cameras of nuScenes."""

CATEGORY_NAMES_2D: Final = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
)
"""What `labels2d` indexes: the published converter numbers the classes of 2D boxes in an order of its own."""

_PICKLE_PROTOCOL: Final = 4
"""The newest that every Python since 3.4 reads: mmdet3d 1.0 lives on 3.8 and older."""

_NEEDED_KEYS: Final = (
    "token",
    "scene_token",
    "timestamp",
    "cams",
    "lidar2ego_rotation",
    "lidar2ego_translation",
    "ego2global_rotation",
    "ego2global_translation",
)
_NEEDED_CAMERA_KEYS: Final = ("data_path", "sensor2lidar_rotation", "sensor2lidar_translation", "cam_intrinsic")


def in_published_order(cameras: Iterable[str]) -> tuple[str, ...]:
    """Names of cameras: the six of nuScenes as the published networks see them, others behind them as they come."""
    rank = {name: index for index, name in enumerate(CAMERA_ORDER)}
    return tuple(sorted(cameras, key=lambda name: rank.get(name, len(rank))))


def write_infos(path: Path, infos: Sequence[Info], metadata: Mapping[str, Any]) -> None:
    """Write an info file, whole or not at all.

    Args:
        path: file to write.
        infos: one dictionary a frame, as `detection.data.create_infos` makes them.
        metadata: such as `{"version": "v1.0-trainval"}`.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pickle.dump({"infos": list(infos), "metadata": dict(metadata)}, file, protocol=_PICKLE_PROTOCOL)


def read_infos(path: Path | str) -> tuple[list[Info], dict[str, Any]]:
    """The frames of an info file and its metadata.

    Files of the published converters are read as well, whichever version of numpy pickled them.

    Raises:
        InputError: no such file, not a pickle, a pickle that refers to anything but arrays and plain containers, or one
            in which frames or their needed keys are missing.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such info file (`streamtrack create_data` makes it from the tables)") from None
    data = _unpickled(path, content)
    if not isinstance(data, dict) or not isinstance(data.get("infos"), list):
        known = isinstance(data, dict) and "data_list" in data
        found = "it is in the newer layout of mmdet3d 1.1" if known else "it holds something else"
        raise InputError(f"{path}: expected a dictionary with the list 'infos'; {found}")
    if not data["infos"]:
        raise InputError(f"{path}: holds no frame")
    for index, info in enumerate(data["infos"]):
        _check(path, index, info)
    metadata = data.get("metadata")
    return data["infos"], dict(metadata) if isinstance(metadata, dict) else {}


def _check(path: Path, index: int, info: Any) -> None:
    if not isinstance(info, dict):
        raise InputError(f"{path}: frame {index} is not a dictionary")
    missing = [key for key in _NEEDED_KEYS if key not in info]
    if missing:
        raise InputError(f"{path}: frame {index}: key '{missing[0]}' is missing")
    if not isinstance(info["cams"], dict) or not info["cams"]:
        raise InputError(f"{path}: frame {index} ('{info['token']}'): no camera")
    for name, camera in info["cams"].items():
        missing = [key for key in _NEEDED_CAMERA_KEYS if key not in camera]
        if missing:
            raise InputError(f"{path}: frame {index} ('{info['token']}'), {name}: key '{missing[0]}' is missing")


def _unpickled(path: Path, content: bytes) -> Any:
    try:
        return _ArrayUnpickler(io.BytesIO(content)).load()
    except _ForeignObjectError as error:
        raise InputError(f"{path}: refers to {error}; only arrays and plain containers are read") from None
    except Exception as error:  # a broken pickle fails in as many ways as there are opcodes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a readable pickle ({reason})") from None


class _ForeignObjectError(Exception):
    """A pickle refers to something that is neither array nor plain container."""


def _bytes_of_text(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, by which protocol 2 (mmcv's) stores bytes: Latin-1 is the one that it needs."""
    if encoding != "latin1":
        raise _ForeignObjectError(f"the codec '{encoding}'")
    return text.encode("latin1")


_ADMITTED: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "tuple"): tuple,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("_codecs", "encode"): _bytes_of_text,
    **ARRAY_FUNCTIONS,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Finds what `_ADMITTED` names and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        # Protocol 2 spells the built-in module as Python 2 did.
        found = _ADMITTED.get((module.replace("__builtin__", "builtins"), name))
        if found is None:
            raise _ForeignObjectError(f"{module}.{name}")
        return found
