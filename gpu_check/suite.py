"""The tests that need a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from gpu_check.parts import Settings
from gpu_check.record import Record, SkippedError

_ROOT: Final = Path(__file__).resolve().parents[1]
_MARK: Final = "pytest.mark.gpu"
_NOTHING_COLLECTED: Final = 5


def run(settings: Settings, record: Record, subject: str) -> None:
    """Run them, file by file of those that have any: others may import what this machine does not have."""
    import pytest  # noqa: F401 - not everywhere

    if not settings.on_gpu:
        raise SkippedError("needs a GPU")
    files = [path for path in sorted(_ROOT.glob("tests/**/test_*.py")) if _MARK in path.read_text(encoding="utf-8")]
    results = settings.folder / "tests.xml"
    options = ["-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junitxml={results}"]
    if settings.quick:
        options += ["-k", "not compiled"]  # which takes its time
    done = subprocess.run([sys.executable, "-m", "pytest", *options, *files], cwd=_ROOT, check=False)
    if done.returncode == _NOTHING_COLLECTED or not results.is_file():
        record.check("tests are found", False, f"pytest ended with {done.returncode}")
        return
    for case in ElementTree.parse(results).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        message = next((child.get("message", "") for child in case if child.tag == outcome), "")
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        record.row(test=name, outcome=outcome, seconds=round(float(case.get("time", 0)), 1))
        if outcome != "skipped":
            record.check(name, outcome == "passed", " ".join(message.split())[:200])
