"""Finds settings for a detector of one's own: a search over the ranges that are declared here (Optuna, TPE).

What is searched are factors on the settings of a base configuration, for all classes at once, so that a few scenes
can tell. What a setting means by itself (a class's top speed) and what only offline mode reads is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tracking.config import CameraEvidenceConfig, ClassConfig, MeasurementNoise, TrackerConfig
from tracking.sensitivity import scaled

RANGES: dict[str, tuple[float, float]] = {
    "duplicate_reach": (0.4, 1.6),
    "duplicate_ray_sigmas": (0.3, 2.0),
    "gate_sigmas": (0.6, 1.6),
    "birth_probability": (0.2, 2.0),
    "identity_gate_scale": (0.5, 2.0),
    "identity_bonus": (0.3, 3.0),
    "identity_penalty": (0.3, 3.0),
    "recovery_gate_scale": (0.5, 2.0),
    "newborn_unseen_s": (0.5, 4.0),
    "unseen_share": (0.2, 4.0),
    "report_unseen_s": (0.1, 3.0),
    "evidence_time_s": (0.3, 4.0),
    "noise.along_m": (0.3, 3.0),
    "noise.along_per_m": (0.2, 3.0),
    "noise.across_m": (0.3, 3.0),
    "noise.across_per_m": (0.2, 3.0),
    "noise.velocity_mps": (0.2, 3.0),
    "classes.acceleration_mps2": (0.3, 4.0),
    "classes.gate_m": (0.5, 2.0),
    "classes.max_unseen_s": (0.4, 3.0),
}
"""Lowest and highest factor of each setting; named as in `tracking.sensitivity.scaled`."""

Objective = Callable[[TrackerConfig], float]


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        config: the best settings.
        start, best: the objective before and after.
        n_trials: finished trials, those of earlier runs included.
        importance: for each setting its share of what moved the objective, greatest first.
        factors: by how much each setting was multiplied.
    """

    config: TrackerConfig
    start: float
    best: float
    n_trials: int
    importance: dict[str, float]
    factors: dict[str, float]


def tune(base: TrackerConfig, objective: Objective, n_trials: int, storage: Path, seed: int = 0) -> Tuned:
    """Search for the settings with the highest objective.

    Args:
        base: where the search starts; its settings are the first trial.
        objective: what settings are worth, such as AMOTA on some scenes.
        n_trials: trials of this run.
        storage: journal of all trials; a search that finds one goes on with it.
        seed: of the search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    ranges = {name: bounds for name, bounds in RANGES.items() if _is_set(base, name)}
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(storage))),
        study_name="tracker",
        direction="maximize",
        load_if_exists=True,
        # What was tried before decides what is tried next, also after a restart; only the seed must move on.
        sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True),
    )
    if not study.trials:
        study.enqueue_trial(dict.fromkeys(ranges, 1.0))
    else:
        study.sampler.reseed_rng()

    def value(trial: optuna.Trial) -> float:
        factors = {name: trial.suggest_float(name, *bounds, log=True) for name, bounds in ranges.items()}
        return objective(scaled(base, factors))

    study.optimize(value, n_trials=n_trials)
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    return Tuned(
        config=scaled(base, study.best_params),
        start=_value(done[0]),
        best=study.best_value,
        n_trials=len(done),
        importance=_importance(study) if len(done) > len(ranges) else {},
        factors=study.best_params,
    )


def config_source(config: TrackerConfig, comment: str) -> str:
    """A config file that holds these settings: what differs from the defaults."""
    given = _differing(config, TrackerConfig(), skip=("noise", "camera_evidence", "classes"))
    noise = _differing(config.noise, MeasurementNoise())
    cameras = _differing(config.camera_evidence, CameraEvidenceConfig())
    classes = {}
    for name, own in config.classes.items():
        changed = _differing(own, TrackerConfig().classes.get(name, ClassConfig()))
        if changed:
            classes[name] = changed
    given |= {"noise": noise} if noise else {}
    given |= {"camera_evidence": cameras} if cameras else {}
    given |= {"classes": classes} if classes else {}
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, f"tracker = {given!r}", ""])


def _differing(settings: Any, default: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    names = [field.name for field in fields(settings) if field.name not in skip]
    return {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(default, name)}


def _is_set(config: TrackerConfig, name: str) -> bool:
    """Whether a setting is not 0: a factor on nothing searches nothing."""
    group, _, field = name.rpartition(".")
    if group == "classes":
        return any(getattr(own, field) for own in config.classes.values())
    owner = asdict(config.noise) if group == "noise" else {field: getattr(config, field)}
    return bool(owner[field])


def _value(trial: optuna.trial.FrozenTrial) -> float:
    assert trial.value is not None  # it is complete
    return trial.value


def _importance(study: optuna.Study) -> dict[str, float]:
    return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)))
