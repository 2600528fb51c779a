"""A result file against the data root that it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.classes import NO_CLASS
from scenes.doctor.class_sizes import better_reading, reading_finding
from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.findings import Example, Finding, Severity
from scenes.errors import InputError
from scenes.geometry import FloatArray, transform_points
from scenes.json_text import is_number, read_json
from scenes.results import read_detections, read_tracks
from scenes.taxonomy import Taxonomy

_MATCH_M: Final = 2.0
"""The official metrics match boxes of which the centres are nearer."""
_FITS: Final = 0.1
_FEWEST_BOXES: Final = 10
_MOST_FRAMES: Final = 200
_FAR_M: Final = 300.0
_WORDS: Final = {"detection_name": ("detection_score", ""), "tracking_name": ("tracking_score", "tracking_id")}


@dataclass(frozen=True, eq=False)
class _Columns:
    """The boxes of a result file, as far as they can be read.

    Attributes:
        samples: the tokens of all samples of the file.
        sample: (N,) index into them; label: (N,); score: (N,).
        center_m: (N, 3); size_wlh_m: (N, 3).
        track_id: (N,) identities, "" for detections.
    """

    samples: list[str]
    sample: IntArray
    label: IntArray
    score: FloatArray
    center_m: FloatArray
    size_wlh_m: FloatArray
    track_id: NDArray[np.str_]


def check_results(root: DataRoot, path: Path) -> Iterator[Finding]:
    """Everything that a result file shows beside its data root.

    Raises:
        InputError: there is no such file, or it holds no object of results at all.
    """
    columns, refused = _read(path, root.taxonomy)
    if refused:
        yield Finding(
            "results-refused",
            Severity.ERROR,
            1,
            0,
            "the result file breaks the submission format, and is refused",
            Example(path.name, "results", refused),
            "Write it as docs/own_data.md describes, with every key of every box.",
        )
    yield from _samples(root, columns)
    yield from _scores(columns)
    yield from _other_frame(root, columns)
    reading = better_reading(columns.size_wlh_m, columns.label, root.taxonomy)
    if reading is not None:
        text = f"size {columns.size_wlh_m[0].tolist()}"
        yield reading_finding(reading, "results", len(columns.label), _example(columns, 0, text))
    yield from _track_ids(columns)


def _read(path: Path, taxonomy: Taxonomy) -> tuple[_Columns, str]:
    """The boxes of a file, and why the readers refuse it, "" if they do not."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open("rb") as file:
        tracks = b'"tracking_name"' in file.read(2**20)
    try:
        return _from_results((read_tracks if tracks else read_detections)(path, taxonomy).boxes), ""
    except InputError as error:
        content = read_json(path)
        results = content.get("results") if isinstance(content, dict) else None
        if not isinstance(results, dict):
            raise
        return _from_rows(results, taxonomy), str(error)


def _from_results(results: Mapping[str, Boxes3D]) -> _Columns:
    boxes = Boxes3D.concatenate(list(results.values()))
    counts = [len(one) for one in results.values()]
    nameless = np.full(len(boxes), "", dtype=np.str_)
    return _Columns(
        samples=list(results),
        sample=np.repeat(np.arange(len(counts)), counts),
        label=boxes.label,
        score=boxes.score,
        center_m=boxes.center_m,
        size_wlh_m=boxes.size_wlh_m,
        track_id=nameless if boxes.track_id is None else boxes.track_id,
    )


class _Row(NamedTuple):
    """One box of a file that is refused."""

    sample: int
    label: int
    score: float
    center_m: list[float]
    size_wlh_m: list[float]
    track_id: str


def _from_rows(results: Mapping[str, Any], taxonomy: Taxonomy) -> _Columns:
    """Of a file that is refused the boxes with numbers for place, size and score."""
    listed = ((index, box) for index, boxes in enumerate(results.values()) if isinstance(boxes, list) for box in boxes)
    rows = [row for index, box in listed if (row := _row(index, box, taxonomy)) is not None]
    return _Columns(
        samples=list(results),
        sample=np.array([row.sample for row in rows], dtype=np.int64),
        label=np.array([row.label for row in rows], dtype=np.int64),
        score=np.array([row.score for row in rows], dtype=np.float64),
        center_m=np.array([row.center_m for row in rows], dtype=np.float64).reshape(-1, 3),
        size_wlh_m=np.array([row.size_wlh_m for row in rows], dtype=np.float64).reshape(-1, 3),
        track_id=np.array([row.track_id for row in rows], dtype=np.str_),
    )


def _row(index: int, box: Any, taxonomy: Taxonomy) -> _Row | None:
    key = next((key for key in _WORDS if isinstance(box, dict) and isinstance(box.get(key), str)), None)
    if key is None:
        return None
    score, identity = (box.get(word) for word in _WORDS[key])
    center, size = box.get("translation"), box.get("size")
    if not (is_number(score) and _is_vector(center) and _is_vector(size) and min(size) > 0):
        return None
    return _Row(index, taxonomy.label_of.get(box[key], NO_CLASS), float(score), center, size, str(identity or ""))


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value))


