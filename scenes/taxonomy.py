"""Which classes a data root knows: nuScenes' ten, or those of a `classes.json` that it brings.

The file is a list of classes. Their order is the order of labels: `Boxes3D.label` indexes it.

    [{"name": "forklift", "range_m": 150, "categories": ["forklift"], "max_speed_mps": 8, "color": "#e69f00"},
     {"name": "pallet", "range_m": 60, "tracked": false, "thin": true, "static": true},
     {"name": "reach_truck", "parent": "forklift"}]

A class with a parent counts as its parent: its categories, and boxes of its name, are the parent's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.classes import (
    ATTRIBUTES,
    BIKE_RACK_CATEGORY,
    CLASS_OF_CATEGORY,
    DETECTION_CLASSES,
    NO_CLASS,
    TRACKING_CLASSES,
)
from scenes.errors import InputError, shown, unknown_name
from scenes.geometry import FloatArray
from scenes.json_text import is_number, read_json

CLASSES_FILE: Final = "classes.json"

IGNORED: Final = -2
"""Label of a category that takes no part in any task (animals, debris, ...)."""

_FARTHEST_M: Final = 1e4
_FASTEST_MPS: Final = 1e3
_LONGEST_NAME: Final = 60


@dataclass(frozen=True)
class ObjectClass:
    """One class.

    Attributes:
        name: in result files.
        range_m: distance from the ego vehicle, in the xy plane, up to which it is evaluated.
        categories: the annotation categories that belong to it; the first is the one that converters write.
        tracked: whether it takes part in tracking.
        thin: whether it looks the same from both sides, like a barrier: its heading is known up to half a turn.
        round: whether it has no heading, like a traffic cone.
        static: whether it never moves by itself: velocities are not compared.
        attributes: that it can have, nuScenes' or others; without any they are not compared.
        gate_m, speed_mps, max_speed_mps: what the tracker assumes, see `tracking.ClassConfig`; None for its defaults.
        size_wlh_m: typical width, length, height.
        color: `#rrggbb`; None takes one of the palette.
    """

    name: str
    range_m: float
    categories: tuple[str, ...]
    tracked: bool = True
    thin: bool = False
    round: bool = False
    static: bool = False
    attributes: tuple[str, ...] = ()
    gate_m: float | None = None
    speed_mps: float | None = None
    max_speed_mps: float | None = None
    size_wlh_m: tuple[float, float, float] | None = None
    color: str | None = None


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data root, in the order of their labels.

    Attributes:
        classes: the classes.
        merged: the names of further classes, each with the name of the class that it counts as.
        path: the file that says so, for messages; None for nuScenes' own.
    """

    classes: tuple[ObjectClass, ...]
    merged: tuple[tuple[str, str], ...] = ()
    path: Path | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The class names: a label indexes them."""
        return tuple(class_.name for class_ in self.classes)

    @cached_property
    def tracked_names(self) -> tuple[str, ...]:
        """The names of the classes that are tracked, in alphabetical order, which is the devkit's."""
        return tuple(sorted(class_.name for class_ in self.classes if class_.tracked))

    @cached_property
    def label_of(self) -> Mapping[str, int]:
        """The label of each name that result files may hold, those of merged classes included."""
        labels = {name: label for label, name in enumerate(self.names)}
        return labels | {name: labels[parent] for name, parent in self.merged}

    @cached_property
    def tracked_labels(self) -> frozenset[int]:
        """The labels of the classes that are tracked."""
        return frozenset(label for label, class_ in enumerate(self.classes) if class_.tracked)

    @cached_property
    def tracking_names(self) -> tuple[str, ...]:
        """The names that tracking files may hold: `tracked_names`, and what is merged into them."""
        merged = (name for name, parent in self.merged if parent in self.tracked_names)
        return (*self.tracked_names, *merged)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The names that an attribute can have: nuScenes', then those that only these classes have."""
        listed = (attribute for class_ in self.classes for attribute in class_.attributes)
        return tuple(dict.fromkeys((*ATTRIBUTES, *listed)))

    @cached_property
    def range_m(self) -> FloatArray:
        """(C,) the range of each label."""
        return np.array([class_.range_m for class_ in self.classes], dtype=np.float64)

    @cached_property
    def racked_labels(self) -> tuple[int, ...]:
        """The labels of what stands in bicycle racks, where nuScenes does not evaluate it."""
        return tuple(label for label, name in enumerate(self.names) if name in ("bicycle", "motorcycle"))

    def label_of_category(self, category: str) -> int:
        """The label of an annotation category: `NO_CLASS` of a bicycle rack, `IGNORED` of one that takes no part."""
        return self._label_of_category.get(category, NO_CLASS if category == BIKE_RACK_CATEGORY else IGNORED)

    @cached_property
    def _label_of_category(self) -> Mapping[str, int]:
        return {category: label for label, class_ in enumerate(self.classes) for category in class_.categories}

    def labels(self, names: Iterable[str]) -> NDArray[np.int64]:
        """The labels of classes that a user names.

        Raises:
            InputError: there is no such class; the message has the nearest names.
        """
        listed = list(names)
        for name in listed:
            if name not in self.label_of:
                raise InputError(f"{self}: class {unknown_name(name, list(self.label_of))}")
        return np.array([self.label_of[name] for name in listed], dtype=np.int64)

    def __str__(self) -> str:
        return "nuScenes" if self.path is None else str(self.path)

    def require_nuscenes(self, what: str) -> None:
        """Refuse classes of one's own.

        Args:
            what: needs nuScenes' ten classes.

        Raises:
            InputError: these are others.
        """
        if self != NUSCENES:
            raise InputError(f"{self}: {what} knows nuScenes' ten classes only")


