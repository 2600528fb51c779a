"""Rows of nuScenes tables that are to be written: tokens, chains, and the tables that are the same everywhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from scenes.table_rows import TABLE_NAMES

Row = dict[str, Any]
Tables = dict[str, list[Row]]

_VISIBILITY_BOUNDS: Final = (0, 40, 60, 80, 100)


def token_of(*name: object) -> str:
    """32 hexadecimal digits that stand for a row: a hash of what it stands for."""
    text = "/".join(str(part) for part in name)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def empty_tables() -> Tables:
    """All tables, without rows."""
    return {name: [] for name in TABLE_NAMES}


def merge_tables(parts: Iterable[Tables]) -> Tables:
    """The rows of all parts, in order."""
    merged: defaultdict[str, list[Row]] = defaultdict(list)
    for part in parts:
        for name, rows in part.items():
            merged[name] += rows
    return {name: merged[name] for name in TABLE_NAMES}


def attribute_rows(seed: object, names: Iterable[str]) -> list[Row]:
    """The attributes of these names."""
    return [{"token": token_of(seed, "attribute", name), "name": name, "description": ""} for name in names]


def visibility_rows() -> list[Row]:
    """nuScenes' four levels of visibility."""
    return [
        {
            "token": str(level),
            "level": f"v{low}-{high}",
            "description": f"visibility of whole object is between {low} and {high}%",
        }
        for level, (low, high) in enumerate(pairwise(_VISIBILITY_BOUNDS), start=1)
    ]


def link_chain(rows: list[Row]) -> None:
    """Set `prev` and `next` of rows that follow one another."""
    for row, before, after in zip(rows, [None, *rows[:-1]], [*rows[1:], None], strict=True):
        row["prev"] = before["token"] if before else ""
        row["next"] = after["token"] if after else ""
