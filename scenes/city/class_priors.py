"""What the simulated detectors expect of each class: nuScenes' ten, or classes of one's own that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.classes import CLASS_OF_CATEGORY
from scenes.geometry import FloatArray
from scenes.taxonomy import ObjectClass, Taxonomy


@dataclass(frozen=True)
class _Prior:
    """What a detector expects of a class.

    Attributes:
        size_wlh_m: typical size.
        difficulty: added to the quality of its objects.
        clutter: weight among the false positives.
        attributes: those that may be given; the first is usual.
        confused_with: class that a duplicate may bear instead.
    """

    size_wlh_m: tuple[float, float, float]
    difficulty: float
    clutter: float
    attributes: tuple[str, ...]
    confused_with: str


_VEHICLE: Final = ("vehicle.parked", "vehicle.moving", "vehicle.stopped")
_CYCLE: Final = ("cycle.without_rider", "cycle.with_rider")
_PERSON: Final = ("pedestrian.moving", "pedestrian.standing", "pedestrian.sitting_lying_down")
_PRIORS: Final = {
    "car": _Prior((1.95, 4.6, 1.7), 0.4, 0.30, _VEHICLE, "truck"),
    "truck": _Prior((2.5, 6.9, 2.8), -0.1, 0.09, _VEHICLE, "car"),
    "construction_vehicle": _Prior((2.7, 6.4, 3.2), -0.9, 0.04, _VEHICLE, "truck"),
    "bus": _Prior((2.9, 11.0, 3.4), 0.1, 0.03, _VEHICLE, "truck"),
    "trailer": _Prior((2.9, 12.0, 3.9), -0.6, 0.05, _VEHICLE, "truck"),
    "barrier": _Prior((2.5, 0.5, 1.0), 0.1, 0.11, ("",), "traffic_cone"),
    "motorcycle": _Prior((0.8, 2.1, 1.5), -0.2, 0.04, _CYCLE, "bicycle"),
    "bicycle": _Prior((0.6, 1.7, 1.3), -0.2, 0.05, _CYCLE, "motorcycle"),
    "pedestrian": _Prior((0.67, 0.73, 1.77), 0.1, 0.19, _PERSON, "pedestrian"),
    "traffic_cone": _Prior((0.4, 0.4, 1.0), 0.2, 0.10, ("",), "barrier"),
}
_UNKNOWN: Final = _Prior((1.0, 1.0, 1.0), 0.0, 0.0, ("",), "")
"""Of a class of things that the city does not have: no false positives."""


@dataclass(frozen=True, eq=False)
class ClassPriors:
    """What is expected of each label.

    Attributes:
        size_wlh_m: (C, 3) typical sizes.
        difficulty: (C,) added to the quality of objects.
        clutter_share: (C,) of false positives, how many bear each class; sums up to 1.
        confused_label: (C,) the class for which each is taken by mistake.
        is_person: (C,) whether its heading is hard to tell.
        attributes: those that may be given, a label each.
    """

    size_wlh_m: FloatArray
    difficulty: FloatArray
    clutter_share: FloatArray
    confused_label: NDArray[np.int64]
    is_person: NDArray[np.bool_]
    attributes: Sequence[tuple[str, ...]]


@lru_cache(maxsize=4)
def class_priors(taxonomy: Taxonomy) -> ClassPriors:
    """The priors of some classes: each has those of nuScenes' class that its categories belong to."""
    kinds = [_nuscenes_class(class_) for class_ in taxonomy.classes]
    priors = [_PRIORS.get(kind, _UNKNOWN) for kind in kinds]
    clutter = np.array([prior.clutter for prior in priors])
    return ClassPriors(
        size_wlh_m=np.array([prior.size_wlh_m for prior in priors]),
        difficulty=np.array([prior.difficulty for prior in priors]),
        clutter_share=clutter / clutter.sum() if clutter.any() else np.full(len(kinds), 1.0 / len(kinds)),
        confused_label=np.array(
            [
                kinds.index(prior.confused_with) if prior.confused_with in kinds else label
                for label, prior in enumerate(priors)
            ]
        ),
        is_person=np.array([kind == "pedestrian" for kind in kinds]),
        attributes=[
            tuple(name for name in prior.attributes if name in class_.attributes) or class_.attributes or ("",)
            for prior, class_ in zip(priors, taxonomy.classes, strict=True)
        ],
    )


def _nuscenes_class(class_: ObjectClass) -> str:
    """The class of nuScenes that most of a class's categories belong to; "" where none does."""
    found = [CLASS_OF_CATEGORY[category] for category in class_.categories if category in CLASS_OF_CATEGORY]
    return max(found, key=found.count, default="")
