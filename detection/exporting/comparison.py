"""An exported detector beside the one that it was exported from, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from detection.data.sample import FrameSample
from detection.deployment.detector import OnnxDetector
from detection.running.detector import Detector
from evaluation.table import text_table
from scenes import Boxes3D
from scenes.geometry import FloatArray

SURE = 0.1
"""Boxes that score more have to be the same."""
_CLOSE_M = 0.1
_ROUNDING = 1e-5  # of scores
_TICKS = 97.0  # a second: no usual frame lies half-way between two


@dataclass(frozen=True)
class FrameDifference:
    """How far two detectors are apart in a frame. Differences are shares of the scale of what is compared.

    Attributes:
        sample_token: of the frame.
        begins: whether it begins a scene.
        boxes: largest difference of centres, sizes, velocities and headings of boxes that both have, the first three
            relative to the largest number of their kind.
        scores: largest difference of their scores.
        memory: largest difference of what is remembered; 0 of detectors of single frames.
        exchanged: remembered queries that only one of the two has: their scores are equal up to rounding.
        sure, alike: how many boxes of the first detector score above `SURE`, and to how many of them the second has one
            of the same query and class. Where a detector gives as many boxes as it may, those count that score more
            than the last one, up to rounding.
    """

    sample_token: str
    begins: bool
    boxes: float
    scores: float
    memory: float
    exchanged: int
    sure: int
    alike: int


def frame_differences(
    detector: Detector, exported: OnnxDetector, frames: Iterable[tuple[FrameSample, bool]]
) -> Iterator[FrameDifference]:
    """Run both over the frames of one stream.

    Args:
        detector: by torch.
        exported: of it.
        frames: with whether each continues its scene.
    """
    for sample, continues in frames:
        (expected,) = detector.step(detector.prepare([sample], [continues]))
        (found,) = exported.step(exported.prepare([sample], [continues]))
        memory, exchanged = _memory_difference(detector, exported)
        least = _least_score(expected, exported.description.max_boxes)
        boxes, scores, alike = _compared(expected, found, detector.model.memory is not None, least)
        yield FrameDifference(
            sample_token=sample.sample_token,
            begins=not continues,
            boxes=boxes,
            scores=scores,
            memory=memory,
            exchanged=exchanged,
            sure=int((expected.score > least).sum()),
            alike=alike,
        )


def compare_on(
    config: Config, checkpoint: Path | str, folder: Path, frames: Iterable[tuple[FrameSample, bool]]
) -> list[FrameDifference]:
    """Run an export, and the detector that it was made from, over frames; see `frame_differences`.

    Args:
        config, checkpoint: of the detector.
        folder: of the export.
        frames: of one stream, with whether each continues its scene.
    """
    detector = Detector.from_config(config, checkpoint, device="cpu")
    exported = OnnxDetector.from_onnx(folder, detector.taxonomy, providers=["CPUExecutionProvider"])
    return list(frame_differences(detector, exported, frames))


def differences_table(differences: Sequence[FrameDifference]) -> str:
    """The differences for a terminal: a row a frame, and the largest."""
    head = ["frame", "boxes", "scores", "memory", "exchanged", f"above {SURE:g}", "alike"]
    rows = [
        [
            f"{number}{' begins' if one.begins else ''}",
            *(f"{value:.1e}" for value in (one.boxes, one.scores, one.memory)),
            *map(str, (one.exchanged, one.sure, one.alike)),
        ]
        for number, one in enumerate(differences)
    ]
    largest = [max((getattr(one, name) for one in differences), default=0.0) for name in ("boxes", "scores", "memory")]
    sums = [str(sum(getattr(one, name) for one in differences)) for name in ("exchanged", "sure", "alike")]
    return text_table(head, [*rows, ["all", *(f"{value:.1e}" for value in largest), *sums]])


def _least_score(boxes: Boxes3D, most: int) -> float:
    """Above which boxes have to be the same."""
    return max(SURE, float(boxes.score.min()) + _ROUNDING) if len(boxes) == most else SURE


def _compared(expected: Boxes3D, found: Boxes3D, named: bool, least: float) -> tuple[float, float, int]:
    """Differences of boxes and scores, and how many of those that are sure have a counterpart."""
    pairs = _pairs_by_name(expected, found) if named else _pairs_by_place(expected, found)
    if not len(pairs):
        return 0.0, 0.0, 0
    first, second = expected.select(pairs[:, 0]), found.select(pairs[:, 1])
    apart = [
        _apart(first.center_m, second.center_m, relative_to=first.center_m - first.center_m.mean(axis=0)),
        _apart(first.size_wlh_m, second.size_wlh_m),
        _apart(first.velocity_mps, second.velocity_mps),
        float(1 - np.abs((first.rotation * second.rotation).sum(axis=1)).min()),
    ]
    scores = float(np.abs(first.score - second.score).max())
    return max(apart), scores, int((first.score > least).sum())


def _pairs_by_name(expected: Boxes3D, found: Boxes3D) -> NDArray[np.int64]:
    """(P, 2) indices of boxes of one query and class."""
    assert expected.query_id is not None and found.query_id is not None
    names = zip(found.query_id.tolist(), found.label.tolist(), strict=True)
    indices = {key: index for index, key in enumerate(names)}
    keys = zip(expected.query_id.tolist(), expected.label.tolist(), strict=True)
    pairs = [(index, indices[key]) for index, key in enumerate(keys) if key in indices]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _pairs_by_place(expected: Boxes3D, found: Boxes3D) -> NDArray[np.int64]:
    """(P, 2) indices of the boxes of one class that lie closest together, less than a decimetre apart."""
    away = np.linalg.norm(expected.center_m[:, None] - found.center_m, axis=2)
    away += np.where(expected.label[:, None] == found.label, 0.0, np.inf)
    if not away.size:
        return np.zeros((0, 2), dtype=np.int64)
    nearest = away.argmin(axis=1)
    close = np.flatnonzero(away[np.arange(len(nearest)), nearest] < _CLOSE_M)
    return np.stack((close, nearest[close]), axis=1)


def _memory_difference(detector: Detector, exported: OnnxDetector) -> tuple[float, int]:
    """The largest difference of rows that both remember, and how many only one does."""
    if detector.model.memory is None:
        return 0.0, 0
    state = {name: value.numpy()[0] for name, value in detector.model.memory.state().items()}
    mine = {name.split(".", 1)[1]: array for name, array in exported.state().items()}
    place, first_s = mine["first_place_m"], float(mine["first_s"])
    one = _Rows(
        query_ids=state["query_ids"],
        ages_s=first_s - state["timestamps_s"],
        filled=state["poses"][:, 3, 3] > 0,
        numbers=(
            state["embeddings"],
            state["velocities_mps"],
            state["poses"][:, :3, :3].reshape(-1, 9),
            np.concatenate((state["reference_points_m"] - place, state["poses"][:, :3, 3] - place), axis=1),
        ),
    )
    poses = mine["egopose"][0]
    other = _Rows(
        query_ids=mine["query_ids"],
        ages_s=mine["timestamp"][0, :, 0],
        filled=poses[:, 3, 3] > 0,
        numbers=(
            mine["embedding"][0],
            mine["velo"][0],
            poses[:, :3, :3].reshape(-1, 9),
            np.concatenate((mine["reference_point"][0], poses[:, :3, 3]), axis=1),
        ),
    )
    rows = {key: index for index, key in enumerate(one.keys()[: len(mine["query_ids"])]) if key is not None}
    pairs = [(rows[key], index) for index, key in enumerate(other.keys()) if key in rows]
    first, second = (list(indices) for indices in zip(*pairs, strict=True))
    apart = [_apart(a[first], b[second]) for a, b in zip(one.numbers, other.numbers, strict=True)]
    ages = float(np.abs(one.ages_s[first] - other.ages_s[second]).max())
    return max(*apart, ages), len(rows) - len(pairs)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Remembered queries: their names, how long before the first frame they were seen, and all else of them."""

    query_ids: NDArray[np.int64]
    ages_s: FloatArray
    filled: NDArray[np.bool_]
    numbers: tuple[FloatArray, ...]

    def keys(self) -> list[tuple[int, int, int] | None]:
        """Name, rounded age, and how many rows before it have the same, as in the first frame of a scene; None of rows
        that nothing has filled."""
        ages = np.rint(self.ages_s * _TICKS).astype(np.int64).tolist()
        seen: Counter[tuple[int, int]] = Counter()
        keys: list[tuple[int, int, int] | None] = []
        for name, age, filled in zip(self.query_ids.tolist(), ages, self.filled.tolist(), strict=True):
            keys.append((name, age, seen[name, age]) if filled else None)
            seen[name, age] += 1
        return keys


def _apart(one: FloatArray, other: FloatArray, relative_to: FloatArray | None = None) -> float:
    """The largest difference as a share of the largest number, which counts as at least 1."""
    scale = max(1.0, float(np.abs(one if relative_to is None else relative_to).max(initial=0.0)))
    return float(np.abs(one - other).max(initial=0.0)) / scale
