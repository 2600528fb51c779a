"""Curves: training logs (losses, scores, speed, memory) and the details that the evaluation writes.

Several runs share each diagram; a run has one colour and one dash pattern in all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluation.evaluation import Task
from scenes import InputError
from scenes.files import atomic_path
from scenes.geometry import FloatArray
from scenes.json_text import decode_json, is_number, read_json

_RUN_STYLES: Final = (
    ("#0072b2", "-"),
    ("#d55e00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#e69f00", (0, (5, 1, 1, 1, 1, 1))),
    ("#56b4e9", (0, (1, 1))),
)
_RULES: Final[dict[Any, Any]] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e7ec",
    "axes.axisbelow": True,
    "svg.hashsalt": "streamtrack",
}
_PANEL_IN: Final = (3.2, 2.3)
_COLUMNS: Final = 3
_SMOOTHED_SHARE: Final = 0.03
"""How much of a run the moving mean of a noisy curve covers."""

_BOOKKEEPING: Final = frozenset({"step", "iter", "epoch", "base_lr"})
_TRAINING_MARK: Final = "time"
"""Only lines of training iterations have it; those of validations hold scores alone."""


Details = Mapping[str, Mapping[str, Sequence[float]]]
"""The content of a `metrics_details.json`: by class (and matching distance) curves by name."""


@dataclass
class TrainingLog:
    """What a run wrote while it trained.

    Attributes:
        training: by key (`loss`, `lr`, `time`, `memory`, ...) pairs of iteration and value.
        validation: by score (`NDS`, `mAP`, ...) pairs of step and value.
    """

    training: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    validation: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))


def read_training_log(path: Path) -> TrainingLog:
    """Read the log that mmengine writes: `vis_data/scalars.json`, one JSON object a line.

    Args:
        path: the file, or a work directory, in which each start and each resumption of a run has left one. A later one
            replaces what the earlier ones logged from its first step on. A last line that was cut off by the end of a
            killed run is left out.

    Raises:
        InputError: there is no such file, a line of it is no object of numbers, or nothing was logged.
    """
    entries: list[dict[str, float]] = []
    for file in _logs_of(path) if path.is_dir() else [path]:
        later = _read_entries(file)
        if later:
            entries = [entry for entry in entries if entry["step"] < later[0]["step"]] + later
    log = TrainingLog()
    for entry in entries:
        _add_entry(log, entry)
    if not log.training and not log.validation:
        raise InputError(f"{path}: holds no logged step")
    return log


def read_details(path: Path, task: Task = "tracking") -> Details:
    """Read a `metrics_details.json` of the tracking or the detection evaluation, of whatever classes.

    Args:
        path: the file.
        task: which of the two; curves of detections have a class and a matching distance each, `car:2.0`.

    Raises:
        InputError: no such file, not JSON, or it holds other curves.
    """
    details = read_json(path)
    if not isinstance(details, dict) or not details:
        raise InputError(f"{path}: no curves; is this a metrics_details.json?")
    for name, curves in details.items():
        if not isinstance(curves, dict) or (":" in name) != (task == "detection"):
            raise InputError(f"{path}: '{name}': no curves of the {task} evaluation; is this of the other task?")
        for key in ("recall", "precision") if task == "detection" else ("recall_hypo", "motar"):
            values = curves.get(key)
            if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
                raise InputError(f"{path}: class '{name}': no curve '{key}' of numbers")
    found: Details = details
    return found


def _shared_names(runs: Mapping[str, Details]) -> list[str]:
    """The curves that all runs have.

    Raises:
        InputError: one of them lacks what another has.
    """
    first, *others = runs
    for other in others:
        if different := runs[first].keys() ^ runs[other].keys():
            raise InputError(f"{first} and {other} are runs of different classes: '{min(different)}' is in one of them")
    return list(runs[first])


def write_training_curves(logs: Mapping[str, TrainingLog], path: Path, keys: Sequence[str] = ()) -> None:
    """Draw the logs of several runs by name: chosen keys, or losses, scores, learning rate, speed and memory.

    Raises:
        InputError: no run has logged one of the keys.
    """
    logged = {key for log in logs.values() for key in (*log.training, *log.validation)}
    for key in keys:
        if key not in logged:
            raise InputError(f"no run has logged '{key}'; there are {', '.join(sorted(logged))}")
    panels = keys or [key for key in _usual_keys(logs) if key in logged]
    with matplotlib.rc_context(_RULES):
        figure, all_axes = _panels(len(panels))
        for axes, key in zip(all_axes, panels, strict=True):
            for name, style in _styles(logs):
                _draw_logged(axes, logs[name], key, style)
            axes.set(title=_TITLES.get(key, key), xlabel="iteration" if _is_trained(logs, key) else "step")
            if key in _FROM_ZERO:
                axes.set_ylim(bottom=0)
        _add_run_legend(figure, logs)
        _save(figure, path)


def write_tracking_curves(runs: Mapping[str, Details], path: Path) -> None:
    """Draw MOTAR over recall of each class for several runs by name; AMOTA is the area under these curves.

    Classes without annotations are named and not drawn.
    """
    names = _shared_names(runs)
    absent = [name for name in names if all(np.isnan(_curve(run[name], "mota")).all() for run in runs.values())]
    with matplotlib.rc_context(_RULES):
        figure, panels = _class_panels(names, absent)
        for class_name, axes in panels.items():
            for name, (color, dashes) in _styles(runs):
                recall, motar = (_curve(runs[name][class_name], key) for key in ("recall_hypo", "motar"))
                axes.plot(recall, np.nan_to_num(np.maximum(motar, 0.0)), color=color, ls=dashes, lw=1.3)
            axes.set(title=class_name, xlabel="recall", ylabel="MOTAR", xlim=(0, 1), ylim=(0, 1.02))
        _add_run_legend(figure, runs, "without annotations", absent)
        _save(figure, path)


def write_detection_curves(runs: Mapping[str, Details], path: Path, distance_m: str = "2.0") -> None:
    """Draw precision over recall of each class at one matching distance for several runs by name.

    Classes of which no run has found anything are named and not drawn.
    """
    suffix = f":{distance_m}"
    keys = {key.removesuffix(suffix): key for key in _shared_names(runs) if key.endswith(suffix)}
    absent = [
        name for name, key in keys.items() if not any(_curve(run[key], "precision").any() for run in runs.values())
    ]
    with matplotlib.rc_context(_RULES):
        figure, panels = _class_panels(list(keys), absent)
        for class_name, axes in panels.items():
            for name, (color, dashes) in _styles(runs):
                curves = runs[name][keys[class_name]]
                axes.plot(_curve(curves, "recall"), _curve(curves, "precision"), color=color, ls=dashes, lw=1.3)
            title = f"{class_name.replace('_', ' ')}, {float(distance_m):g} m"
            axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        _add_run_legend(figure, runs, "nothing found", absent)
        _save(figure, path)


def speed_summary(log: TrainingLog) -> dict[str, float]:
    """How fast a run was and how much memory it took.

    Returns:
        the median time of an iteration and the share of it spent waiting for data (`iteration_s`, `data_share`),
        and the peak of memory (`memory_gb`); those that were logged.
    """
    time_s, data_s, memory_mb = (_values(log.training.get(key, [])) for key in ("time", "data_time", "memory"))
    summary = {}
    if len(time_s):
        summary["iteration_s"] = float(np.median(time_s))
    if len(time_s) and len(data_s):
        summary["data_share"] = float(data_s.sum() / time_s.sum())
    if len(memory_mb):
        summary["memory_gb"] = float(memory_mb.max() / 1024)
    return summary


_TITLES: Final = {
    "lr": "learning rate",
    "time": "time of an iteration, s",
    "data_time": "of it waiting for data, s",
    "memory": "memory of the accelerator, MB",
    "grad_norm": "norm of the gradient",
}


_FROM_ZERO: Final = frozenset({"lr", "time", "data_time", "memory"})


def _logs_of(folder: Path) -> list[Path]:
    """The logs in a work directory, the oldest first."""
    files = sorted(folder.glob("**/vis_data/scalars.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise InputError(f"{folder}: no vis_data/scalars.json in it; is this a work directory?")
    return files


def _read_entries(file: Path) -> list[dict[str, float]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    entries = [_log_entry(line) for line in lines]
    for number, entry in enumerate(entries[:-1], start=1):
        if entry is None:
            raise InputError(f"{file}: line {number} is no JSON object with a step")
    return [entry for entry in entries if entry is not None]


def _log_entry(line: str) -> dict[str, float] | None:
    """The numbers of a line; None if it is no object with a step."""
    try:
        entry = decode_json(line)
    except InputError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
        return None
    return {key: float(value) for key, value in entry.items() if is_number(value)}


def _add_entry(log: TrainingLog, entry: Mapping[str, float]) -> None:
    series = log.training if _TRAINING_MARK in entry and "lr" in entry else log.validation
    for key, value in entry.items():
        if key not in _BOOKKEEPING:
            series[key].append((entry["step"], value))


def _usual_keys(logs: Mapping[str, TrainingLog]) -> list[str]:
    """The keys that are drawn when none are asked for: the total loss, scores, and what tells of speed."""
    scores = sorted({key for log in logs.values() for key in log.validation if key not in ("time", "data_time")})
    overall = [key for key in scores if key.rsplit("/", 1)[-1].lower() in ("nds", "map", "amota")]
    return ["loss", "grad_norm", "lr", *(overall or scores[:3]), "time", "data_time", "memory"]


def _is_trained(logs: Mapping[str, TrainingLog], key: str) -> bool:
    return any(key in log.training for log in logs.values())


def _draw_logged(axes: Axes, log: TrainingLog, key: str, style: tuple[str, Any]) -> None:
    """A run's curve: of a noisy key the moving mean, with the values faint behind it."""
    color, dashes = style
    if key in log.training:
        steps, values = np.array(log.training[key]).T
        axes.plot(steps, values, color=color, alpha=0.25, lw=0.8)
        point = "o" if len(steps) == 1 else None  # a line of one point cannot be seen
        axes.plot(steps, _moving_mean(values), color=color, ls=dashes, lw=1.4, marker=point, ms=3)
    elif key in log.validation:
        steps, values = np.array(log.validation[key]).T
        axes.plot(steps, values, color=color, ls=dashes, lw=1.4, marker="o", ms=3)


