"""Records a run of a command: its settings, what went in, what came out, and the numbers."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import logging
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import msgspec

from evaluation.evaluation import Evaluation
from evaluation.runs.store import Metric, Run, RunStore
from scenes.jobs.shards import file_digest, tables_digest

STORE_VARIABLE: Final = "STREAMTRACK_RUNS"
"""Environment variable with the path of the store, for whoever does not want `runs.sqlite` in the working folder."""
_PACKAGES: Final = ("streamtrack", "numpy", "scipy", "torch")

_logger = logging.getLogger(__name__)


def default_store() -> Path:
    """The store where none is named."""
    return Path(os.environ.get(STORE_VARIABLE) or "runs.sqlite")


def add_record(parser: argparse.ArgumentParser) -> None:
    """Add the option `--record`."""
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=default_store(),
        metavar="STORE",
        help=f"add this run to a store, see `streamtrack runs` (without a name: ${STORE_VARIABLE}, or runs.sqlite)",
    )


class Recorder:
    """Takes down a run. A store that cannot be used is refused before the work begins.

    Args:
        arguments: of the tool, with `record`.
        command: see `Run`.

    Raises:
        InputError: see `RunStore`.
    """

    def __init__(self, arguments: argparse.Namespace, command: str) -> None:
        self._store = None if arguments.record is None else RunStore(arguments.record)
        self._arguments = arguments
        self._command = command

    def record(
        self,
        results: Path,
        *,
        config: Any = None,
        inputs: Sequence[Path] = (),
        outputs: Mapping[str, Path] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        """Add the run to the store, if it was asked for, and to MLflow where that is installed; says its number.

        Args:
            results: that it is about; names the run.
            config: settings, anything that JSON can hold.
            inputs: files, or folders of shards, that it has read.
            outputs: what it has written, by what it is.
            metrics: its numbers.
        """
        if self._store is None:
            return
        given = vars(self._arguments)
        where = [str(given.get(name) or "") for name in ("version", "split")]
        digests = {str(path.resolve()): file_digest(path) for path in (results, *inputs)}
        if given.get("dataroot") and given.get("version"):
            folder = Path(given["dataroot"], given["version"])
            digests[str(folder.resolve())] = tables_digest(Path(given["dataroot"]), given["version"])
        run = Run(
            command=self._command,
            name=results.name,
            split=" ".join(filter(None, where)),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            arguments={name: _plain(value) for name, value in given.items() if value is not None},
            config=msgspec.json.decode(msgspec.json.encode(config)) if config is not None else {},
            digests=digests,
            versions=dict(_versions()),
            outputs={name: str(path.resolve()) for name, path in {"results": results, **(outputs or {})}.items()},
            metrics=metrics,
        )
        number = self._store.add(run)
        print(f"run {number} -> {self._store.path}")
        if importlib.util.find_spec("mlflow") is not None:
            _tell_mlflow(run)


def evaluation_metrics(evaluation: Evaluation) -> list[Metric]:
    """The official numbers, over all classes and by class."""
    summary = evaluation.summary
    if evaluation.task == "tracking":
        by_class = summary["label_metrics"]
        total = [Metric(name, float(summary[name])) for name in by_class]
        return total + [
            Metric(name, float(value), class_) for name, values in by_class.items() for class_, value in values.items()
        ]
    total = [Metric(name, float(summary[name])) for name in ("nd_score", "mean_ap")]
    total += [Metric(name, float(value)) for name, value in summary["tp_errors"].items()]
    of_classes = [Metric("ap", float(value), class_) for class_, value in summary["mean_dist_aps"].items()]
    return (
        total
        + of_classes
        + [
            Metric(name, float(value), class_)
            for class_, errors in summary["label_tp_errors"].items()
            for name, value in errors.items()
        ]
    )


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is not None:
            yield name, importlib.metadata.version(name)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _tell_mlflow(run: Run) -> None:
    """The same for MLflow, wherever its own settings say; the store has the run already, whatever becomes of it."""
    import mlflow  # type: ignore[import-not-found,unused-ignore]  # no dependency: where it is installed

    try:
        with mlflow.start_run(run_name=f"{run.command} {run.name}"):
            mlflow.set_tags({"command": run.command, "split": run.split, **run.versions})
            mlflow.log_params({name: str(value)[:500] for name, value in run.arguments.items()})
            mlflow.log_metrics(
                {"/".join(filter(None, (m.scene, m.class_, m.name))): m.value for m in run.metrics if not m.scene}
            )
            mlflow.log_dict({"config": dict(run.config), "digests": dict(run.digests)}, "run.json")
            for path in map(Path, run.outputs.values()):
                if path.is_file():
                    mlflow.log_artifact(str(path))
    except Exception as error:  # of a server of somebody else's, whatever it is
        _logger.warning("MLflow: %s; the run is in the store alone", " ".join(str(error).split()))
