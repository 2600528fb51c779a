"""Reads point clouds of common kinds: .bin, .npy, .pcd."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.conversion.contents import PointArray
from scenes.errors import InputError, shown

SUFFIXES: Final = (".bin", ".npy", ".pcd")
_PCD_TYPES: Final = {("F", 4): "<f4", ("F", 8): "<f8", ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4",
                     ("I", 1): "i1", ("I", 2): "<i2", ("I", 4): "<i4"}  # fmt: skip
_HEADER_BYTES: Final = 4096


def read_point_file(path: Path, fields: int = 5) -> PointArray:
    """The points of a file.

    Args:
        path: .bin (float32 values, `fields` a point, x, y, z first), .npy (an array (P, 3) or wider) or .pcd (ascii or
            binary, not compressed, with fields x, y, z).
        fields: of .bin.

    Raises:
        InputError: the file is missing, cut off, or of another kind.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix == ".pcd":
            values = _read_pcd(path)
        else:
            values = _read_floats(path, fields)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # numpy reads the header of a broken file by Python's tokenizer, which raises its own
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: no points: {reason}") from None
    if values.ndim != 2 or values.shape[1] < 3 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: no array of points with x, y, z: shape {values.shape}, {values.dtype}")
    points = np.zeros((len(values), 5), dtype=np.float32)
    width = min(5, values.shape[1])
    points[:, :width] = values[:, :width]
    return points


def _read_floats(path: Path, fields: int) -> NDArray[Any]:
    size = path.stat().st_size
    if size % (4 * fields):
        raise InputError(f"{path}: {size} bytes are no points of {fields} values (is the file cut off?)")
    return np.fromfile(path, dtype="<f4").reshape(-1, fields)


def _read_pcd(path: Path) -> NDArray[Any]:
    """Columns x, y, z and, where they are there, intensity and ring."""
    content = path.read_bytes()
    start = content.find(b"DATA ", 0, _HEADER_BYTES)
    end = content.find(b"\n", start)
    if start < 0 or end < 0:
        raise ValueError("a .pcd file has a header that ends with DATA")
    header = {
        words[0]: words[1:] for line in content[:end].decode("ascii", "replace").splitlines() if (words := line.split())
    }
    names, count = header.get("FIELDS", []), int(header.get("POINTS", ["0"])[0])
    kinds = list(zip(header.get("TYPE", []), map(int, header.get("SIZE", [])), strict=True))
    repeats = [int(value) for value in header.get("COUNT", ["1"] * len(names))]
    if unknown := [kind for kind in kinds if kind not in _PCD_TYPES]:
        raise ValueError(f"type {shown(unknown[0])}")
    dtype = np.dtype([(name, _PCD_TYPES[kind], repeat) if repeat > 1 else (name, _PCD_TYPES[kind])
                      for name, kind, repeat in zip(names, kinds, repeats, strict=True)])  # fmt: skip
    if missing := [name for name in "xyz" if name not in names]:
        raise ValueError(f"no field {missing[0]}")
    encoding = header["DATA"][0] if header["DATA"] else ""
    table = _pcd_table(content[end + 1 :], dtype, names, count, encoding)
    columns: Sequence[str] = [name for name in ("x", "y", "z", "intensity", "ring") if name in names]
    return np.column_stack([table[name] for name in columns])


def _pcd_table(content: bytes, dtype: np.dtype[Any], names: Sequence[str], count: int, encoding: str) -> Any:
    if encoding == "binary":
        if len(content) < count * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes for {count} points (is the file cut off?)")
        return np.frombuffer(content, dtype=dtype, count=count)
    if encoding == "ascii":
        rows = np.loadtxt(io.BytesIO(content), ndmin=2)
        if rows.shape != (count, len(names)):
            raise ValueError(f"{rows.shape[0]} of {count} points (is the file cut off?)")
        return {name: rows[:, column] for column, name in enumerate(names)}
    raise ValueError(f"DATA {shown(encoding)} is none of ascii, binary")
