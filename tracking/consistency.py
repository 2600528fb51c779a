"""How far the tracker's own uncertainty can be trusted: normalised innovations and errors, class by class.

A filter is consistent if boxes and objects lie as far from its tracks as its covariances say. Of n squared distances in
standard deviations, over k dimensions each, the sum is then chi-square distributed with n k degrees of freedom, and the
mean over n k is 1. Above, a filter is overconfident, below it is too cautious. Neighbouring frames are not independent,
so the bounds are narrower than chance: they tell what is surely inside, not what is surely outside.

    NIS    a box against the track it was assigned to, predicted to its time, in the ground plane (k = 2)
    NEES   an annotated object against the track within 2 m of it, after the frame: place (k = 2) and velocity (k = 2)

Source: Y. Bar-Shalom, X. Li, T. Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, 5.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import chi2

from scenes import Boxes3D, Results, Scene, read_scenes, read_split_detections, read_taxonomy
from scenes.geometry import FloatArray
from tracking.association import mahalanobis_distance
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.config_file import load_tracker_config
from tracking.filtering import observe, predict
from tracking.tracker import Tracker
from tracking.tracks import Tracks

_SAME_OBJECT_M: Final = 2.0
_DIMENSIONS: Final = 2
_BOUNDS: Final = (0.025, 0.975)


@dataclass(frozen=True)
class Consistency:
    """N squared distances of one kind and class, each over two dimensions.

    Attributes:
        squared: (N,) in standard deviations.
    """

    squared: FloatArray

    @property
    def mean(self) -> float:
        """Per dimension: 1 of a consistent filter; NaN without any."""
        return float(self.squared.mean() / _DIMENSIONS) if len(self.squared) else np.nan

    @property
    def bounds(self) -> tuple[float, float]:
        """Where the mean of a consistent filter lies in 95% of the cases, were all independent."""
        degrees = _DIMENSIONS * len(self.squared)
        low, high = chi2.ppf(_BOUNDS, degrees) / degrees if degrees else (np.nan, np.nan)
        return float(low), float(high)


KINDS: Final = ("NIS", "NEES place", "NEES velocity")


def consistency(
    detections: Results, scenes: Iterable[Scene], config: TrackerConfig | None = None
) -> dict[str, dict[str, Consistency]]:
    """Of each class that is tracked, by kind.

    Args:
        detections: boxes of every frame of `scenes`.
        scenes: the drives; where they are annotated, there is NEES.
        config: the tracker's settings.
    """
    config = config or TrackerConfig()
    table = ClassTable.from_config(config)
    found: dict[str, list[_Distances]] = {kind: [] for kind in KINDS}
    for scene in scenes:
        for kind, distances in _of_drive(detections.boxes, scene, config, table):
            found[kind].append(distances)
    kinds = {kind: _Distances.together(parts) for kind, parts in found.items()}
    labels = {name: config.taxonomy.names.index(name) for name in config.taxonomy.tracked_names}
    return {
        name: {kind: Consistency(all_.squared[all_.label == label]) for kind, all_ in kinds.items()}
        for name, label in labels.items()
    }


@dataclass(frozen=True)
class _Distances:
    """(N,) squared distances, and the class of each."""

    squared: FloatArray
    label: NDArray[np.int64]

    @classmethod
    def together(cls, parts: list[_Distances]) -> _Distances:
        if not parts:
            return cls(np.zeros(0), np.zeros(0, dtype=np.int64))
        return cls(np.concatenate([part.squared for part in parts]), np.concatenate([part.label for part in parts]))


def consistency_of_file(
    detections: Path, dataroot: Path, version: str, split: str, config: Path | None = None
) -> tuple[list[str], list[list[str]]]:
    """The `consistency_table` of a detection result file.

    Args:
        detections: in the nuScenes submission format.
        dataroot, version, split: of the scenes; see `scenes.read_scenes`.
        config: file of tracker settings; None for the built-in ones.

    Raises:
        InputError: a file, the data root or the split cannot be used.
    """
    taxonomy = read_taxonomy(dataroot)
    settings = load_tracker_config(config, taxonomy) if config else TrackerConfig.of(taxonomy)
    scenes = read_scenes(dataroot, version, split, cameras=False)
    boxes = read_split_detections(detections, scenes, dataroot, version, split)
    return consistency_table(consistency(boxes, scenes, settings))


def consistency_table(found: Mapping[str, Mapping[str, Consistency]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the mean of each class and kind with the bounds of a consistent filter, then of all together."""
    rows = {name: kinds for name, kinds in found.items() if any(len(kind.squared) for kind in kinds.values())}
    together = {kind: Consistency(np.concatenate([kinds[kind].squared for kinds in found.values()])) for kind in KINDS}
    cells = [[name, *(_cell(kinds[kind]) for kind in KINDS)] for name, kinds in {**rows, "all": together}.items()]
    return ["class", *KINDS], cells


