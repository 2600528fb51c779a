"""What the query identities of detections are worth to the tracker: without them, with them, and named by an oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from scenes import Results, Scene
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores
from tracking.config import TrackerConfig
from tracking.judge import Judge
from tracking.run import track_results

_COLUMNS: Final = ("amota", "ids")


def identity_worth(
    runs: Sequence[Results],
    scenes: list[Scene],
    config: TrackerConfig,
    oracle: Callable[[Results, list[Scene]], Results],
    judge: Judge,
    workers: int | None = None,
) -> Iterator[str]:
    """The lines of a Markdown table: AMOTA and switches, the mean of the runs and their standard deviation.

    Args:
        runs: detections of all frames of `scenes`, with queries; one a seed.
        scenes: annotated.
        config: of the tracker.
        oracle: names the boxes by the annotations.
        judge: of the tracks; with several workers it and the oracle have to be functions of a module.
        workers: processes; None for all cores.
    """
    jobs = [(run, scenes, config, oracle, judge) for run in runs]
    measured = list(run_jobs(_measured, jobs, workers or available_cores()))
    yield "| identities | AMOTA | switches |"
    yield "|---|---|---|"
    for name in measured[0]:
        values = np.array([of_run[name] for of_run in measured])
        (amota, switches), (amota_spread, switches_spread) = values.mean(axis=0), values.std(axis=0)
        yield f"| {name} | {amota:.3f} +- {amota_spread:.3f} | {switches:.1f} +- {switches_spread:.1f} |"


def _measured(
    run: Results,
    scenes: list[Scene],
    config: TrackerConfig,
    oracle: Callable[[Results, list[Scene]], Results],
    judge: Judge,
) -> Mapping[str, tuple[float, ...]]:
    """AMOTA and switches by where identities come from."""
    variants = {
        "none": (run, replace(config, use_identity=False)),
        "the detector's": (run, replace(config, use_identity=True)),
        "an oracle's": (oracle(run, scenes), replace(config, use_identity=True)),
    }
    found = {}
    for name, (detections, settings) in variants.items():
        summary = judge(track_results(detections, scenes, settings), scenes).summary
        found[name] = tuple(float(summary[column]) for column in _COLUMNS)
    return found
