"""The tracks with the most errors, for a person to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evaluation.analysis.error_kinds import NO_ERROR, Kind
from evaluation.analysis.matched_class import MatchedClass
from evaluation.engine.box_table import IntArray
from evaluation.engine.matching import ClassBoxes
from evaluation.engine.tracked_scenes import EvaluatedTracks, TrackedScenes


def worst_tracks(tracked: TrackedScenes, classes: Sequence[MatchedClass], count: int) -> list[dict[str, Any]]:
    """The `count` annotated and false tracks with the most errors, worst first.

    Returns:
        For each `scene`, `class`, `track_id` (annotated: the instance token), whether it `is_annotated`, the number of
        `errors` of how many `boxes`, the most frequent `kind` of error, and from the first error to the last the
        `sample_token` and the times `start_s` and `end_s` since the start of the scene.
    """
    tracks = [track for matched in classes for track in _class_tracks(tracked, matched)]
    return sorted(tracks, key=lambda track: (-track["errors"], track["scene"], track["track_id"]))[:count]


def _class_tracks(tracked: TrackedScenes, matched: MatchedClass) -> Iterator[dict[str, Any]]:
    annotated = (matched.class_.annotated, matched.annotated_kind, matched.annotated_scene, matched.annotated_frame)
    predicted = (matched.class_.predicted, matched.predicted_kind, matched.predicted_scene, matched.predicted_frame)
    for tracks, part in ((tracked.annotated, annotated), (tracked.predicted, predicted)):
        for track in _faulty_tracks(tracked, tracks, *part):
            yield {"class": matched.name, "is_annotated": tracks is tracked.annotated, **track}


def _faulty_tracks(
    tracked: TrackedScenes, tracks: EvaluatedTracks, boxes: ClassBoxes, kind: IntArray, scene: IntArray, frame: IntArray
) -> Iterator[dict[str, Any]]:
    number = tracks.table.track[boxes.row]
    length = np.bincount(number)
    faulty = np.flatnonzero(kind != NO_ERROR)
    by_track = faulty[np.argsort(number[faulty], kind="stable")]
    starts = np.flatnonzero(np.diff(number[by_track], prepend=-1))
    for rows in np.split(by_track, starts[1:]) if len(by_track) else []:
        first, last = rows[0], rows[-1]
        start_us = tracked.scenes[scene[first]].frames[0].timestamp_us
        identities = tracks.given.boxes.track_id
        assert identities is not None
        yield {
            "scene": tracked.scenes[scene[first]].name,
            "track_id": str(identities[tracks.table.source[boxes.row[first]]]),
            "errors": len(rows),
            "boxes": int(length[number[first]]),
            "kind": Kind(Counter(kind[rows].tolist()).most_common(1)[0][0]).name.lower(),
            "sample_token": tracked.frames[frame[first]].token,
            "start_s": 1e-6 * (tracked.frames[frame[first]].timestamp_us - start_us),
            "end_s": 1e-6 * (tracked.frames[frame[last]].timestamp_us - start_us),
        }
