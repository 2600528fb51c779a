"""`Record`: what a part of the check has found so far."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scenes.files import write_atomically

Cell = str | int | float | None


class SkippedError(Exception):
    """A machine cannot do a part; the message says why."""


@dataclass(frozen=True)
class Check:
    """Something that has to hold.

    Attributes:
        name: of the check.
        passed: whether it holds.
        detail: numbers.
    """

    name: str
    passed: bool
    detail: str = ""


@dataclass
class Findings:
    """What a part has found.

    Attributes:
        rows: of its table, each by the names of the columns.
        checks: what had to hold.
        notes: sentences.
        skipped: why the part was left out; empty if it was not.
    """

    rows: list[dict[str, Cell]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    @classmethod
    def read(cls, path: Path) -> Findings:
        """What a `Record` has written; nothing where it has not begun."""
        if not path.is_file():
            return cls()
        content = json.loads(path.read_bytes())
        return cls(**{**content, "checks": [Check(**check) for check in content["checks"]]})


class Record:
    """Findings on the disk, complete after every line: a part that is stopped keeps what it has.

    Args:
        path: JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._findings = Findings()

    def row(self, **columns: Cell) -> None:
        """A row of the part's table."""
        self._findings.rows.append(columns)
        self._save()

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """Something that has to hold, and whether it does."""
        self._findings.checks.append(Check(name, passed, detail))
        self._save()

    def note(self, text: str) -> None:
        """A sentence."""
        self._findings.notes.append(text)
        self._save()

    def skip(self, reason: str) -> None:
        """The part is left out, or what is left of it."""
        self._findings.skipped = reason
        self._save()

    def _save(self) -> None:
        content: dict[str, Any] = asdict(self._findings)
        write_atomically(self._path, json.dumps(content).encode())