def _samples(root: DataRoot, columns: _Columns) -> Iterator[Finding]:
    """Samples that the data root does not have, and those that the file lacks of the scenes in it."""
    known = set(root.sample_index)
    foreign = [token for token in columns.samples if token not in known]
    if foreign:
        yield Finding(
            "results-unknown-sample",
            Severity.ERROR,
            len(foreign),
            len(columns.samples),
            "the result file has samples that sample.json does not have",
            Example(foreign[0], "results", "no such sample"),
            "Check that results and tables are of one version; keys of results are tokens of samples.",
        )
    present = {root.sample_index[token] for token in columns.samples if token in known}
    touched = set(root.samples.scene[list(present)].tolist())
    missing = [
        index for index, scene in enumerate(root.samples.scene.tolist()) if scene in touched and index not in present
    ]
    if missing:
        name = root.scene_name(int(root.samples.scene[missing[0]]))
        token = root.samples.tokens[missing[0]]
        yield Finding(
            "results-lack-frames",
            Severity.ERROR,
            len(missing),
            len(missing) + len(present),
            "the result file has no entry for frames of scenes that it has others of",
            Example(token, "sample", f"of {name}", token),
            "Write an empty list for a frame without boxes; see whether the detector left frames out.",
        )


def _scores(columns: _Columns) -> Iterator[Finding]:
    outside = np.flatnonzero((columns.score < 0) | (columns.score > 1))
    if len(outside):
        at = int(outside[0])
        yield Finding(
            "score-outside",
            Severity.ERROR,
            len(outside),
            len(columns.score),
            "scores lie outside of 0 to 1",
            _example(columns, at, f"score {columns.score[at]:g}"),
            "Write probabilities: put logits through a sigmoid, divide percentages by 100.",
        )
    elif len(columns.score) >= _FEWEST_BOXES and np.ptp(columns.score) == 0:
        yield Finding(
            "score-constant",
            Severity.WARNING,
            len(columns.score),
            len(columns.score),
            "all boxes have one score: no metric can order them",
            _example(columns, 0, f"score {columns.score[0]:g}"),
            "Write the detector's confidence.",
        )


def _other_frame(root: DataRoot, columns: _Columns) -> Iterator[Finding]:
    """Boxes that fit the annotations, or the ego vehicle's surroundings, once they are taken to be in another frame."""
    fits = _fits(root, columns)
    written = fits.pop("global", 0.0)
    better = max(fits, key=lambda name: fits[name], default="")
    if better and fits[better] > max(_FITS, 2.0 * written):
        at = int(np.argmax(columns.score))
        yield Finding(
            "results-other-frame",
            Severity.ERROR,
            len(columns.label),
            len(columns.label),
            f"boxes of the result file are in {better} coordinates, where global ones are read",
            _example(
                columns,
                at,
                f"at {np.round(columns.center_m[at], 1).tolist()}; read as {better} coordinates "
                f"{100 * fits[better]:.0f}% of the boxes fit, as global ones {100 * written:.0f}%",
            ),
            "Transform centres, rotations and velocities by the pose of the frame before writing.",
        )


def _fits(root: DataRoot, columns: _Columns) -> dict[str, float]:
    """For each frame of reference the share of boxes that would stand where something is annotated.

    Without annotations, that would stand within range of the ego vehicle.
    """
    chosen = [index for index, token in enumerate(columns.samples) if token in root.sample_index]
    chosen = (
        [chosen[at] for at in np.unique(np.linspace(0, len(chosen) - 1, _MOST_FRAMES).astype(int))] if chosen else []
    )
    annotated = {int(root.boxes.sample[rows[0]]): rows for rows in root.boxes.of_samples()}
    mountings = _lidar_mountings(root)
    hits: Counter[str] = Counter()
    total = 0
    for index in chosen:
        sample = root.sample_index[columns.samples[index]]
        pose = int(root.frame_pose[sample])
        of_sample = np.flatnonzero(columns.sample == index)
        if pose < 0 or not len(of_sample):
            continue
        points, global_from_ego = columns.center_m[of_sample], root.poses.matrix(pose)
        frames = {"global": np.eye(4), "ego": global_from_ego}
        if sample in mountings:
            frames["lidar"] = global_from_ego @ root.calibrations.matrix(mountings[sample])
        targets = root.boxes.center_m[annotated[sample], :2] if sample in annotated else None
        for name, global_from_frame in frames.items():
            places = transform_points(global_from_frame, points)[:, :2]
            hits[name] += _hits(places, targets, global_from_ego[:2, 3])
        total += len(of_sample)
    if total < _FEWEST_BOXES:
        return {}
    return {name: hits[name] / total for name in ("global", "ego", "lidar")}


def _hits(places_m: FloatArray, targets_m: FloatArray | None, ego_m: FloatArray) -> int:
    if targets_m is None:
        return int((np.linalg.norm(places_m - ego_m, axis=1) < _FAR_M).sum())
    apart = np.linalg.norm(places_m[:, None] - targets_m[None], axis=2)
    return int((apart.min(axis=1, initial=np.inf) < _MATCH_M).sum())


def _lidar_mountings(root: DataRoot) -> dict[int, int]:
    """For each key frame with a usable LIDAR_TOP its calibration."""
    recordings = root.recordings
    rows = np.flatnonzero((recordings.channel == "LIDAR_TOP") & (recordings.calibration >= 0))
    rows = rows[root.calibrations.usable[recordings.calibration[rows]]]
    return dict(zip(recordings.sample[rows].tolist(), recordings.calibration[rows].tolist(), strict=True))


def _track_ids(columns: _Columns) -> Iterator[Finding]:
    keys = zip(columns.sample.tolist(), columns.track_id.tolist(), strict=True)
    counts = Counter(key for key in keys if key[1])
    twice = {key for key, count in counts.items() if count > 1}
    if twice:
        sample, identity = next(iter(twice))
        yield Finding(
            "results-identity-twice",
            Severity.ERROR,
            len(twice),
            len(counts),
            "a track of the result file has several boxes in one frame",
            Example(columns.samples[sample], "results", f"tracking_id {identity}"),
            "Give each track an identity of its own.",
        )


def _example(columns: _Columns, box: int, text: str) -> Example:
    token = columns.samples[columns.sample[box]]
    return Example(token, "results", text, token)
