"""The check as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_check.outcome import FAILED, Outcome
from gpu_check.record import Cell, Findings


def markdown(about: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """A page of one overview and a table for each part; docs/detection.md shows it under a heading of its own.

    Args:
        about: `command`, `when`, `commit` and `device` of the run.
        outcomes: of the parts, in their order.
    """
    return "\n".join(_lines(about, outcomes)) + "\n"


def _lines(about: Mapping[str, Any], outcomes: Sequence[Outcome]) -> Iterator[str]:
    commit = f", commit {about['commit']}" if about["commit"] else ""
    yield f"`{about['command']}`, {about['when']}{commit}."
    if about["device"] == "cpu":
        yield ""
        yield "Run on a CPU, with small models in the place of the published ones: this tries the command, no GPU."
    yield ""
    overview = [_overview(outcome) for outcome in outcomes]
    yield from _table(overview)
    for outcome in outcomes:
        if outcome.findings.rows or outcome.findings.notes or outcome.status == FAILED:
            yield ""
            yield f"### {outcome.title}"
            yield from _findings(outcome.findings)


def _overview(outcome: Outcome) -> dict[str, Cell]:
    passed = sum(check.passed for check in outcome.findings.checks)
    return {
        "part": outcome.title,
        "": outcome.status,
        "checks": f"{passed} of {len(outcome.findings.checks)}" if outcome.findings.checks else "",
        "seconds": round(outcome.seconds),
        "reason": outcome.reason,
    }


def _findings(findings: Findings) -> Iterator[str]:
    if findings.rows:
        yield ""
        yield from _table(findings.rows)
    lines = [f"- {note}" for note in findings.notes]
    lines += [f"- failed: {check.name}: {check.detail}" for check in findings.checks if not check.passed]
    if lines:
        yield ""
        yield from lines


def _table(rows: Sequence[Mapping[str, Cell]]) -> Iterator[str]:
    """Rows by their columns, those of the first row first; numbers stand on the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    yield f"| {' | '.join(column.replace('_', ' ') for column in columns)} |"
    numbers = {column for column in columns if all(not isinstance(row.get(column), str) for row in rows)}
    yield f"|{'|'.join('---:' if column in numbers else '---' for column in columns)}|"
    for row in rows:
        yield f"| {' | '.join(_shown(row.get(column)) for column in columns)} |"


def _shown(cell: Cell) -> str:
    return "" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ")
