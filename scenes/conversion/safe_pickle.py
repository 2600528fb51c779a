"""Unpickles arrays, tables and plain containers, and nothing else: a pickle can otherwise run any program.

What pandas, torch and mmdet3d wrote is rebuilt from stand-ins that hold its values; none of these packages is needed,
and nothing of them is called.
"""

from __future__ import annotations

import gzip
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError, shown
from scenes.pickled_arrays import ARRAY_FUNCTIONS

_LARGEST_BYTES: Final = 2**32
"""Of an unpacked file."""


class Held:
    """Stands for an object of a class that is not imported; holds what the pickle says of it.

    Attributes:
        kind: the class, `module.name`.
        arguments: of its making.
        state: as `__setstate__` would get it.
    """

    kind = ""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _held(module: str, name: str) -> type[Held]:
    return type(name, (Held,), {"kind": f"{module}.{name}", "__module__": __name__})


def _frame_index(kind: type[Held], values: Mapping[str, Any]) -> Held:
    """pandas' `_new_Index`."""
    index = kind()
    index.state = dict(values)
    return index


def _block(values: Any, placement: Any, ndim: int) -> Held:
    """pandas' `_unpickle_block`."""
    return _held("pandas", "Block")(values, placement, ndim)


def _tensor(storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> NDArray[Any]:
    """torch's `_rebuild_tensor_v2`, as an array."""
    values = storage[offset:]
    needed = sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1 if all(size) else 0
    if offset < 0 or min((*size, *stride, 0)) < 0 or needed > len(values):
        raise pickle.UnpicklingError("a tensor beyond its storage")
    strides = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values, tuple(size), strides, writeable=False).copy()


def _first(value: Any, *_: Any) -> Any:
    return value


_TORCH_STORAGES: Final = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _StorageReader(pickle.Unpickler):
    """The storages of a tensor that was pickled on its own: torch's old file format, which holds five pickles."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TORCH_STORAGES:
            return _TORCH_STORAGES[name]
        return _find(module, name)

    def persistent_load(self, saved_id: Any) -> Any:
        _, dtype, key, _, count, *_ = saved_id
        return _Storage(key, np.dtype(dtype), int(count))


class _Storage:
    def __init__(self, key: str, dtype: np.dtype[Any], count: int) -> None:
        self.key, self.dtype, self.count = key, dtype, count


def _storage_from_bytes(content: bytes) -> NDArray[Any]:
    """torch's `_load_from_bytes` of one storage: magic number, version, machine, the object, keys, and the values."""
    file = io.BytesIO(content)
    parts = [_StorageReader(file).load() for _ in range(5)]
    storage = parts[3]
    count = int.from_bytes(file.read(8), "little")
    if not isinstance(storage, _Storage) or count != storage.count:
        raise pickle.UnpicklingError("no storage of a tensor")
    values = file.read(count * storage.dtype.itemsize)
    if len(values) < count * storage.dtype.itemsize:
        raise pickle.UnpicklingError("a storage of a tensor is cut off")
    return np.frombuffer(values, dtype=storage.dtype)


_FUNCTIONS: Final[Mapping[tuple[str, str], Any]] = {
    **ARRAY_FUNCTIONS,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): lambda text, encoding: text.encode("latin1") if encoding == "latin1" else text,
    ("pandas.core.indexes.base", "_new_Index"): _frame_index,
    ("pandas._libs.internals", "_unpickle_block"): _block,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch.storage", "_load_from_bytes"): _storage_from_bytes,
}
_HELD: Final = {
    ("pandas.core.frame", "DataFrame"),
    ("pandas", "DataFrame"),
    ("pandas.core.internals.managers", "BlockManager"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas", "Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas", "RangeIndex"),
    ("pandas.core.indexes.numeric", "Int64Index"),
    *(
        (module, name)
        for name in ("LiDARInstance3DBoxes", "CameraInstance3DBoxes", "DepthInstance3DBoxes")
        for stem in ("lidar", "cam", "depth")
        for module in (f"mmdet3d.structures.bbox_3d.{stem}_box3d", f"mmdet3d.core.bbox.structures.{stem}_box3d")
    ),
    ("mmdet3d.structures.bbox_3d.box_3d_mode", "Box3DMode"),
}


def _find(module: str, name: str) -> Any:
    if (module, name) in _FUNCTIONS:
        return _FUNCTIONS[module, name]
    if (module, name) in _HELD:
        return _held(module, name)
    raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no array and no table")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _find(module, name)


def read_pickle(path: Path) -> Any:
    """The content of a pickle, packed by gzip or not.

    Returns:
        plain containers, arrays, and `Held` where an object of pandas or mmdet3d was.

    Raises:
        InputError: the file is missing, cut off or no pickle, or holds anything else; nothing of it is run.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
        return _Unpickler(io.BytesIO(content)).load()
    except gzip.BadGzipFile as error:
        raise InputError(f"{path}: no gzip file ({error})") from None
    except EOFError:
        raise InputError(f"{path}: cut off") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a broken pickle can end in any exception of what it builds
        raise InputError(f"{path}: no pickle that can be used: {error}") from None


def frame_columns(content: Any, path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a pickled pandas DataFrame.

    Args:
        content: what `read_pickle` gave.
        path: for messages.

    Raises:
        InputError: it is no DataFrame, or one of a layout that is not known.
    """
    if (
        not isinstance(content, Held)
        or not content.kind.endswith("DataFrame")
        or not isinstance(content.state, Mapping)
    ):
        raise InputError(f"{path}: holds no table of pandas")
    try:
        manager = content.state.get("_mgr", content.state.get("_data"))
        if isinstance(manager.state, Mapping):
            axes, blocks = manager.state["axes"], manager.state["blocks"]
        elif manager.state is not None:
            layout = manager.state[3]["0.14.1"]
            axes, blocks = layout["axes"], layout["blocks"]
        else:
            blocks, axes = manager.arguments
        names = [str(name) for name in axes[0].state["data"]]
        columns: dict[str, NDArray[Any]] = {}
        for block in blocks:
            values, places = (block["values"], block["mgr_locs"]) if isinstance(block, Mapping) else block.arguments[:2]
            where = range(len(names))[places] if isinstance(places, slice) else np.asarray(places).tolist()
            columns |= {names[place]: np.asarray(row) for place, row in zip(where, np.asarray(values), strict=True)}
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a table of pandas of an unknown layout ({shown(error)})") from None
    lengths = {len(values) for values in columns.values()}
    if set(columns) != set(names) or len(lengths) > 1:
        raise InputError(f"{path}: a table of pandas with columns missing")
    return {name: columns[name] for name in names}
