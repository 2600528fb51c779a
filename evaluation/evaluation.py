"""`Evaluation`: what an engine says of one result file, in the devkit's schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scenes.files import write_atomically

Task = Literal["detection", "tracking"]

Interpolation = Literal["devkit", "corrected"]
"""How the gaps of tracks are filled: with the devkit's weights, which are the wrong way round, or the right ones."""

SUMMARY_FILE = "metrics_summary.json"
DETAILS_FILE = "metrics_details.json"


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one result file.

    Attributes:
        task: which of the two tasks was evaluated.
        summary: the content of the devkit's `metrics_summary.json`: metrics over all classes and by class, the
            settings (`cfg`), the time it took (`eval_time`, seconds) and the result file's `meta`.
        details: the content of the devkit's `metrics_details.json`: curves by class (tracking: 40 thresholds) or
            by class and matching distance (detection: 101 recall values).
        warnings: what a reader should know about the input, one line each.
    """

    task: Task
    summary: dict[str, Any]
    details: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def write(self, folder: Path | str) -> None:
        """Write `metrics_summary.json` and `metrics_details.json`, each whole or not at all.

        Like the devkit's files they may hold `NaN`, which Python's `json` reads and strict JSON does not have.
        """
        write_atomically(Path(folder, DETAILS_FILE), json.dumps(self.details, indent=2).encode())
        write_atomically(Path(folder, SUMMARY_FILE), json.dumps(self.summary, indent=2).encode())
