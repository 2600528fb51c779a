"""The store of runs: one SQLite file, which any number of processes may add to."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenes import InputError

_APPLICATION: Final = 0x53545231
"""Tells the project's store from other SQLite files (`PRAGMA application_id`)."""
_BUSY_S: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    created TEXT NOT NULL,
    command TEXT NOT NULL,
    name TEXT NOT NULL,
    split TEXT NOT NULL,
    described TEXT NOT NULL
);
CREATE TABLE metrics (
    run INTEGER NOT NULL REFERENCES runs (id),
    scene TEXT NOT NULL,
    class TEXT NOT NULL,
    metric TEXT NOT NULL,
    value REAL NOT NULL
);
CREATE INDEX metrics_of_run ON metrics (run, metric, class, scene);
"""

ALL: Final = ""
"""In place of a scene's or a class's name: of all of them."""


@dataclass(frozen=True)
class Metric:
    """A number of a run.

    Attributes:
        name: such as `amota`, `mean_ap`, `ids`.
        value: never NaN: what is not defined is left out.
        class_, scene: what it is of; `ALL` for all of them.
    """

    name: str
    value: float
    class_: str = ALL
    scene: str = ALL


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        command: `test`, `track`, `evaluate tracking` or `evaluate detection`.
        name: of its results, for people.
        split: the version and the split that it ran on, such as `v1.0-mini mini_val`.
        created: when it ended, ISO 8601, UTC.
        arguments: of its command line.
        config: all settings that the results depend on.
        digests: SHA-256 of inputs and results, by path.
        versions: of the packages.
        outputs: paths of results, metrics and pages, by what they are.
        metrics: its numbers.
        number: in the store; 0 for a run that is not in one.
    """

    command: str
    name: str
    split: str
    created: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    number: int = 0

    def value(self, metric: str, class_: str = ALL, scene: str = ALL) -> float | None:
        """One of its numbers; None if it has no such."""
        wanted = (metric, class_, scene)
        return next((one.value for one in self.metrics if (one.name, one.class_, one.scene) == wanted), None)


_DESCRIBED: Final = ("arguments", "config", "digests", "versions", "outputs")


class RunStore:
    """A store of runs; made by the first run that is added.

    Args:
        path: of the file.

    Raises:
        InputError: the file is there and is none of a store of runs, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            with self._connected() as connection:
                # What is read is of one moment: another process may be making the store.
                connection.execute("BEGIN")
                self._check(connection)

    def add(self, run: Run) -> int:
        """Add a run, whole or not at all; its number."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA application_id").fetchone()[0] == 0 and not _tables(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._check(connection)
            described = json.dumps({key: dict(getattr(run, key)) for key in _DESCRIBED}, default=str, sort_keys=True)
            number = connection.execute(
                "INSERT INTO runs (created, command, name, split, described) VALUES (?, ?, ?, ?, ?)",
                (run.created, run.command, run.name, run.split, described),
            ).lastrowid
            assert number is not None
            connection.executemany(
                "INSERT INTO metrics (run, scene, class, metric, value) VALUES (?, ?, ?, ?, ?)",
                [(number, m.scene, m.class_, m.name, m.value) for m in run.metrics if math.isfinite(m.value)],
            )
            connection.execute("COMMIT")
        return number

    def runs(self, *, scenes: bool = False) -> list[Run]:
        """All runs, the oldest first.

        Args:
            scenes: whether to read the numbers of single scenes, too.
        """
        if not self.path.exists():
            raise InputError(f"{self.path}: no such store of runs; --record makes it")
        condition = "" if scenes else "WHERE scene = ''"
        with self._connected() as connection:
            rows = connection.execute("SELECT id, created, command, name, split, described FROM runs ORDER BY id")
            listed = rows.fetchall()
            metrics: dict[int, list[Metric]] = {row[0]: [] for row in listed}
            for number, *of_metric in connection.execute(
                f"SELECT run, metric, value, class, scene FROM metrics {condition} ORDER BY rowid"
            ):
                metrics[number].append(Metric(*of_metric))
        return [
            Run(command, name, split, created, **json.loads(described), metrics=metrics[number], number=number)
            for number, created, command, name, split, described in listed
        ]

    def run(self, number: int) -> Run:
        """The run of a number, with the numbers of its scenes.

        Raises:
            InputError: there is none.
        """
        for run in self.runs(scenes=True):
            if run.number == number:
                return run
        raise InputError(f"{self.path}: no run {number}; `streamtrack runs list` shows those that there are")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            try:
                yield connection
            finally:
                connection.close()  # which takes back what was not committed
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: {_said(error)}") from error

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == _APPLICATION or (application == 0 and not _tables(connection)):
            return
        raise InputError(f"{self.path}: an SQLite file, but no store of runs")


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _said(error: sqlite3.Error) -> str:
    text = str(error)
    return f"not a store of runs ({text})" if "not a database" in text or "malformed" in text else text
