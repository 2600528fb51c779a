"""Sizes of boxes against what their classes are in the world: units, order of the sides, single outliers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Final, NamedTuple

import numpy as np

from scenes.doctor.data_root import BoolArray, DataRoot, IntArray
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Example, Finding, Severity
from scenes.geometry import FloatArray
from scenes.taxonomy import NUSCENES, ObjectClass, Taxonomy

TYPICAL_WLH_M: Final = {
    "car": (1.95, 4.62, 1.73),
    "truck": (2.51, 6.93, 2.84),
    "construction_vehicle": (2.85, 6.37, 3.19),
    "bus": (2.94, 10.5, 3.47),
    "trailer": (2.90, 12.29, 3.87),
    "barrier": (2.53, 0.50, 0.98),
    "motorcycle": (0.77, 2.11, 1.47),
    "bicycle": (0.60, 1.70, 1.28),
    "pedestrian": (0.67, 0.73, 1.77),
    "traffic_cone": (0.41, 0.41, 1.07),
}
"""Mean width, length and height of the classes in nuScenes, as published with its detection baselines."""

_LIMITS_WLH_M: Final = {
    "car": ((1.0, 3.2), (2.0, 9.0), (0.9, 3.5)),
    "truck": ((1.2, 4.5), (2.5, 26.0), (1.0, 5.5)),
    "construction_vehicle": ((0.8, 7.0), (1.0, 26.0), (0.8, 15.0)),
    "bus": ((1.5, 4.5), (3.5, 26.0), (1.5, 5.5)),
    "trailer": ((0.6, 5.0), (0.8, 26.0), (0.3, 6.0)),
    "barrier": ((0.2, 20.0), (0.05, 20.0), (0.2, 4.0)),
    "motorcycle": ((0.2, 2.2), (0.8, 4.5), (0.5, 2.8)),
    "bicycle": ((0.1, 2.0), (0.6, 4.0), (0.4, 2.8)),
    "pedestrian": ((0.15, 2.2), (0.15, 2.6), (0.3, 2.7)),
    "traffic_cone": ((0.05, 2.0), (0.05, 2.0), (0.1, 2.5)),
}
"""Least and most of each side: from the smallest that is built, or born, to what roads admit, load included."""

_LONGER_THAN_WIDE: Final = ("car", "truck", "bus", "motorcycle", "bicycle")
_CLEARLY_LONGER: Final = 1.5
"""A class of one's own is longer than wide if its typical length is so many times its width."""
_SPREAD: Final = 3.0
"""A class of one's own has sides of its typical ones divided or multiplied by this."""
_ANY_WLH_M: Final = ((0.0, np.inf),) * 3
_UNKNOWN_WLH_M: Final = (np.nan, np.nan, np.nan)
_WIDER: Final = 1.2
_FEWEST: Final = 5
"""So many boxes make a median of a class."""
_UNLIKE: Final = 0.45
"""Mean distance of a class's median size from the typical one, the Euclidean norm of three logarithms, beyond which
another reading is looked for: as if each side were off by 30%, which no fleet is."""

_ORDERS: Final = {order: ", ".join(order) for order in permutations(("width", "length", "height"))}
_SCALES: Final = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres", 0.3048: "feet", 2.0: "half sides"}
_AS_IT_SHOULD_BE: Final = ("width", "length", "height")


class Reading(NamedTuple):
    """A way to read three numbers as a size: which sides they are, and what one of them is in metres."""

    order: tuple[str, ...]
    scale: float


def typical_wlh_m(taxonomy: Taxonomy) -> FloatArray:
    """(C, 3) what boxes of each class measure: as it states, else as nuScenes' class of its name does, or NaN."""
    return np.array(
        [class_.size_wlh_m or TYPICAL_WLH_M.get(class_.name, _UNKNOWN_WLH_M) for class_ in taxonomy.classes]
    )


def labels_longer_than_wide(taxonomy: Taxonomy) -> list[int]:
    """The labels of the classes whose boxes are longer than wide."""
    return [label for label, class_ in enumerate(taxonomy.classes) if _is_longer(class_)]


def _is_longer(class_: ObjectClass) -> bool:
    if class_.size_wlh_m is None:
        return class_.name in _LONGER_THAN_WIDE
    width, length, _ = class_.size_wlh_m
    return not class_.thin and not class_.round and length >= _CLEARLY_LONGER * width


