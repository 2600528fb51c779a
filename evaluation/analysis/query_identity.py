"""How faithful the query identities of detections are: whether an object keeps its `query_id`, and what it does if not.

Of each class as many of the best-scored boxes count as there are annotations, matched with them as for AP at 2 m. Two
frames in which an annotated object is found, with none between in which it is, are a step of it. In a step its query is
    kept       the same;
    swapped    one that was at another annotated object of its class before;
    newborn    one that was at no other annotated object of its class, in the very next frame;
    broken     the same after a gap: it was missed between.

These are switches of the simplest tracker of all, which takes the query for the track.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, NamedTuple

import numpy as np

from evaluation.detection import ClassDetections, match_detections, prepare_detections
from evaluation.engine.box_table import BoolArray
from scenes import NO_QUERY, InputError, Results, Scene
from scenes.geometry import FloatArray

NEAR_SWAP_M: Final = 3.0
_MATCHING_DISTANCE_M: Final = 2.0
_RANGES_M: Final = ((0.0, 20.0), (20.0, 40.0), (40.0, 60.0))


@dataclass(frozen=True, eq=False)
class QuerySteps:
    """N steps of annotated objects.

    Attributes:
        range_m: (N,) of the object from the vehicle, at the end of the step.
        kept, swapped, newborn, broken: (N,) one of them holds.
        swap_distance_m: (N,) from the object to the one that had its new query, where both were seen last; NaN but for
            swaps.
    """

    range_m: FloatArray
    kept: BoolArray
    swapped: BoolArray
    newborn: BoolArray
    broken: BoolArray
    swap_distance_m: FloatArray

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def changes(self) -> int:
        """Steps in which the query is not kept."""
        return int((~self.kept).sum())

    def share(self, kind: BoolArray) -> float:
        """Of the changes, those of a kind; NaN without any."""
        return float((kind & ~self.kept).sum() / self.changes) if self.changes else float("nan")

    @property
    def near_swaps(self) -> float:
        """Share of the swaps that are with an object within `NEAR_SWAP_M`; NaN without any."""
        distance_m = self.swap_distance_m[self.swapped]
        return float((distance_m <= NEAR_SWAP_M).mean()) if len(distance_m) else float("nan")

    def kept_between(self, low_m: float, high_m: float) -> float:
        """Share of the steps that end between two ranges in which the query is kept; NaN without any."""
        within = (self.range_m >= low_m) & (self.range_m < high_m)
        return float(self.kept[within].mean()) if within.any() else float("nan")


def query_steps(results: Results, scenes: Sequence[Scene]) -> QuerySteps:
    """The steps of all annotated objects, of all classes.

    Args:
        results: boxes with `query_id` for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.

    Raises:
        InputError: no box has a query.
    """
    frame_of_token = {frame.token: frame for scene in scenes for frame in scene.frames}
    scene_of_token = {frame.token: scene.token for scene in scenes for frame in scene.frames}
    if not any(boxes.query_id is not None and (boxes.query_id != NO_QUERY).any() for boxes in results.boxes.values()):
        raise InputError("no box has a query_id: the detector names no queries")
    tokens = list(results.boxes)
    eye_m = np.array([frame_of_token[token].global_from_ego[:2, 3] for token in tokens]).reshape(-1, 2)
    in_time = np.argsort([frame_of_token[token].timestamp_us for token in tokens], kind="stable").tolist()
    steps: list[_Step] = []
    for class_ in prepare_detections(results, scenes):
        walks: dict[str, _Walk] = {}
        found = _found(class_)
        for index in in_time:
            walk = walks.setdefault(scene_of_token[tokens[index]], _Walk())
            steps += walk.step(found.get(index, []), eye_m[index])
    return _columns(steps)


class _Found(NamedTuple):
    """An annotated object in one frame, where it is, and the query of the box that found it."""

    instance: str
    query: int
    place_m: FloatArray


class _Step(NamedTuple):
    """See `QuerySteps`."""

    range_m: float
    kept: bool
    swapped: bool
    newborn: bool
    broken: bool
    swap_distance_m: float


def _found(class_: ClassDetections) -> dict[int, list[_Found]]:
    """What is found of a class, by frame."""
    annotated, boxes = class_.annotated.boxes, class_.predicted.boxes
    assert boxes.query_id is not None and annotated.track_id is not None
    (match,) = match_detections(class_, [_MATCHING_DISTANCE_M])
    found: dict[int, list[_Found]] = {}
    for row in np.flatnonzero(match[: len(annotated)] >= 0).tolist():
        query = int(boxes.query_id[class_.rows[row]])
        if query != NO_QUERY:
            taken = match[row]
            entry = _Found(str(annotated.track_id[taken]), query, annotated.center_m[taken, :2])
            found.setdefault(int(class_.frame[row]), []).append(entry)
    return found


class _Walk:
    """Through the frames of one scene: where each query was last, and each object."""

    def __init__(self) -> None:
        self._frame = 0
        self._of_object: dict[str, tuple[int, int]] = {}  # query and frame
        self._of_query: dict[int, _Found] = {}

    def step(self, found: Sequence[_Found], eye_m: FloatArray) -> list[_Step]:
        """The steps that end in the next frame."""
        self._frame += 1
        now = {entry.instance: entry for entry in found}
        steps = [self._ended(entry, now, eye_m) for entry in found if entry.instance in self._of_object]
        for entry in found:
            self._of_object[entry.instance] = entry.query, self._frame
            self._of_query[entry.query] = entry
        return steps

    def _ended(self, entry: _Found, now: Mapping[str, _Found], eye_m: FloatArray) -> _Step:
        query, frame = self._of_object[entry.instance]
        range_m = float(np.linalg.norm(entry.place_m - eye_m))
        if query == entry.query:
            return _Step(range_m, True, False, False, False, np.nan)
        before = self._of_query.get(entry.query)
        if before is None or before.instance == entry.instance:
            gap = frame < self._frame - 1
            return _Step(range_m, False, False, not gap, gap, np.nan)
        other = now.get(before.instance, before)
        return _Step(range_m, False, True, False, False, float(np.linalg.norm(entry.place_m - other.place_m)))


def _columns(steps: Sequence[_Step]) -> QuerySteps:
    return QuerySteps(
        range_m=np.array([step.range_m for step in steps], dtype=np.float64),
        kept=np.array([step.kept for step in steps], dtype=np.bool_),
        swapped=np.array([step.swapped for step in steps], dtype=np.bool_),
        newborn=np.array([step.newborn for step in steps], dtype=np.bool_),
        broken=np.array([step.broken for step in steps], dtype=np.bool_),
        swap_distance_m=np.array([step.swap_distance_m for step in steps], dtype=np.float64),
    )


def with_true_queries(results: Results, scenes: Sequence[Scene]) -> Results:
    """The same boxes, named by an oracle: the query of a box is the annotated object that it takes in matching at 2 m.

    Args:
        results: boxes for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.
    """
    numbers: dict[str, int] = {}
    starts = np.cumsum([0, *map(len, results.boxes.values())]).tolist()
    query_id = np.full(starts[-1], NO_QUERY, dtype=np.int64)
    for class_ in prepare_detections(results, scenes):
        (match,) = match_detections(class_, [_MATCHING_DISTANCE_M])
        names = class_.annotated.boxes.track_id
        assert names is not None
        for row in np.flatnonzero(match >= 0).tolist():
            query_id[class_.rows[row]] = numbers.setdefault(str(names[match[row]]), len(numbers))
    named = {
        token: boxes.replace(query_id=query_id[start : start + len(boxes)])
        for (token, boxes), start in zip(results.boxes.items(), starts[:-1], strict=True)
    }
    return replace(results, boxes=named)


def faithfulness(runs: Sequence[QuerySteps]) -> Iterator[str]:
    """The lines of a Markdown table: what objects' queries do in their steps, of all runs together."""
    steps = QuerySteps(*(np.concatenate([getattr(run, field.name) for run in runs]) for field in fields(QuerySteps)))
    yield f"| {len(steps)} steps of objects | share |"
    yield "|---|---|"
    for low_m, high_m in _RANGES_M:
        yield f"| query kept, {low_m:g} to {high_m:g} m | {steps.kept_between(low_m, high_m):.3f} |"
    yield f"| query changed | {steps.changes / max(len(steps), 1):.3f} |"
    yield f"| of the changes: swapped with another object | {steps.share(steps.swapped):.2f} |"
    yield f"| of these: within {NEAR_SWAP_M:g} m | {steps.near_swaps:.2f} |"
    yield f"| of the changes: newborn | {steps.share(steps.newborn):.2f} |"
    yield f"| of the changes: after a gap | {steps.share(steps.broken):.2f} |"
