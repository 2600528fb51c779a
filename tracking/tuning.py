"""Finds settings for a detector of one's own: a search over the ranges that are declared here (Optuna, TPE).

What is searched are factors on the settings of a base configuration, for all classes at once, so that a few scenes
can tell. What a setting means by itself (a class's top speed) and what only offline mode reads is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from scenes import InputError
from scenes.json_text import decode_json
from tracking.config import CameraEvidenceConfig, ClassConfig, MeasurementNoise, TrackerConfig, default_classes
from tracking.sensitivity import scaled

RANGES: dict[str, tuple[float, float]] = {
    "duplicate_reach": (0.4, 1.6),
    "duplicate_ray_sigmas": (0.3, 2.0),
    "gate_sigmas": (0.6, 1.6),
    "birth_probability": (0.2, 2.0),
    "identity_gate_scale": (0.5, 2.0),
    "identity_bonus": (0.3, 3.0),
    "recovery_gate_scale": (0.5, 2.0),
    "newborn_unseen_s": (0.5, 4.0),
    "unseen_share": (0.2, 4.0),
    "report_unseen_s": (0.1, 3.0),
    "evidence_time_s": (0.3, 4.0),
    "report_probability": (0.1, 2.0),
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

_INPUTS: Final = "inputs"
_ABANDONED_S: Final = 3
"""After so long the lock of a journal is that of a process that was killed: one process holds it, to write a line."""

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


def tune(
    base: TrackerConfig,
    objective: Objective,
    n_trials: int,
    storage: Path,
    seed: int = 0,
    *,
    inputs: Mapping[str, str],
) -> Tuned:
    """Search for the settings with the highest objective.

    Args:
        base: where the search starts; its settings are the first trial.
        objective: what settings are worth, such as AMOTA on some scenes.
        n_trials: trials of this run.
        storage: journal of all trials; a search that finds one goes on with it.
        seed: of the search.
        inputs: fingerprints, by name, of all that the objective depends on besides the settings.

    Raises:
        InputError: the journal holds trials of another base or other inputs, which cannot be compared with these.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    _check_journal(storage)
    ranges = {name: bounds for name, bounds in RANGES.items() if _is_set(base, name)}
    lock = JournalFileSymlinkLock(str(storage), grace_period=_ABANDONED_S)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(storage), lock)),
        study_name="tracker",
        direction="maximize",
        load_if_exists=True,
        # What was tried before decides what is tried next, also after a restart; only the seed must move on.
        sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True),
    )
    _check_inputs(study, {**inputs, "base settings": repr(base)}, storage)
    # None is complete also after a run that was killed in its first trial.
    if not study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        study.enqueue_trial(dict.fromkeys(ranges, 1.0))
    else:
        study.sampler.reseed_rng()

    def value(trial: optuna.Trial) -> float:
        factors = {name: trial.suggest_float(name, *bounds, log=True) for name, bounds in ranges.items()}
        return objective(scaled(base, factors))

    for _ in range(n_trials):
        # `study.optimize` meets an interrupt with tracebacks, and at some moments with an error of its own.
        trial = study.ask()
        study.tell(trial, value(trial))
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    return Tuned(
        config=scaled(base, study.best_params),
        start=_value(done[0]),
        best=study.best_value,
        n_trials=len(done),
        importance=_importance(study) if len(done) > len(ranges) else {},
        factors=study.best_params,
    )


def _check_inputs(study: optuna.Study, inputs: Mapping[str, str], storage: Path) -> None:
    """Note what the trials of a new study are made on, or refuse those of a study that were made on something else."""
    if not study.trials:
        study.set_user_attr(_INPUTS, dict(inputs))
    noted = study.user_attrs.get(_INPUTS, {})
    if changed := [name for name, value in inputs.items() if noted.get(name) != value]:
        raise InputError(
            f"{storage}: holds trials with other {' and '.join(changed)}, which cannot be compared; "
            "take another folder, or remove this file"
        )


def _check_journal(path: Path) -> None:
    """Of a run that was killed the last line may be cut off."""
    *lines, _ = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, start=1):
        try:
            usable = "op_code" in decode_json(line)
        except (InputError, TypeError):
            usable = False
        if not usable:
            raise InputError(f"{path}: line {number} is none of a journal of trials; take another folder")


def config_source(config: TrackerConfig, comment: str) -> str:
    """A config file that holds these settings: what differs from the defaults."""
    given = _differing(config, TrackerConfig(), skip=("noise", "camera_evidence", "classes", "taxonomy"))
    noise = _differing(config.noise, MeasurementNoise())
    cameras = _differing(config.camera_evidence, CameraEvidenceConfig())
    classes, defaults = {}, default_classes(config.taxonomy)
    for name, own in config.classes.items():
        changed = _differing(own, defaults.get(name, ClassConfig()))
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