def _attributes_of(kind: str) -> tuple[str, ...]:
    return tuple(attribute for attribute in ATTRIBUTES if attribute.startswith(f"{kind}."))


def _nuscenes_class(name: str) -> ObjectClass:
    kinds = {"pedestrian": "pedestrian", "bicycle": "cycle", "motorcycle": "cycle"}
    is_static = name in ("barrier", "traffic_cone")
    ranges_m = {"pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30}
    return ObjectClass(
        name=name,
        range_m=ranges_m.get(name, 50),
        categories=tuple(category for category, class_ in CLASS_OF_CATEGORY.items() if class_ == name),
        tracked=name in TRACKING_CLASSES,
        thin=name == "barrier",
        round=name == "traffic_cone",
        static=is_static,
        attributes=() if is_static else _attributes_of(kinds.get(name, "vehicle")),
    )


NUSCENES: Final = Taxonomy(tuple(map(_nuscenes_class, DETECTION_CLASSES)))
"""The ten classes of nuScenes: those of a data root that brings no others."""


def read_taxonomy(dataroot: Path | str) -> Taxonomy:
    """The classes of a data root: those of its `classes.json`, or nuScenes' where it has none.

    Raises:
        InputError: see `read_classes`.
    """
    path = Path(dataroot, CLASSES_FILE)
    return read_classes(path) if path.is_file() else NUSCENES


def read_classes(path: Path) -> Taxonomy:
    """The classes that a file lists.

    Raises:
        InputError: it cannot be read, or a class cannot be used: a name or category that is there twice, a parent that
            does not exist or is its own ancestor, a key that is missing or unknown, a value that cannot be. The message
            names file, class and key.
    """
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: expected a list of classes")
    entries = [_Entry(path, index, entry) for index, entry in enumerate(content)]
    _refuse_twice([(entry, "name", entry.name) for entry in entries])
    _refuse_twice([(entry, "categories", category) for entry in entries for category in entry.categories])
    by_name = {entry.name: entry for entry in entries}
    class_of = {entry.name: _topmost(entry, by_name) for entry in entries}
    taxonomy = Taxonomy(
        classes=tuple(
            entry.object_class([one for child in entries if class_of[child.name] is entry for one in child.categories])
            for entry in entries
            if entry.parent is None
        ),
        merged=tuple((entry.name, class_of[entry.name].name) for entry in entries if entry.parent is not None),
        path=path,
    )
    # The same classes are the same, whoever lists them: they are then not called by the file.
    return NUSCENES if taxonomy == NUSCENES else taxonomy


_KEYS: Final = (*(field_.name for field_ in fields(ObjectClass)), "parent")
_KEYS_WITH_PARENT: Final = ("name", "categories", "parent")
_FLAGS: Final = ("tracked", "thin", "round", "static")
_NUSCENES_KINDS: Final = frozenset(name.split(".")[0] for name in ATTRIBUTES)
"""What nuScenes' attributes begin with: nobody else's do."""
_LARGEST: Final = {
    "range_m": _FARTHEST_M,
    "gate_m": _FARTHEST_M,
    "speed_mps": _FASTEST_MPS,
    "max_speed_mps": _FASTEST_MPS,
}


class _Entry:
    """One class of the file, checked as far as it can be alone."""

    def __init__(self, path: Path, index: int, given: Any) -> None:
        self._where = f"{path}: class {index}"
        if not isinstance(given, dict):
            raise InputError(f"{self._where}: expected an object, got {shown(given)}")
        self._given = given
        self.name: str = self._name()
        self._where += f" {shown(self.name)}"
        self.parent: str | None = given.get("parent")
        if self.parent is not None and not isinstance(self.parent, str):
            raise self.error("parent", f"expected the name of a class, got {shown(self.parent)}")
        self._check_keys()
        self.categories: tuple[str, ...] = self._texts("categories", (self.name,))
        if not self.categories:
            raise self.error("categories", "expected at least one")

    def error(self, key: str, what: str) -> InputError:
        return InputError(f"{self._where}, key {key}: {what}")

    def object_class(self, categories: Sequence[str]) -> ObjectClass:
        """The class; `categories` are its own and those that are merged into it."""
        attributes = self._texts("attributes", ())
        for name in attributes:
            self._check_attribute(name)
        numbers = {key: self._number(key) for key in _LARGEST}
        if numbers["range_m"] is None:
            raise self.error("range_m", "missing")
        flags = {key: self._flag(key) for key in _FLAGS}
        if flags["thin"] and flags["round"]:
            raise self.error("round", "a class is thin or round, not both")
        given = {key: value for key, value in {**numbers, **flags}.items() if value is not None}
        ordered = (*self.categories, *(one for one in categories if one not in self.categories))
        return ObjectClass(
            name=self.name,
            categories=ordered,
            attributes=attributes,
            size_wlh_m=self._size(),
            color=self._color(),
            **given,  # type: ignore[arg-type]  # each of its own type
        )

    def _name(self) -> str:
        if "name" not in self._given:
            raise self.error("name", "missing")
        name = self._given["name"]
        # The names of classes stand before a colon in the files of the evaluation, and beside "all".
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w .+-]*", name) or len(name) > _LONGEST_NAME:
            raise self.error("name", f"expected letters, digits and _ . + -, got {shown(name)}")
        if name == "all":
            raise self.error("name", "'all' stands for all classes together")
        return name

    def _check_keys(self) -> None:
        for key in self._given:
            if key not in _KEYS:
                raise self.error(key, unknown_name(key, _KEYS))
            if self.parent is not None and key not in _KEYS_WITH_PARENT:
                raise self.error(key, f"a class with a parent has that of its parent {shown(self.parent)}")

    def _texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._given.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise self.error(key, f"expected a list of names, got {shown(value)}")
        return tuple(value)

    def _check_attribute(self, name: str) -> None:
        """Refuse what can be neither nuScenes' nor one's own, such as `traffic_sign.temporary`."""
        if name not in ATTRIBUTES and name.split(".")[0] in _NUSCENES_KINDS:
            raise self.error("attributes", unknown_name(name, ATTRIBUTES))
        if not re.fullmatch(r"\w[\w.-]*", name) or len(name) > _LONGEST_NAME:
            raise self.error("attributes", f"expected letters, digits and _ . -, got {shown(name)}")

    def _number(self, key: str) -> float | None:
        value = self._given.get(key)
        if value is None:
            return None
        least = "positive" if key in ("range_m", "gate_m") else "not negative"
        if not is_number(value) or not 0 <= value <= _LARGEST[key] or (value == 0 and least == "positive"):
            raise self.error(key, f"expected a number, {least}, up to {_LARGEST[key]:g}, got {shown(value)}")
        return float(value)

    def _flag(self, key: str) -> bool | None:
        value = self._given.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {shown(value)}")
        return value

    def _size(self) -> tuple[float, float, float] | None:
        value = self._given.get("size_wlh_m")
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 3 or not all(is_number(one) and one > 0 for one in value):
            raise self.error("size_wlh_m", f"expected width, length and height, got {shown(value)}")
        width, length, height = map(float, value)
        return width, length, height

    def _color(self) -> str | None:
        value = self._given.get("color")
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value)):
            raise self.error("color", f"expected #rrggbb, got {shown(value)}")
        return value


def _refuse_twice(named: Sequence[tuple[_Entry, str, str]]) -> None:
    first: dict[str, _Entry] = {}
    for entry, key, name in named:
        if name in first:
            raise entry.error(key, f"{shown(name)} is there twice, first in class {shown(first[name].name)}")
        first[name] = entry


def _topmost(entry: _Entry, by_name: Mapping[str, _Entry]) -> _Entry:
    """The class that an entry counts as, through all its parents."""
    passed = [entry.name]
    current = entry
    while current.parent is not None:
        if current.parent not in by_name:
            raise current.error("parent", unknown_name(current.parent, list(by_name)))
        if current.parent in passed:
            raise current.error("parent", f"a class is its own ancestor: {' -> '.join([*passed, current.parent])}")
        passed.append(current.parent)
        current = by_name[current.parent]
    return current
