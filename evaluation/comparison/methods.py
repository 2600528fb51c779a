"""How methods differ over seeds: mean and standard deviation of each, and of the difference from the first.

The results are detections, one file a seed; they are scored as they are, and so are the tracks that a tracker makes of
them. `ray duplicates` are those of an annotation beyond 30 m, see `evaluation.analysis.ray_duplicates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from evaluation.analysis.ray_duplicates import ray_duplicates
from evaluation.detection import detection_metrics
from evaluation.tracking import tracking_metrics
from scenes import InputError, Results, Scene, read_scenes, read_split_detections, taxonomy_of
from scenes.geometry import FloatArray
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores

Track = Callable[[Results, list[Scene]], Results]
"""From detections to tracks; with several workers it has to be a function of a module."""

_COLUMNS: Final = {
    "mAP": 4,
    "NDS": 4,
    "car AP": 3,
    "AMOTA": 3,
    "car AMOTA": 3,
    "recall": 3,
    "identity switches": 1,
    "ray duplicates": 3,
}


def methods_table(
    methods: Mapping[str, Sequence[Path]],
    dataroot: Path,
    version: str,
    split: str,
    track: Track,
    workers: int | None = None,
) -> Iterator[str]:
    """The lines of a Markdown table: a row a method, then a row for the difference of each from the first.

    Args:
        methods: detection result files by the method's name, one a seed, in the same order of seeds for every method.
        dataroot: nuScenes data root with annotations.
        version: such as `v1.0-trainval`.
        split: one of the devkit's names, a name in `splits.json`, or a file of scene names.
        track: the tracker.
        workers: processes; None for all cores.

    Raises:
        InputError: methods with other numbers of files, or a file, the data root or the split cannot be used.
    """
    first, *others = methods
    seeds = len(methods[first])
    if any(len(methods[name]) != seeds for name in others):
        raise InputError("every method needs as many files as the first: one a seed, in the same order")
    root = (dataroot, version, split)
    scenes = read_scenes(*root)
    taxonomy_of(scenes).require_nuscenes("the table of methods")
    jobs = [(scenes, root, path, track) for paths in methods.values() for path in paths]
    rows = list(run_jobs(_measured, jobs, workers or available_cores()))
    values = np.array(rows).reshape(len(methods), seeds, len(_COLUMNS))
    yield f"| {len(scenes)} scenes, {seeds} seeds | " + " | ".join(_COLUMNS) + " |"
    yield "|---" * (len(_COLUMNS) + 1) + "|"
    for name, of_method in zip(methods, values, strict=True):
        yield _row(name, of_method)
    for name, of_method in zip(others, values[1:], strict=True):
        yield _row(f"{name} - {first}", of_method - values[0], sign="+")


def _measured(scenes: list[Scene], root: tuple[Path, str, str], path: Path, track: Track) -> list[float]:
    """The columns for a file of detections."""
    detections = read_split_detections(path, scenes, *root)
    found = detection_metrics(detections, scenes).summary
    tracks = tracking_metrics(track(detections, scenes), scenes).summary
    return [
        found["mean_ap"],
        found["nd_score"],
        found["mean_dist_aps"]["car"],
        tracks["amota"],
        tracks["label_metrics"]["amota"]["car"],
        tracks["recall"],
        tracks["ids"],
        ray_duplicates(detections, scenes).per_annotation,
    ]


def _row(name: str, values: FloatArray, sign: str = "") -> str:
    """A row from values (seeds, columns): mean and standard deviation over the seeds."""
    means, spreads = values.mean(axis=0), values.std(axis=0, ddof=1 if len(values) > 1 else 0)
    cells = [
        f"{mean:{sign}.{decimals}f} ± {spread:.{decimals}f}"
        for mean, spread, decimals in zip(means, spreads, _COLUMNS.values(), strict=True)
    ]
    return f"| {name} | " + " | ".join(cells) + " |"
