"""Reads text files of the sources: lines of fields, with the place of whatever is wrong in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenes.errors import InputError, shown, unknown_name
from scenes.json_text import LARGEST_NUMBER


@dataclass(frozen=True)
class Line:
    """A line that is not empty.

    Attributes:
        path: its file. number: from 1.
        fields: what stands between the separators.
    """

    path: Path
    number: int
    fields: Sequence[str]

    @property
    def where(self) -> str:
        return f"{self.path}:{self.number}"

    def expect(self, *counts: int) -> None:
        """Refuse another number of fields.

        Raises:
            InputError: naming the numbers expected.
        """
        if len(self.fields) not in counts:
            expected = " or ".join(map(str, counts))
            raise InputError(f"{self.where}: {len(self.fields)} fields, expected {expected} (is the file cut off?)")

    def number_at(self, index: int, name: str) -> float:
        """The finite number in a field.

        Raises:
            InputError: it is none.
        """
        try:
            value = float(self.fields[index])
        except ValueError:
            raise InputError(f"{self.where}, {name}: {shown(self.fields[index])} is no number") from None
        if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
            raise InputError(f"{self.where}, {name}: {value} is not finite")
        return value

    def integer_at(self, index: int, name: str) -> int:
        """The integer in a field, also written as 3.0.

        Raises:
            InputError: it is none.
        """
        value = self.number_at(index, name)
        if value != round(value) or abs(value) > 2**53:
            raise InputError(f"{self.where}, {name}: {shown(self.fields[index])} is no integer")
        return round(value)

    def numbers(self, first: int, names: Sequence[str]) -> list[float]:
        """The numbers in the fields that begin at `first`, a name each."""
        return [self.number_at(first + offset, name) for offset, name in enumerate(names)]


def read_text(path: Path) -> str:
    """The content of a text file.

    Raises:
        InputError: it is missing, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text at byte {error.start}") from None


def read_lines(path: Path, separator: str | None = None) -> Iterator[Line]:
    """The lines of a file that are not empty.

    Args:
        path: a text file. separator: of the fields; None splits at white space.

    Raises:
        InputError: the file is missing, or no text.
    """
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        if text.strip():
            yield Line(path, number, [field.strip() for field in text.split(separator)])


@dataclass(frozen=True)
class Record:
    """A line of a table whose first line names its columns."""

    line: Line
    column_of: Mapping[str, int]

    @property
    def where(self) -> str:
        return self.line.where

    def text(self, name: str) -> str:
        """What stands in a column; "" where the table does not have it."""
        return self.line.fields[self.column_of[name]] if name in self.column_of else ""

    def number(self, name: str) -> float:
        """The finite number in a column.

        Raises:
            InputError: it is none.
        """
        return self.line.number_at(self.column_of[name], name)


def read_records(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Record]:
    """The lines of a table of values with commas between them, whose first line names the columns.

    Args:
        path: a text file. needed, optional: columns that it must and may have.

    Raises:
        InputError: a column is missing or unknown, or a line has another number of values.
    """
    lines = read_lines(path, ",")
    header = next(lines, None)
    if header is None:
        raise InputError(f"{path}: empty; the first line names the columns {','.join(needed)}")
    if missing := [name for name in needed if name not in header.fields]:
        raise InputError(f"{header.where}: no column {missing[0]}; expected {','.join(needed)}")
    if unknown := [name for name in header.fields if name not in (*needed, *optional)]:
        raise InputError(f"{header.where}: column {unknown_name(unknown[0], [*needed, *optional])}")
    column_of = {name: column for column, name in enumerate(header.fields)}
    for line in lines:
        line.expect(len(header.fields))
        yield Record(line, column_of)
