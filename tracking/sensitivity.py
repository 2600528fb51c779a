"""Settings varied one at a time: how much does it matter what a setting is exactly?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import groupby

from scenes import Results, Scene
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores
from tracking.config import ClassConfig, MeasurementNoise, TrackerConfig
from tracking.judge import Judge
from tracking.run import track_results

FACTORS = (0.5, 0.8, 1.2, 1.5)


def varied(config: TrackerConfig, factors: Sequence[float] = FACTORS) -> Iterator[tuple[str, float, TrackerConfig]]:
    """Name, factor and configuration for every continuous setting times every factor.

    Class settings are scaled for all classes at once; settings that are 0 in all of them are left out.
    """
    for name in _continuous(TrackerConfig):
        for factor in factors if getattr(config, name) else ():
            yield name, factor, scaled(config, {name: factor})
    for name in _continuous(MeasurementNoise):
        for factor in factors if getattr(config.noise, name) else ():
            yield f"noise.{name}", factor, scaled(config, {f"noise.{name}": factor})
    for name in _continuous(ClassConfig):
        for factor in factors if any(getattr(own, name) for own in config.classes.values()) else ():
            yield f"classes.{name}", factor, scaled(config, {f"classes.{name}": factor})


def scaled(config: TrackerConfig, factors: dict[str, float]) -> TrackerConfig:
    """`config` with some continuous settings multiplied.

    Args:
        config: settings.
        factors: by name as `varied` gives them: `gate_sigmas`, `noise.along_m`, `classes.gate_m`.
    """
    for name, factor in factors.items():
        group, _, field = name.rpartition(".")
        if group == "noise":
            noise = replace(config.noise, **{field: factor * getattr(config.noise, field)})
            config = replace(config, noise=noise)
        elif group == "classes":
            classes = {
                label: replace(own, **{field: factor * getattr(own, field)}) for label, own in config.classes.items()
            }
            config = replace(config, classes=classes)
        else:
            config = replace(config, **{field: factor * getattr(config, field)})
    return config


def sensitivity_table(
    config: TrackerConfig,
    files: Sequence[tuple[str, Results]],
    scenes: list[Scene],
    judge: Judge,
    factors: Sequence[float] = FACTORS,
    workers: int | None = None,
) -> Iterator[str]:
    """The lines of a Markdown table: a row a setting, for each factor one column a file: AMOTA (identity switches).

    Args:
        config: settings that are varied one at a time.
        files: names and detections of the scenes.
        scenes: with annotations.
        judge: of the tracks; with several workers it has to be a function of a module.
        factors: what each setting is scaled by.
        workers: processes; None for all cores.

    Yields:
        each row as soon as it is there.
    """
    variations = [("unchanged", 1.0, config), *varied(config, factors)]
    jobs = [(variation[2], detections, scenes, judge) for variation in variations for _, detections in files]
    cells = run_jobs(_cell, jobs, workers or available_cores())
    columns = [f"{name} x{factor:g}" for factor in factors for name, _ in files]
    yield "| setting | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, group in groupby(name for name, _, _ in variations):
        row = [next(cells) for _ in group for _ in files]
        yield f"| {name} | " + " | ".join([*row, *[""] * (len(columns) - len(row))]) + " |"


def _cell(config: TrackerConfig, detections: Results, scenes: list[Scene], judge: Judge) -> str:
    summary = judge(track_results(detections, scenes, config), scenes).summary
    return f"{summary['amota']:.3f} ({summary['ids']:.0f})"


def _continuous(settings: type[TrackerConfig] | type[MeasurementNoise] | type[ClassConfig]) -> list[str]:
    # Annotations are strings here: `from __future__ import annotations` leaves them unevaluated.
    return [field.name for field in fields(settings) if field.type == "float"]