def _moving_mean(values: FloatArray) -> FloatArray:
    """The mean over a window around each value; at the ends over the part of it that exists."""
    half = int(_SMOOTHED_SHARE * len(values) / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    mean: FloatArray = (sums[last] - sums[first]) / (last - first)
    return mean


def _values(series: Sequence[tuple[float, float]]) -> FloatArray:
    return np.array([value for _, value in series])


def _curve(curves: Mapping[str, Sequence[float]], key: str) -> FloatArray:
    return np.array(curves[key], dtype=np.float64)


def _class_panels(classes: Sequence[str], absent: Collection[str]) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a diagram for each class that is not absent; for all if all are."""
    drawn = [name for name in classes if name not in absent] or classes
    figure, all_axes = _panels(len(drawn))
    return figure, dict(zip(drawn, all_axes, strict=True))


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` diagrams, three a row."""
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * _PANEL_IN[0], rows * _PANEL_IN[1] + 0.35), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in grid[count:]:
        unused.remove()
    return figure, grid[:count]


def _styles(runs: Mapping[str, Any]) -> list[tuple[str, tuple[str, Any]]]:
    return [(name, _RUN_STYLES[index % len(_RUN_STYLES)]) for index, name in enumerate(runs)]


def _add_run_legend(figure: Figure, runs: Mapping[str, Any], left_out: str = "", classes: Sequence[str] = ()) -> None:
    """The runs' styles below the figure, and which classes were left out for what reason."""
    lines = [Line2D([], [], color=color, ls=dashes, lw=1.4, label=name) for name, (color, dashes) in _styles(runs)]
    title = f"{left_out}: {', '.join(name.replace('_', ' ') for name in classes)}" if classes else None
    columns = _legend_columns(list(runs))
    figure.legend(handles=lines, loc="outside lower center", ncols=columns, frameon=False, title=title)


def _legend_columns(names: Sequence[str]) -> int:
    """As many as fit below a figure: about a hundred letters a line."""
    return max(1, min(len(names), 100 // (max(map(len, names)) + 8)))


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=150)