def _limits_wlh_m(class_: ObjectClass) -> tuple[tuple[float, float], ...]:
    if class_.size_wlh_m is None:
        return _LIMITS_WLH_M.get(class_.name, _ANY_WLH_M)
    return tuple((side / _SPREAD, side * _SPREAD) for side in class_.size_wlh_m)


def better_reading(size: FloatArray, label: IntArray, taxonomy: Taxonomy = NUSCENES) -> Reading | None:
    """How sizes were meant, if not as width, length, height in metres.

    Args:
        size: (N, 3) as written.
        label: (N,) classes; negative ones, and classes of no known size, are left out.
        taxonomy: the classes.

    Returns:
        the reading under which the classes' median sizes are typical; None where that is the right one, or none is.
    """
    typical_of = typical_wlh_m(taxonomy)
    known = [one for one in np.unique(label).tolist() if one >= 0 and not np.isnan(typical_of[one]).any()]
    labels = [one for one in known if (label == one).sum() >= _FEWEST]
    if not labels:
        return None
    median = np.log([np.median(size[label == one], axis=0) for one in labels])
    typical = np.log(typical_of[labels])

    def unlikeness(reading: Reading) -> float:
        places = [reading.order.index(side) for side in _AS_IT_SHOULD_BE]
        apart = np.linalg.norm(median[:, places] + np.log(reading.scale) - typical, axis=1)
        return float(apart.mean())

    written = Reading(_AS_IT_SHOULD_BE, 1.0)
    best = min((Reading(order, scale) for scale in _SCALES for order in _ORDERS), key=unlikeness)
    unlike = unlikeness(written)
    return best if unlike > _UNLIKE and unlikeness(best) < 0.5 * unlike else None


def outside_limits(size: FloatArray, label: IntArray, taxonomy: Taxonomy = NUSCENES) -> BoolArray:
    """(N,) which boxes have a side that nothing of their class has."""
    limits = np.array([_limits_wlh_m(class_) for class_ in taxonomy.classes])[np.maximum(label, 0)]
    outside: BoolArray = (label >= 0) & ((size < limits[..., 0]) | (size > limits[..., 1])).any(axis=1)
    return outside


def reading_finding(reading: Reading, where: str, count: int, example: Example) -> Finding:
    """Sizes of a file that were meant otherwise than they are read."""
    other_unit = reading.scale != 1.0
    meant = _SCALES[reading.scale] if other_unit else f"in the order {_ORDERS[reading.order]}"
    return Finding(
        "size-units" if other_unit else "size-order",
        Severity.ERROR,
        count,
        count,
        f"{where}: sizes fit their classes when read as {meant}",
        example,
        "Write width, length, height in metres: whole sides, width across the direction of travel.",
    )


def check_sizes(root: DataRoot) -> Iterator[Finding]:
    """Sizes in other units or another order, lying vehicles, and single boxes that nothing of their class fits."""
    boxes = root.boxes
    rows = np.flatnonzero(boxes.usable & (boxes.label >= 0))
    size, label = boxes.size_wlh_m[rows], boxes.label[rows]
    reading = better_reading(size, label, root.taxonomy)
    if reading is not None:
        text = f"size {boxes.size_wlh_m[rows[0]].tolist()}"
        yield reading_finding(reading, "sample_annotation.json", len(rows), box_example(root, int(rows[0]), text))
        return
    longer = np.isin(label, labels_longer_than_wide(root.taxonomy))
    wider = longer & (size[:, 0] > _WIDER * size[:, 1])
    outside = np.flatnonzero(outside_limits(size, label, root.taxonomy) & ~wider)
    if len(outside):
        typical = typical_wlh_m(root.taxonomy)[label[outside]]
        worst = int(rows[outside[np.argmax(np.abs(np.log(size[outside] / typical)).max(axis=1))]])
        yield Finding(
            "size-out-of-class",
            Severity.WARNING,
            len(outside),
            len(rows),
            "boxes with a side that nothing of their class has",
            box_example(root, worst, f"size {boxes.size_wlh_m[worst].tolist()}"),
            "Look at these boxes: a slip of the mouse, a wrong class, or sides in another order.",
        )
    lying = rows[wider]
    if len(lying):
        yield Finding(
            "wider-than-long",
            Severity.WARNING,
            len(lying),
            int(longer.sum()),
            "vehicles that are wider than long: width and length exchanged in some boxes",
            box_example(root, int(lying[0]), f"size {boxes.size_wlh_m[lying[0]].tolist()}"),
            "Exchange width and length of these boxes, or turn them by 90 degrees.",
        )
