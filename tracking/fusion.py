"""Result files of several detectors, or of several trackers, as one: for hindsight, which looks at all of them.

1. Each file's scores are read by a scale of its own (`tracking.score_scale`).
2. Boxes of one frame that are one object are merged (`tracking.merging`); tracks are joined first (`tracking.joining`).
3. At first what the files say of an object is taken to be independent: log odds add up, and a file that does not see
   it counts by how often it misses what others see. But detectors err alike, and some hardly know what is true. So how
   true a merged box is, the files that see it and how probable they call it tell together in a way that is learned,

       log odds = level + sum over the files that see it of (bonus + weight * own log odds)

   without annotations, from what boxes become: one is as true as the whole life of its track says, and one that no
   track takes is false. A file whose boxes seldom become tracks, or whose scores do not tell which do, counts for less.
4. Improbable boxes are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenes import Boxes3D, Frame, Results, Scene
from scenes.geometry import FloatArray
from tracking.association import IndexArray
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.joining import Track, joined_tracks
from tracking.measurement import Measured, measure
from tracking.merging import merged, same_objects
from tracking.score_scale import ScoreScale, log_odds_of, probability

LEAST_SHARE = 0.5
"""Boxes count down to this share of the probability that may start a track; in hindsight they may start one."""
_LEAST_MISSED = 0.02
"""No file is taken to see more surely than that."""
_SURENESS, _EVEN_LOG_ODDS = 1.5, -0.5
"""Scores of tracks are cautious: with log odds of -0.5 as many are true as not, and beyond it all is soon clear."""
_PRIOR_BOXES = 1.0
"""How many boxes, of even odds, the prior of a number counts as."""
_NEWTON_STEPS = 25

Hindsight = Callable[[Results], Mapping[str, FloatArray]]
"""How probably the boxes of each sample are true, given what they become; their scores are probabilities."""


class Probabilities(ScoreScale):
    """A scale of scores that are probabilities already."""

    def of(self, score: FloatArray) -> FloatArray:
        """(N,) log odds of boxes of these probabilities."""
        return log_odds_of(np.clip(score, 1e-6, 1.0 - 1e-6))


@dataclass(frozen=True)
class _Objects:
    """The N objects of one frame.

    Attributes:
        boxes: with `track_id` where the files hold tracks.
        log_odds: (N, K) of the box that each of K files has of them, NaN where it has none.
        able: (N,) bit k: whether file k has the frame and knows the class, so that it could have one.
    """

    boxes: Boxes3D
    log_odds: FloatArray
    able: IndexArray


def fused(
    files: Sequence[Results],
    scenes: Sequence[Scene],
    config: TrackerConfig,
    calibrations: Sequence[Calibration],
    hindsight: Hindsight,
) -> Results:
    """The boxes of several files as those of one, whose scores are probabilities (`Probabilities`).

    Args:
        files: all detections or all tracks, for the classes of the scenes; a file may lack samples.
        scenes: the drives. config: the tracker's settings.
        calibrations: of each file, what is known of its detector.
        hindsight: tells what boxes become.

    Returns:
        Boxes of every sample; with `track_id`, unique in each scene, where the files hold tracks.
    """
    objects = _objects(files, scenes, config, calibrations)
    belief = _independent(objects)
    # Once: a second time learns from what it believes itself, and ever fewer boxes are true.
    belief = _relearned(objects, hindsight(_results(files[0], objects, belief, 0.0)))
    return _results(files[0], objects, belief, LEAST_SHARE * config.birth_probability)


def _results(like: Results, objects: Mapping[str, _Objects], belief: Mapping[str, FloatArray], least: float) -> Results:
    """Boxes with what is believed of them as their score; the less probable ones are left out."""
    boxes = {}
    for token, found in objects.items():
        score = probability(belief[token])
        boxes[token] = found.boxes.replace(score=score).select(np.flatnonzero(score >= least))
    return replace(like, boxes=boxes)


def _objects(
    files: Sequence[Results], scenes: Sequence[Scene], config: TrackerConfig, calibrations: Sequence[Calibration]
) -> dict[str, _Objects]:
    """The objects of every sample."""
    table = ClassTable.from_config(config)
    hold_tracks = any(boxes.track_id is not None for results in files for boxes in results.boxes.values())
    if hold_tracks:
        # Who tracks has settled that already.
        config = replace(config, suppress_duplicates=False)
    known = np.array([_classes(results, len(table.tracked)) for results in files])
    objects: dict[str, _Objects] = {}
    for scene in scenes:
        measured = [_measured(files, frame, config, table, calibrations) for frame in scene.frames]
        numbers = [same_objects(parts, table, config.gate_sigmas) for parts in measured]
        if hold_tracks:
            numbers = _joined(files, scene, measured, numbers)
        for frame, parts, number in zip(scene.frames, measured, numbers, strict=True):
            has_frame = np.array([frame.token in results.boxes for results in files])
            objects[frame.token] = _frame_objects(parts, number, known & has_frame[:, None], named=hold_tracks)
    return objects


def _classes(results: Results, count: int) -> NDArray[np.bool_]:
    """(count,) whether a file holds boxes of each class."""
    held = np.zeros(count, dtype=np.bool_)
    for boxes in results.boxes.values():
        held[boxes.label] = True
    return held


def _measured(
    files: Sequence[Results],
    frame: Frame,
    config: TrackerConfig,
    table: ClassTable,
    calibrations: Sequence[Calibration],
) -> list[Measured]:
    """The usable boxes of each file in a frame; none where it lacks it."""
    sensor_xy_m = np.asarray(frame.global_from_ego, dtype=np.float64)[:2, 3]
    return [
        measure(results.boxes.get(frame.token, Boxes3D.empty()), config, table, calibration, sensor_xy_m)
        for results, calibration in zip(files, calibrations, strict=True)
    ]


def _joined(
    files: Sequence[Results], scene: Scene, measured: Sequence[Sequence[Measured]], numbers: Sequence[list[IndexArray]]
) -> list[list[IndexArray]]:
    """For each frame and file the numbers of the joined tracks that its boxes are of."""
    names: list[list[list[Track]]] = [
        [[(file, name) for name in _identities(part)] for file, part in enumerate(parts)] for parts in measured
    ]
    frames = []
    for of_files, number in zip(names, numbers, strict=True):
        found: dict[int, list[Track]] = {}
        for tracks, own in zip(of_files, number, strict=True):
            for track, at in zip(tracks, own.tolist(), strict=True):
                found.setdefault(at, []).append(track)
        frames.append(list(found.values()))
    joined = joined_tracks(frames)
    return [
        [np.array([joined[track] for track in tracks], dtype=np.int64) for tracks in of_files] for of_files in names
    ]


def _identities(part: Measured) -> list[str]:
    identities = part.boxes.track_id
    return [] if identities is None else identities.tolist()


def _frame_objects(
    parts: Sequence[Measured], numbers: Sequence[IndexArray], able: NDArray[np.bool_], *, named: bool
) -> _Objects:
    """The objects of one frame, in the order of their numbers."""
    all_numbers, number = np.unique(np.concatenate(list(numbers)), return_inverse=True)
    count = len(all_numbers)
    if not count:
        boxes = Boxes3D.empty()
    else:
        ends = np.cumsum([len(own) for own in numbers])
        boxes = merged(parts, np.split(number, ends[:-1]), count)
    if named:
        boxes = boxes.replace(track_id=(all_numbers + 1).astype(np.str_))
    log_odds = np.full((count, len(parts)), np.nan)
    log_odds[number, np.repeat(np.arange(len(parts)), [len(own) for own in numbers])] = np.concatenate(
        [part.log_odds for part in parts]
    )
    bits = (able[:, boxes.label] * (1 << np.arange(len(parts)))[:, None]).sum(axis=0)
    return _Objects(boxes, log_odds, bits)


def _independent(objects: Mapping[str, _Objects]) -> dict[str, FloatArray]:
    """(N,) log odds of the objects of every sample, if all files err apart from one another."""
    missed = np.log(_missed(objects))
    return {
        token: np.where(np.isnan(found.log_odds), missed * _able(found), found.log_odds).sum(axis=1)
        for token, found in objects.items()
    }


def _missed(objects: Mapping[str, _Objects]) -> FloatArray:
    """(K,) share of what other files see, by how probably it is true, that each file does not."""
    log_odds = np.concatenate([found.log_odds for found in objects.values()])
    able = np.concatenate([_able(found) for found in objects.values()])
    seen = ~np.isnan(log_odds)
    true = np.where(seen, probability(np.where(seen, log_odds, 0.0)), 0.0)
    missed = np.ones(log_odds.shape[1])
    for file in range(log_odds.shape[1]):
        weight = np.delete(true, file, axis=1).max(axis=1, initial=0.0) * able[:, file]
        if weight.sum() > 0.0:
            missed[file] = max((weight * ~seen[:, file]).sum() / weight.sum(), _LEAST_MISSED)
    return missed


def _able(found: _Objects) -> IndexArray:
    """(N, K) whether each file could see each object."""
    bits: IndexArray = found.able[:, None] >> np.arange(found.log_odds.shape[1]) & 1
    return bits


def _relearned(objects: Mapping[str, _Objects], became: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """(N,) log odds of the objects of every sample, after what they became."""
    log_odds = np.concatenate([found.log_odds for found in objects.values()])
    able = np.concatenate([found.able for found in objects.values()])
    true = _truth(np.concatenate([became[token] for token in objects]))
    belief = np.zeros(len(able))
    for group in np.unique(able):
        rows = np.flatnonzero(able == group)
        columns = np.flatnonzero(group >> np.arange(log_odds.shape[1]) & 1)
        own = log_odds[np.ix_(rows, columns)]
        belief[rows] = _fitted(own, true[rows]) if len(columns) > 1 else own[:, 0]
    ends = np.cumsum([len(found.able) for found in objects.values()])
    return dict(zip(objects, np.split(belief, ends[:-1]), strict=True))


def _truth(score: FloatArray) -> FloatArray:
    """(N,) how probably boxes are true whose tracks have these scores; 0 for those without one."""
    cautious = Probabilities.unknown().of(score)
    return np.where(score > 0.0, probability(_SURENESS * (cautious - _EVEN_LOG_ODDS)), 0.0)


def _fitted(log_odds: FloatArray, true: FloatArray) -> FloatArray:
    """(N,) log odds by a logistic regression of how probably objects are true on who sees them, and how surely.

    Args:
        log_odds: (N, K) of the box that each of K files has of them, NaN where it has none. true: (N,) probabilities.
    """
    seen = ~np.isnan(log_odds)
    features = np.column_stack([np.ones(len(true)), seen, np.where(seen, log_odds, 0.0)])
    # Before anything is known files count alike.
    n_files = log_odds.shape[1]
    expected = np.repeat([0.0, 1.0 / n_files], [1 + n_files, n_files])
    numbers = np.zeros(len(expected))
    for _ in range(_NEWTON_STEPS):
        share = probability(features @ numbers)
        slope = features.T @ (true - share) - _PRIOR_BOXES * (numbers - expected)
        curvature = (features * (share * (1.0 - share))[:, None]).T @ features
        step = np.linalg.solve(curvature + _PRIOR_BOXES * np.eye(len(numbers)), slope)
        # Where nearly all is certain the curvature says little of what lies a long step away.
        numbers += step / max(1.0, np.abs(step).max())
    fitted: FloatArray = features @ numbers
    return fitted