def _cell(kind: Consistency) -> str:
    if not len(kind.squared):
        return "-"
    low, high = kind.bounds
    return f"{kind.mean:.2f} ({low:.2f}-{high:.2f})"


def _of_drive(
    boxes: Mapping[str, Boxes3D], scene: Scene, config: TrackerConfig, table: ClassTable
) -> Iterator[tuple[str, _Distances]]:
    tracker, last_us = Tracker(config), None
    for frame in scene.frames:
        before = _tracks(tracker.state())
        elapsed_us = 0 if last_us is None else max(frame.timestamp_us - last_us, 0)
        predict(before, table, elapsed_us * 1e-6)
        last_us = frame.timestamp_us
        assigned = tracker.assign(boxes[frame.token], frame.timestamp_us, frame.global_from_ego)
        # Numbers ascend in both.
        row = np.searchsorted(before.number, assigned.number)
        old = np.flatnonzero(np.isin(assigned.number, before.number))
        row, measured = row[old], assigned.measured
        offset_m = measured.planar[old, :2] - before.mean[row, :2]
        cov = before.cov[row, :2, :2] + measured.planar_cov[old, :2, :2]
        yield "NIS", _Distances(mahalanobis_distance(offset_m, cov) ** 2, before.label[row])
        if frame.annotations is not None:
            yield from _errors(_tracks(tracker.state()), frame.annotations.boxes, frame.timestamp_us, table)


def _tracks(state: Mapping[str, NDArray[Any]]) -> Tracks:
    return Tracks.from_columns({name: state[f"tracks.{name}"] for name in Tracks.none().columns()})


def _errors(tracks: Tracks, annotated: Boxes3D, now_us: int, table: ClassTable) -> Iterator[tuple[str, _Distances]]:
    """Of the tracks that were seen in the frame, against the nearest object of their class."""
    tracks = tracks.select(tracks.seen_us == now_us)
    row, column = _nearest(tracks, annotated)
    expected, jacobian = observe(tracks.mean[row], tracks.label[row], table)
    cov = jacobian @ tracks.cov[row] @ jacobian.transpose(0, 2, 1)
    label = tracks.label[row]
    place_m = annotated.center_m[column, :2] - expected[:, :2]
    yield "NEES place", _Distances(mahalanobis_distance(place_m, cov[:, :2, :2]) ** 2, label)
    velocity_mps = annotated.velocity_mps[column] - expected[:, 3:]
    known = np.isfinite(velocity_mps).all(axis=1)
    squared = mahalanobis_distance(velocity_mps[known], cov[known, 3:, 3:]) ** 2
    yield "NEES velocity", _Distances(squared, label[known])


def _nearest(tracks: Tracks, annotated: Boxes3D) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tracks and the annotated objects of their class that they are of: each the nearest of the other, within 2 m."""
    rows, columns = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for label in np.unique(tracks.label):
        row, column = np.flatnonzero(tracks.label == label), np.flatnonzero(annotated.label == label)
        if not len(column):
            continue
        ours, theirs = tracks.mean[row, :2], annotated.center_m[column, :2]
        distance_m, of_ours = cKDTree(theirs).query(ours)
        _, of_theirs = cKDTree(ours).query(theirs)
        mutual = (of_theirs[of_ours] == np.arange(len(row))) & (distance_m <= _SAME_OBJECT_M)
        rows.append(row[mutual])
        columns.append(column[of_ours[mutual]])
    return np.concatenate(rows), np.concatenate(columns)
