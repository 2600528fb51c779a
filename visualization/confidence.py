"""Which tracks are worth a look: those that count for the evaluation, or score well where nothing is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from evaluation.events import TrackEvents
from scenes import Boxes3D, Results, Scene
from scenes.track_scores import mean_track_scores
from visualization.selection import boxes_by_frame

DEFAULT_SCORE: Final = 0.4
"""Mean score from which on the tracks of a scene without annotations are shown. With camera detectors, real ones and
that of the city, the MOTA of most classes is best between 0.3 and 0.6."""


def confident_tracks(scenes: Sequence[Scene], tracks: Results, events: TrackEvents) -> Results:
    """The tracks that are worth a look, with all their boxes.

    Args:
        scenes: what is drawn; boxes of other scenes are left out.
        tracks: boxes by sample token, with `track_id`.
        events: what the evaluation counts. In a scene that it judges, a track is worth a look if any of its boxes
            counts; in another one, if the mean of its scores reaches `DEFAULT_SCORE`.
    """
    boxes: dict[str, Boxes3D] = {}
    for scene in scenes:
        boxes.update(_of_scene(scene, tracks, events))
    return replace(tracks, boxes=boxes)


def confidence_text(events: TrackEvents) -> str:
    """Which tracks `confident_tracks` leaves, in words for a picture."""
    return "tracks that count at the best MOTA" if events.frames else f"tracks of mean score {DEFAULT_SCORE:g} or more"


def _of_scene(scene: Scene, tracks: Results, events: TrackEvents) -> dict[str, Boxes3D]:
    of_frames = boxes_by_frame(scene, tracks)
    first_box = np.cumsum([0, *(len(boxes) for boxes in of_frames)])
    keys = [
        (identity, label)
        for boxes in of_frames
        if boxes.track_id is not None
        for identity, label in zip(boxes.track_id.tolist(), boxes.label.tolist(), strict=True)
    ]
    if not keys:
        return dict(zip(scene.sample_tokens, of_frames, strict=True))
    number_of_key = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    track = np.array([number_of_key[key] for key in keys])
    if all(token in events.frames for token in scene.sample_tokens):
        # Behind the boxes of the file stand those that the evaluation put into gaps.
        counts = [
            events.frames[token].tracks.judged[: len(boxes)]
            for token, boxes in zip(scene.sample_tokens, of_frames, strict=True)
        ]
        kept: Any = (np.bincount(track, np.concatenate(counts)) > 0)[track]
    else:
        scores = np.concatenate([boxes.score for boxes in of_frames])
        kept = mean_track_scores(track, scores) >= DEFAULT_SCORE
    return {
        token: boxes.select(kept[first_box[index] : first_box[index + 1]])
        for index, (token, boxes) in enumerate(zip(scene.sample_tokens, of_frames, strict=True))
    }
