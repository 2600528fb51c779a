"""What the doctor says of a data root: findings, each with an example and with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec


class Severity(str, Enum):
    """How bad a finding is.

    An error makes results wrong, or makes the readers refuse. A warning looks wrong, but may be so. A note is for
    information.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Example(msgspec.Struct, frozen=True):
    """One place where a finding can be looked at.

    Attributes:
        token: of a row, or a name: what to search for.
        table: where the token stands: a table's name, `results`, or `splits.json`.
        text: what is there, with numbers.
        sample_token: the key frame of which a picture helps; "" where none does.
        channel: the camera that shows it; "" for all.
        annotation_tokens: boxes to look at in that picture.
    """

    token: str
    table: str
    text: str
    sample_token: str = ""
    channel: str = ""
    annotation_tokens: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """One fault, or one suspicion, with everything that shows it counted together.

    Attributes:
        check: name of the fault, as in the table of docs/doctor.md.
        severity: how bad it is.
        count: how many rows, frames, files or instances show it.
        of: how many were looked at; 0 where that says nothing.
        what: the fault in one sentence.
        example: the clearest case.
        advice: what to do, in one sentence.
    """

    check: str
    severity: Severity
    count: int
    of: int
    what: str
    example: Example
    advice: str


class Diagnosis(msgspec.Struct, frozen=True):
    """All that was found in a data root.

    Attributes:
        dataroot, version: which one.
        scenes, frames, images, boxes: how much of it was looked at: key frames, their camera images, annotations.
        findings: errors first.
    """

    dataroot: str
    version: str
    scenes: int
    frames: int
    images: int
    boxes: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are as bad as that."""
        return sum(finding.severity is severity for finding in self.findings)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first; findings of one severity stay in the order of the checks."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
