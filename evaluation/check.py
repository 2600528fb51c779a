"""Finds the first number in which two evaluations differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.evaluation import Evaluation

TOLERANCE = 1e-9

_NOT_METRICS = ("eval_time", "meta")


def first_difference(ours: Evaluation, theirs: Evaluation, tolerance: float = TOLERANCE) -> str | None:
    """Name the first number of summary or details that differs by more than `tolerance`; None if there is none.

    NaN equals NaN. The running time and the file's `meta` are no metrics and are not compared.
    """
    parts = {"summary": (ours.summary, theirs.summary), "details": (ours.details, theirs.details)}
    for name, (our_part, their_part) in parts.items():
        for path in _differences(_metrics(our_part), _metrics(their_part), tolerance):
            return f"{name}{path}"
    return None


def _metrics(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in _NOT_METRICS}


def _differences(ours: Any, theirs: Any, tolerance: float) -> Iterator[str]:
    """Paths such as `.car.tp[3]: 7.0 against 8.0`, in the order of `theirs`."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            if key not in ours or key not in theirs:
                yield f".{key}: only in {'ours' if key in ours else 'the other'}"
            else:
                yield from (f".{key}{path}" for path in _differences(ours[key], theirs[key], tolerance))
    elif _is_list(ours) and _is_list(theirs) and len(ours) == len(theirs):
        for index, (our_value, their_value) in enumerate(zip(ours, theirs, strict=True)):
            yield from (f"[{index}]{path}" for path in _differences(our_value, their_value, tolerance))
    elif not _equal(ours, theirs, tolerance):
        yield f": {ours!r} against {theirs!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _equal(ours: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or abs(ours - theirs) <= tolerance
    return bool(ours == theirs)
