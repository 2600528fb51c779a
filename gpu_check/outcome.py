"""What comes of a part of the check."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_check.record import Findings

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True)
class Outcome:
    """What came of a part.

    Attributes:
        part: its name.
        title: its title.
        status: `ok`, `failed` or `skipped`.
        reason: of a status other than `ok`, and of a part that was stopped.
        seconds: that it took.
        findings: of it, also of one that was stopped.
        log: the end of what it has printed, if it failed.
    """

    part: str
    title: str
    status: str
    reason: str
    seconds: float
    findings: Findings
    log: str = ""

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.part}: {self.status}{why}, {self.seconds:.0f} s"
