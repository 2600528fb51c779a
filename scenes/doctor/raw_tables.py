"""Reads tables whatever is in them: what the readers refuse becomes a finding, and the other rows go on."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from scenes.doctor.findings import Example, Finding, Severity
from scenes.doctor.rows import STRICT_OF_LOOSE, LooseRow
from scenes.errors import InputError, shown
from scenes.json_text import decode_json
from scenes.table_rows import Row, RowFault, row_fault

_CHUNK_ROWS: Final = 20_000
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

LooseT = TypeVar("LooseT", bound=LooseRow)


class RawTable(dict[str, LooseT], Generic[LooseT]):
    """Rows by token, as far as they can be read.

    Attributes:
        name: of the table.
        findings: what is wrong with its file and with single rows.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.findings: list[Finding] = []


def read_raw_table(
    folder: Path, name: str, loose: type[LooseT], keep: Callable[[LooseT], bool] | None = None
) -> RawTable[LooseT]:
    """Read a table as far as it can be read.

    Args:
        folder: of the tables.
        name: of the table.
        loose: its rows' type.
        keep: which rows to keep; the others are looked at as rows only.
    """
    table: RawTable[LooseT] = RawTable(name)
    try:
        content = (folder / f"{name}.json").read_bytes()
    except OSError as error:
        table.findings.append(_unreadable(name, error))
        return table
    try:
        undecoded: Iterable[msgspec.Raw] = msgspec.json.decode(content, type=list[msgspec.Raw])
        _fill(table, undecoded, loose, keep)
    except _UNDECODABLE:
        _fill_slowly(table, content, loose, keep)
    return table


def _fill(
    table: RawTable[LooseT],
    undecoded: Iterable[msgspec.Raw],
    loose: type[LooseT],
    keep: Callable[[LooseT], bool] | None,
) -> None:
    faults: list[RowFault] = []
    rows = _rows(iter(undecoded), loose, faults)
    _add(table, rows, keep)
    table.findings += _refusals(table.name, faults)


def _rows(undecoded: Iterator[msgspec.Raw], loose: type[LooseT], faults: list[RowFault]) -> Iterator[LooseT]:
    """Rows chunk by chunk: only of a chunk in which the readers refuse something each row is looked at."""
    strict = STRICT_OF_LOOSE[loose]
    while chunk := list(islice(undecoded, _CHUNK_ROWS)):
        content = b"[" + b",".join(chunk) + b"]"
        try:
            msgspec.json.decode(content, type=list[strict])  # type: ignore[valid-type]
            yield from msgspec.json.decode(content, type=list[loose])  # type: ignore[valid-type]
        except _UNDECODABLE:
            for raw in chunk:
                yield from _row(raw, loose, strict, faults)


def _row(raw: msgspec.Raw, loose: type[LooseT], strict: type[Row], faults: list[RowFault]) -> Iterator[LooseT]:
    if fault := row_fault(raw, strict):
        faults.append(fault)
    try:
        yield msgspec.json.decode(raw, type=loose)
    except _UNDECODABLE as error:
        if not fault:  # of a column that only the doctor reads
            faults.append(RowFault(None, "", str(error)))


def _fill_slowly(
    table: RawTable[LooseT], content: bytes, loose: type[LooseT], keep: Callable[[LooseT], bool] | None
) -> None:
    """Of a file that is no JSON to the readers: NaN, which Python writes for it, can be read all the same."""
    try:
        objects = decode_json(content)
    except InputError as error:
        table.findings.append(_broken(table.name, str(error)))
        return
    if not isinstance(objects, list):
        table.findings.append(_broken(table.name, "not a list of rows"))
        return
    unknown = [row for row in objects if not _is_finite(row)]
    if unknown:
        table.findings.append(_not_a_number(table.name, unknown, len(objects)))
    faults: list[RowFault] = []
    rows: list[LooseT] = []
    for row in objects:
        rows += _row_of_object(row, loose, faults)
    _add(table, rows, keep)
    table.findings += _refusals(table.name, faults)


def _row_of_object(row: Any, loose: type[LooseT], faults: list[RowFault]) -> Iterator[LooseT]:
    try:
        if _is_finite(row):
            yield from _row(msgspec.Raw(msgspec.json.encode(row)), loose, STRICT_OF_LOOSE[loose], faults)
        else:
            yield msgspec.convert(row, loose)
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError) as error:
        faults.append(RowFault(None, "", str(error)))


def _add(table: RawTable[LooseT], rows: Iterable[LooseT], keep: Callable[[LooseT], bool] | None) -> None:
    twice: list[str] = []
    for row in rows:
        if row.token and (keep is None or keep(row)):
            if row.token in table:
                twice.append(row.token)
            else:
                table[row.token] = row
    if twice:
        table.findings.append(
            Finding(
                "token-twice",
                Severity.ERROR,
                len(twice),
                len(table) + len(twice),
                f"{table.name}.json has two rows of one token, which the readers refuse",
                Example(twice[0], table.name, "is there twice"),
                "Give each row a token of its own; if drives were merged, put the drive's name into the token.",
            )
        )


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def _unreadable(name: str, error: OSError) -> Finding:
    missing = isinstance(error, FileNotFoundError)
    return Finding(
        "table-missing",
        Severity.ERROR,
        1,
        0,
        f"{name}.json is missing" if missing else f"{name}.json cannot be read: {error.strerror}",
        Example(f"{name}.json", name, "no such file" if missing else str(error.strerror)),
        "Write all tables that docs/own_data.md lists; one without rows is an empty list, [].",
    )


def _broken(name: str, reason: str) -> Finding:
    return Finding(
        "table-broken",
        Severity.ERROR,
        1,
        0,
        f"{name}.json is no list of rows: {reason}",
        Example(f"{name}.json", name, reason),
        "Write the table again with a JSON library, and copy it whole.",
    )


def _not_a_number(name: str, rows: list[Any], of: int) -> Finding:
    token = rows[0].get("token", "") if isinstance(rows[0], dict) else ""
    return Finding(
        "not-a-number",
        Severity.ERROR,
        len(rows),
        of,
        f"{name}.json holds NaN or Infinity, which is no JSON: the readers refuse the whole file",
        Example(str(token), name, shown(rows[0])),
        "Leave out what is not known, or fill it in from its neighbours, before the table is written.",
    )


def _refusals(name: str, faults: list[RowFault]) -> Iterator[Finding]:
    """One finding for each key and reason."""
    alike: defaultdict[tuple[str, str], list[RowFault]] = defaultdict(list)
    for fault in faults:
        alike[fault.key, fault.what].append(fault)
    for (key, what), group in alike.items():
        where = f"{name}.json, key {key}" if key else f"{name}.json"
        yield Finding(
            "row-refused",
            Severity.ERROR,
            len(group),
            0,
            f"{where}: {what}, so that the readers refuse the table",
            Example(str(group[0].token or ""), name, f"{key}: {what}" if key else what),
            "Write these columns as docs/own_data.md and the nuScenes schema describe them.",
        )
