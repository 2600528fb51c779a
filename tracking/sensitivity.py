"""Settings varied one at a time: how much does it matter what a setting is exactly?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from tracking.config import ClassConfig, MeasurementNoise, TrackerConfig

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


def _continuous(settings: type[TrackerConfig] | type[MeasurementNoise] | type[ClassConfig]) -> list[str]:
    # Annotations are strings here: `from __future__ import annotations` leaves them unevaluated.
    return [field.name for field in fields(settings) if field.type == "float"]
