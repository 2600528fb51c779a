"""The class settings of a `TrackerConfig` as arrays that labels index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.config import ClassConfig, TrackerConfig
from tracking.motion import MOTION_MODELS, MotionModel

_LAST_BOX = "last_box"


@dataclass(frozen=True)
class ClassTable:
    """Columns over the C labels of a taxonomy; rows of classes that are not tracked hold the defaults.

    Attributes:
        tracked: (C,) whether the class is tracked.
        models: the motion models in use.
        model: (C,) index into `models`.
        filtered: (C,) False where each box replaces the track's state.
        noise: (C, 2) acceleration and yaw acceleration.
        The rest are the columns of `ClassConfig`.
    """

    tracked: NDArray[np.bool_]
    models: tuple[MotionModel, ...]
    model: NDArray[np.int64]
    filtered: NDArray[np.bool_]
    noise: FloatArray
    speed_mps: FloatArray
    max_speed_mps: FloatArray
    gate_m: FloatArray
    max_unseen_s: FloatArray
    min_score: FloatArray
    birth_score: FloatArray
    confirm_hits: FloatArray

    @classmethod
    def from_config(cls, config: TrackerConfig) -> ClassTable:
        """The table of a checked configuration."""
        rows = [config.classes.get(name, ClassConfig()) for name in config.taxonomy.names]
        names = sorted({_model_name(row) for row in rows})

        def column(attribute: str) -> FloatArray:
            return np.array([getattr(row, attribute) for row in rows], dtype=np.float64)

        return cls(
            tracked=np.array([name in config.classes for name in config.taxonomy.names]),
            models=tuple(MOTION_MODELS[name] for name in names),
            model=np.array([names.index(_model_name(row)) for row in rows], dtype=np.int64),
            filtered=np.array([row.motion != _LAST_BOX for row in rows]),
            noise=np.column_stack([column("acceleration_mps2"), column("yaw_acceleration_radps2")]),
            speed_mps=column("speed_mps"),
            max_speed_mps=column("max_speed_mps"),
            gate_m=column("gate_m"),
            max_unseen_s=column("max_unseen_s"),
            min_score=column("min_score"),
            birth_score=column("birth_score"),
            confirm_hits=column("confirm_hits"),
        )


def _model_name(row: ClassConfig) -> str:
    # A state that each box replaces still coasts by that box's velocity.
    return "constant_velocity" if row.motion == _LAST_BOX else row.motion
