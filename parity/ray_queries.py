"""Recorded query constructions of RayDN: where the denoising queries lie, what they should say, who sees whom.

Intermediate numbers of the published code, such as the steps before the nearest one is drawn anew, have no counterpart
here; the points that they lead to are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.denoising import ray
from detection.models.denoising.queries import Annotations, Copies, DenoisingQueries, arranged_in_slots
from detection.models.denoising.ray import RayDenoising, last_camera_that_sees
from detection.models.heads.query_head import QueryHead
from parity import tolerances
from parity.comparison import Array, Comparison
from parity.methods_rule import MethodsRule
from parity.models import Workshop

_SEQUENCES: Final = "AB"
_STANDARD_GROUPS: Final = 10
_RAY_QUERIES: Final = 5
_POINTS_M: Final = 3.3e-5  # ten times what other arithmetic has changed in the recorded points


@dataclass(frozen=True)
class RayCase:
    """Annotations for which queries were recorded.

    Attributes:
        frame: with these annotations.
        ray_groups: setting of the strategy.
    """

    frame: FrameBatch
    ray_groups: int


@dataclass(frozen=True, eq=False)
class _Construction:
    """Queries, and the disturbed copies of the annotations that they were made from."""

    queries: DenoisingQueries
    copies: Copies
    annotations: Annotations


def ray_cases(workshop: Workshop, methods: MethodsRule) -> dict[str, RayCase]:
    """The recorded cases by name."""
    rule = workshop.rule
    cases = {}
    for name, (frames, truths, ray_groups) in methods.module.ray_cases().items():
        frame = rule.frame(_SEQUENCES[: len(frames)], 0)
        targets = tuple(rule.targets(truth) for truth in truths)
        cases[name] = RayCase(replace(frame, targets=targets).to(workshop.device), ray_groups)
    return cases


def compare_ray_queries(
    comparison: Comparison,
    name: str,
    case: RayCase,
    head: QueryHead,
    methods: MethodsRule,
    arrays: Mapping[str, Array],
) -> None:
    """Compare the queries of one case.

    Args:
        comparison: where to.
        name: of the case.
        case: what is annotated.
        head: gives range and classes.
        methods: gives the random numbers.
        arrays: recorded, by name without the case's.
    """
    with methods.recorded_numbers():
        made = _constructed(case, head)
    num_slots, num_keys = len(made.queries.groups), arrays["attn_mask"].shape[1]
    num_queries = arrays["attn_mask"].shape[0] - num_slots
    values = {
        "reference_points_dn": made.queries.reference_points,
        "bboxes": made.queries.boxes,
        "labels": made.queries.labels,
        "map_known_indice": made.queries.slots,
        "batch_idx": made.annotations.streams,
        "attn_mask": made.queries.attention_mask(num_queries, num_keys - num_slots),
        "dn_center_metres": made.copies.centers_m[:_STANDARD_GROUPS].flatten(0, 1),
        **dict(_ray_values(made, case)),
    }
    for array, recorded in arrays.items():
        if array in values:
            comparison.within(f"{name}_{array}", values[array], _comparable(array, recorded), _tolerance(array))
        elif array not in comparison.not_compared:
            comparison.not_compared.append(array)


def _constructed(case: RayCase, head: QueryHead) -> _Construction:
    """The queries of a case, with what is on the way to them."""
    arranged: list[tuple[Copies, Annotations]] = []

    def keep_copies(copies: Copies, annotations: Annotations, *settings: Any) -> DenoisingQueries:
        arranged.append((copies, annotations))
        return arranged_in_slots(copies, annotations, *settings)

    with patch.object(ray, "arranged_in_slots", keep_copies):
        queries = RayDenoising(ray_groups=case.ray_groups, published=True)(case.frame, head.pc_range, head.num_classes)
    assert queries is not None, "every recorded case has a box"
    return _Construction(queries, *arranged[0])


def _ray_values(made: _Construction, case: RayCase) -> Iterator[tuple[str, Tensor]]:
    """What is recorded of each group of rays."""
    cameras, seen = last_camera_that_sees(made.annotations.boxes[:, :3], made.annotations.streams, case.frame)
    for group in range(case.ray_groups):
        first = _STANDARD_GROUPS + group * _RAY_QUERIES
        own = slice(first, first + _RAY_QUERIES)
        yield f"ray{group}_center_metres", made.copies.centers_m[own].flatten(0, 1)
        yield f"ray{group}_labels", made.copies.labels[own].flatten()
        yield f"ray{group}_visible", (cameras + 1) * seen


def _comparable(array: str, recorded: Array) -> Array:
    """Of the cameras that see a centre only the last counts: its number from 1, or 0 for none."""
    if not array.endswith("_visible"):
        return recorded
    last: Array = np.max(recorded * np.arange(1, len(recorded) + 1)[:, None], axis=0)
    return last


def _tolerance(array: str) -> float:
    if array.endswith("center_metres"):
        return _POINTS_M
    return tolerances.EXACT_FLOAT if array in ("reference_points_dn", "bboxes") else 0.0
