"""The tracker's settings: typed, checked, and read from mmengine config files.

A config file (`configs/tracking/*.py`) defines `tracker = dict(...)` with what differs from the defaults here;
`classes` maps class names to what differs for them, and `every_class` holds what differs for all.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from scenes import NUSCENES, InputError, ObjectClass, Taxonomy
from tracking.association import ASSIGNMENTS
from tracking.motion import MOTION_MODELS

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "motion": (*MOTION_MODELS, "last_box"),
    "assignment": tuple(ASSIGNMENTS),
    "cost": ("mahalanobis", "giou", "distance", "backtracked_distance"),
    "track_score": ("detection", "evidence"),
}


def _checked(value: Any, hint: Any, name: str) -> Any:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise InputError(f"{name} is {value!r}, expected one of {', '.join(_CHOICES[name])}")
    if name == "classes":
        return _checked_classes(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not value >= 0 or value == float("inf"):
            raise InputError(f"{name} is {value!r}, expected a finite number, not negative")
        return float(value)
    if type(value) is hint:
        if hint is int and value < 0:
            raise InputError(f"{name} is {value!r}, expected a number that is not negative")
        return value
    raise InputError(f"{name} is {value!r}, expected {hint.__name__}")


def _checked_classes(value: Any) -> Mapping[str, ClassConfig]:
    if not isinstance(value, Mapping) or not all(type(own) is ClassConfig for own in value.values()):
        raise InputError(f"classes is {value!r}, expected a ClassConfig for each class")
    return value


class _CheckedSettings:
    """Settings that are checked when they are made, from a file or in Python; an `int` may stand for a `float`.

    Raises:
        InputError: a value of the wrong type, a number that is negative or not finite, or none of the choices.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for setting in fields(self):  # type: ignore[arg-type]  # every class below is a dataclass
            value = _checked(getattr(self, setting.name), hints[setting.name], setting.name)
            object.__setattr__(self, setting.name, value)


@dataclass(frozen=True)
class MeasurementNoise(_CheckedSettings):
    """Standard deviations of a detector's boxes. A camera errs along the viewing ray, and more so far away."""

    along_m: float = 0.3
    along_per_m: float = 0.03
    across_m: float = 0.3
    across_per_m: float = 0.01
    height_m: float = 0.4
    size_share: float = 0.15
    yaw_rad: float = 0.4
    velocity_mps: float = 1.5


@dataclass(frozen=True)
class CameraEvidenceConfig(_CheckedSettings):
    """What the boxes of a 2D detector do for tracks, where the tracker is given some.

    Attributes:
        least_iou: least overlap, in the image, of a track's projected box and a 2D box that speaks for it.
        least_score: 2D boxes below it do not count.
        keep_s: how long after its last 3D box a track can live on 2D boxes.
        score_log_odds: how much the log odds of a track's score rise at most: by this, times the mean score of the 2D
            boxes that spoke for it, times the share of its life in which they did.
    """

    least_iou: float = 0.4
    least_score: float = 0.3
    keep_s: float = 2.0
    score_log_odds: float = 1.5


@dataclass(frozen=True)
class ClassConfig(_CheckedSettings):
    """What the tracker assumes of one class.

    Attributes:
        motion: one of `tracking.motion.MOTION_MODELS`, or `last_box` to leave boxes unfiltered.
        speed_mps: spread of speeds, the prior of an unmeasured velocity.
        acceleration_mps2, yaw_acceleration_radps2: spread of what the motion model leaves out.
        max_speed_mps: measured velocities beyond it are not believed.
        gate_m: greatest distance in the ground plane between a box and the place its track is predicted at.
        max_unseen_s: a track dies when it was not seen for longer, however well it was known.
        min_score: boxes below it are not used.
        birth_score: boxes below it continue tracks but start none.
        confirm_hits: a track is reported from this many boxes on.
    """

    motion: str = "constant_velocity"
    speed_mps: float = 4.0
    acceleration_mps2: float = 0.8
    yaw_acceleration_radps2: float = 0.5
    max_speed_mps: float = 40.0
    gate_m: float = 4.0
    max_unseen_s: float = 1.75
    min_score: float = 0.0
    birth_score: float = 0.0
    confirm_hits: int = 1


DEFAULT_CLASSES: Mapping[str, ClassConfig] = {
    "car": ClassConfig(),
    "truck": ClassConfig(),
    "bus": ClassConfig(gate_m=5.5),
    "trailer": ClassConfig(),
    "motorcycle": ClassConfig(),
    "bicycle": ClassConfig(speed_mps=2.5, max_speed_mps=15.0, gate_m=3.0),
    "pedestrian": ClassConfig(speed_mps=1.2, acceleration_mps2=0.4, max_speed_mps=6.0, gate_m=2.0),
}


def default_classes(taxonomy: Taxonomy) -> dict[str, ClassConfig]:
    """The settings of each tracked class of a data root.

    Classes of nuScenes' names have its settings, others the defaults of `ClassConfig`; what the taxonomy says of one
    goes before both. Where it says how fast a class is at most, and not how fast as a rule, a fifth of that is assumed.
    """
    return {class_.name: _default_class(class_) for class_ in taxonomy.classes if class_.tracked}


