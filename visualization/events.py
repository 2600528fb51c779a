"""Which tracks are right, as the official evaluation counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluation.events import TrackEvents, track_events
from scenes import Results, Scene
from visualization.selection import results_of_scene


def find_events(scenes: Sequence[Scene], tracks: Results) -> TrackEvents:
    """What the official evaluation of some scenes counts in each of their frames.

    Args:
        scenes: those without annotations have no events.
        tracks: boxes by sample token, with `track_id`. A frame that is not there has no boxes.

    Raises:
        InputError: the scenes cannot be evaluated, see `evaluation.events.track_events`.
    """
    annotated = [scene for scene in scenes if all(frame.annotations is not None for frame in scene.frames)]
    boxes = {token: found for scene in annotated for token, found in results_of_scene(scene, tracks).boxes.items()}
    return track_events(replace(tracks, boxes=boxes), annotated)
