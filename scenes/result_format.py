"""The nuScenes submission format, and the search for the first fault of a file that breaks it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from scenes.boxes import NO_QUERY, Boxes3D
from scenes.errors import InputError, shown, unknown_name
from scenes.json_text import decode_json, is_number
from scenes.taxonomy import Taxonomy

MAX_BOXES_PER_SAMPLE = 500
"""The devkit refuses files with more."""


def best_of_sample(boxes: Boxes3D) -> Boxes3D:
    """The boxes of a frame that a file may hold, in their order: of too many those of the highest scores."""
    if len(boxes) <= MAX_BOXES_PER_SAMPLE:
        return boxes
    return boxes.select(np.sort(np.argsort(-boxes.score, kind="stable")[:MAX_BOXES_PER_SAMPLE]))


UNIT_TOLERANCE = 1e-3
"""How far a quaternion's norm may lie from 1: three written decimals."""

_WIDTHS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}

_Fault = tuple[str, str]
"""A key and what is wrong with it."""


@dataclass(frozen=True)
class ResultFormat:
    """What sets detection and tracking files apart: the names of three keys."""

    name_key: str
    score_key: str
    other_key: str

    def classes(self, taxonomy: Taxonomy) -> Sequence[str]:
        """The names that such files may hold."""
        return taxonomy.tracking_names if self.name_key == "tracking_name" else list(taxonomy.label_of)


DETECTION_FORMAT = ResultFormat("detection_name", "detection_score", "attribute_name")
TRACKING_FORMAT = ResultFormat("tracking_name", "tracking_score", "tracking_id")


def find_fault(content: bytes, format_: ResultFormat, taxonomy: Taxonomy) -> str | None:
    """Where and what the first fault of an unusable file is; None if none is found."""
    try:
        data = decode_json(content)
    except InputError as error:
        return str(error)
    if not isinstance(data, dict):
        return "not a result file: expected an object with the keys 'meta' and 'results'"
    for key in ("meta", "results"):
        if not isinstance(data.get(key), dict):
            return f"key '{key}': " + ("expected an object" if key in data else "missing")
    names = _Names(format_.classes(taxonomy), {"", *taxonomy.attributes})
    faults = (_sample_fault(token, boxes, format_, names) for token, boxes in data["results"].items())
    return next((fault for fault in faults if fault), None)


@dataclass(frozen=True)
class _Names:
    """What classes and attributes of a file may be called."""

    classes: Sequence[str]
    attributes: AbstractSet[str]


def _sample_fault(token: str, boxes: Any, format_: ResultFormat, names: _Names) -> str | None:
    if not isinstance(boxes, list):
        return f"sample '{token}': expected a list of boxes, got {shown(boxes)}"
    if len(boxes) > MAX_BOXES_PER_SAMPLE:
        return f"sample '{token}': {len(boxes)} boxes, more than the {MAX_BOXES_PER_SAMPLE} that are allowed"
    for index, box in enumerate(boxes):
        if not isinstance(box, dict):
            return f"sample '{token}', box {index}: expected an object, got {shown(box)}"
        fault = next(_type_faults(box, format_), None) or next(_value_faults(token, box, format_, names), None)
        if fault:
            key, what = fault
            return f"sample '{token}', box {index}, key {key}: {what}"
    return None


def _type_faults(box: dict[str, Any], format_: ResultFormat) -> Iterator[_Fault]:
    """Keys of a box that are missing or hold something else than the format says."""
    texts = ("sample_token", format_.name_key, format_.other_key)
    for key in (*texts, *_WIDTHS, format_.score_key):
        if key not in box:
            yield key, "missing"
    for key in texts:
        if not isinstance(box.get(key), str):
            yield key, f"expected a string, got {shown(box.get(key))}"
    for key, width in _WIDTHS.items():
        vector = box.get(key)
        if not isinstance(vector, list) or len(vector) != width or not all(map(is_number, vector)):
            yield key, f"expected {width} finite numbers, got {shown(vector)}"
    if not is_number(box.get(format_.score_key)):
        yield format_.score_key, f"expected a finite number, got {shown(box.get(format_.score_key))}"
    query_id = box.get("query_id", NO_QUERY)
    if type(query_id) is not int or not -(2**63) <= query_id < 2**63:
        yield "query_id", f"expected an integer, got {shown(query_id)}"


def _value_faults(token: str, box: dict[str, Any], format_: ResultFormat, names: _Names) -> Iterator[_Fault]:
    """Keys of a box of the right types whose values cannot be."""
    if box["sample_token"] != token:
        yield "sample_token", f"{shown(box['sample_token'])} is not the sample under which the box stands"
    name = box[format_.name_key]
    if name not in names.classes:
        yield format_.name_key, f"class {unknown_name(name, names.classes)}"
    if format_ == DETECTION_FORMAT and box["attribute_name"] not in names.attributes:
        yield "attribute_name", f"unknown attribute {shown(box['attribute_name'])}"
    if min(box["size"]) <= 0:
        yield "size", f"must be positive, got {shown(box['size'])}"
    if abs(math.hypot(*box["rotation"]) - 1) >= UNIT_TOLERANCE:
        yield "rotation", f"not a unit quaternion: {shown(box['rotation'])}"
