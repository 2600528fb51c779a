"""Recorded outputs of the devkit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation import Evaluation
from evaluation.evaluation import DETAILS_FILE, SUMMARY_FILE, Task


def read_evaluation(task: Task, summary: Path, details: Path) -> Evaluation:
    """An evaluation from its two files."""
    return Evaluation(task, json.loads(summary.read_text()), json.loads(details.read_text()))


@pytest.fixture
def written() -> Callable[[Task, Path], Evaluation]:
    """Read what `Evaluation.write` wrote to a folder."""
    return lambda task, folder: read_evaluation(task, folder / SUMMARY_FILE, folder / DETAILS_FILE)


@pytest.fixture
def recorded(shared: Path) -> Callable[[str, str], tuple[Path, Evaluation]]:
    """For a detector and `detections`, `tracks_centerpoint` or `tracks_polymot`: the file and the devkit's numbers."""
    names = {"fastbev": "fastbev.json", "cc3dt": "cc_3dt.json"}

    def read(detector: str, result: str) -> tuple[Path, Evaluation]:
        folder = shared / "expected" / detector
        task: Task = "detection" if result == "detections" else "tracking"
        path = shared / "detections" / names[detector] if task == "detection" else folder / f"{result}.json"
        summary, details = (folder / f"{result}.metrics_{part}.json" for part in ("summary", "details"))
        return path, read_evaluation(task, summary, details)

    return read