def _default_class(class_: ObjectClass) -> ClassConfig:
    default = DEFAULT_CLASSES.get(class_.name, ClassConfig())
    stated: dict[str, Any] = {
        "gate_m": class_.gate_m,
        "speed_mps": class_.speed_mps,
        "max_speed_mps": class_.max_speed_mps,
    }
    if class_.speed_mps is None and class_.max_speed_mps is not None:
        stated["speed_mps"] = max(_SPEED_SHARE * class_.max_speed_mps, _LEAST_SPEED_MPS)
    return replace(default, **{name: value for name, value in stated.items() if value is not None})


_SPEED_SHARE: Final = 0.2
_LEAST_SPEED_MPS: Final = 0.1
"""Even what never moves is not known to do so by the filter."""


@dataclass(frozen=True)
class TrackerConfig(_CheckedSettings):
    """All settings of `tracking.Tracker`.

    Attributes:
        classes: settings by class; boxes of other classes are left out.
        noise: what the detector's boxes are assumed to err.
        learn_noise: whether it is learned how far places and velocities really err (`tracking.box_errors`).
        camera_evidence: what the boxes of a 2D detector do, where the tracker is given some.
        suppress_duplicates: leave out boxes that see again what a better box of their class stands for, or that a query
            reports beside a better one.
        duplicate_reach: how far a body reaches for that, as a multiple of its own footprint.
        duplicate_ray_sigmas: how many standard deviations along the viewing ray are added to the reach.
        cost: by what pairs are chosen: `mahalanobis` (standard deviations), `giou` (1 - overlap seen from above),
            `distance` (share of the gate), or `backtracked_distance` (the same, from a track's last place to the box
            moved back by its own velocity).
        gate_sigmas: with `mahalanobis`, the greatest distance of a pair, besides `gate_m`.
        gate_giou: with `giou`, the greatest 1 - GIoU of a pair, besides `gate_m`.
        birth_probability: boxes that are less probably true continue tracks but start none.
        assignment: one of `tracking.association.ASSIGNMENTS`.
        use_identity: whether `query_id`s count, if the detector's prove to stay with their objects.
        identity_gate_scale: stage 1, how much of the gates a pair may use that shares a `query_id`.
        identity_bonus: stage 2, how much cheaper a pair is that shares one, in the unit of the cost.
        identity_memory_s: stage 3, how long an unseen track can be recovered by its `query_id`.
        recovery_gate_scale: stage 3, how much wider the gates are for boxes that nobody else took.
        newborn_gate_scale: how much wider `gate_m` is between a track of one box and another box, if both are probably
            true.
        newborn_unseen_s, unseen_share: a track dies when it was not seen for longer than `newborn_unseen_s` and
            `unseen_share` of the time that it has been observed: a chance of clutter is soon forgotten.
        report_unseen_s: tracks that were observed for as long are reported at their predicted place for that long after
            they were last seen, and for two frames at most, while the detector sees anything in their direction.
        track_score: `detection` reports a box's own score; `evidence` how probably the track is one of an object, by
            its boxes and how much of its life it was seen, times a share that grows with the time it has been observed.
        evidence_time_s: the time in which that share reaches 63%.
        report_probability: with `evidence`, tracks of a lower score are not reported.
        link_gap_s: offline, the longest time between two fragments that are put together.
        link_log_odds: offline, how much likelier than not they have to be one object, as the logarithm of odds.
        max_tracks: upper bound of live tracks; beyond it those unseen for longest, then the weakest, die.
        taxonomy: the classes that the labels of boxes mean; see `TrackerConfig.of`.
    """

    classes: Mapping[str, ClassConfig] = field(default_factory=lambda: dict(DEFAULT_CLASSES))
    noise: MeasurementNoise = field(default_factory=MeasurementNoise)
    learn_noise: bool = True
    camera_evidence: CameraEvidenceConfig = field(default_factory=CameraEvidenceConfig)
    suppress_duplicates: bool = True
    duplicate_reach: float = 1.3
    duplicate_ray_sigmas: float = 1.0
    cost: str = "mahalanobis"
    gate_sigmas: float = 3.5
    gate_giou: float = 1.5
    birth_probability: float = 0.3
    assignment: str = "optimal"
    use_identity: bool = True
    identity_gate_scale: float = 0.5
    identity_bonus: float = 1.0
    identity_memory_s: float = 2.0
    recovery_gate_scale: float = 1.5
    newborn_gate_scale: float = 2.0
    newborn_unseen_s: float = 0.6
    unseen_share: float = 0.5
    report_unseen_s: float = 0.6
    track_score: str = "evidence"
    evidence_time_s: float = 1.2
    report_probability: float = 0.075
    link_gap_s: float = 3.0
    link_log_odds: float = 2.0
    max_tracks: int = 2000
    taxonomy: Taxonomy = field(default=NUSCENES, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.taxonomy.tracked_names
        if unknown := self.classes.keys() - set(known):
            raise InputError(f"classes: no class '{min(map(str, unknown))}' (there are {', '.join(known)})")

    @property
    def least_reported_score(self) -> float:
        """The score from which on tracks are reported; a detector's own scores have no such bound."""
        return self.report_probability if self.track_score == "evidence" else 0.0

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> TrackerConfig:
        """The default settings for the classes of a data root."""
        return cls(classes=default_classes(taxonomy), taxonomy=taxonomy)
