"""Reads the columns of feather and Parquet files; needs the extra `argoverse2` (pyarrow)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError

Columns = dict[str, NDArray[Any]]


def read_columns(path: Path, numbers: Sequence[str], texts: Sequence[str] = ()) -> Columns:
    """Columns of a feather file.

    Args:
        path: the file. numbers: columns of finite numbers. texts: columns of text.

    Raises:
        InputError: the file is missing or cut off, lacks a column, or holds something else in one; the message names
            file, row and column.
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow
    from pyarrow import feather

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        table = feather.read_table(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no feather file, or cut off ({reason})") from None
    wanted = (*numbers, *texts)
    if missing := [name for name in wanted if name not in table.column_names]:
        raise InputError(f"{path}: no column {missing[0]} (it has {', '.join(table.column_names)})")
    try:
        columns = {name: table.column(name).to_numpy() for name in wanted}
    except (pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"{path}: a column that cannot be read ({error})") from None
    for name in numbers:
        columns[name] = _numbers(columns[name], f"{path}, column {name}")
    for name in texts:
        if wrong := [row for row, value in enumerate(columns[name].tolist()) if not isinstance(value, str)]:
            raise InputError(f"{path}, row {wrong[0]}, column {name}: no text")
        columns[name] = columns[name].astype(np.str_)
    return columns


def _numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.dtype.kind not in "iuf":
        raise InputError(f"{where}: no numbers")
    if not np.isfinite(values).all():
        raise InputError(f"{where}, row {int(np.argmin(np.isfinite(values)))}: no finite number")
    return values


def write_feather(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns as a feather file.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow
    from pyarrow import feather

    feather.write_feather(pyarrow.table(dict(columns)), str(path), compression="zstd")


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns as a Parquet file.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(dict(columns)), str(path))
