"""Sets recorded runs against each other: by a paired bootstrap over the scenes of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.entrances import compare
from evaluation.evaluation import Task
from evaluation.runs.store import Run
from scenes import InputError
from scenes.jobs.shards import file_digest


def compare_runs(runs: Sequence[Run]) -> str:
    """A table of how the results of several runs differ from those of the first, see `evaluation.compare`.

    Raises:
        InputError: there are fewer than two runs, they are of different tasks or splits, or a result file has changed
            or is gone.
    """
    if len(runs) < 2:
        raise InputError("compare needs two runs or more: the others are set against the first")
    first = runs[0]
    for run in runs:
        path = Path(run.outputs.get("results", ""))
        if "results" not in run.outputs:
            raise InputError(f"run {run.number}: has no results to compare")
        if (run.split, run.arguments.get("dataroot")) != (first.split, first.arguments.get("dataroot")):
            raise InputError(f"run {run.number} is on {run.split}, run {first.number} on {first.split}")
        if _task(run) != _task(first):
            raise InputError(f"run {run.number} is of {_task(run)}, run {first.number} of {_task(first)}")
        if not path.exists():
            raise InputError(f"run {run.number}: its results {path} are gone")
        if file_digest(path) != run.digests.get(str(path)):
            raise InputError(f"run {run.number}: its results {path} have changed since")
    paths = [Path(run.outputs["results"]) for run in runs]
    version, split = str(first.arguments["version"]), str(first.arguments["split"])
    return compare(_task(first), paths, Path(first.arguments["dataroot"]), version, split)


def _task(run: Run) -> Task:
    return "detection" if run.command in ("test", "evaluate detection") else "tracking"
