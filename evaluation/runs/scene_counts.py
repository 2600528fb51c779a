"""The numbers of single scenes of an evaluation of tracks, at the thresholds of the highest MOTA over all scenes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from evaluation.events import track_events
from evaluation.runs.store import Metric
from scenes import Results, Scene, shared_taxonomy

ERRORS: Final = {"switches": "ids", "misses": "fn", "false_positives": "fp"}
"""The kinds of error, and the official names of their numbers."""


def scene_metrics(results: Results, scenes: Sequence[Scene]) -> Iterator[Metric]:
    """AMOTA of each scene on its own, and matches and errors of each class in it.

    Args:
        results: tracks of every key frame of `scenes`.
        scenes: annotated scenes.

    Raises:
        InputError: see `evaluation.events.track_events`.
    """
    taxonomy = shared_taxonomy(results, scenes)
    events = track_events(results, scenes)
    for scene in scenes:
        if math.isfinite(amota := events.amota.get(scene.name, math.nan)):
            yield Metric("amota", amota, scene=scene.name)
        counts = {name: np.zeros(len(taxonomy.names), np.int64) for name in ("tp", *ERRORS.values())}
        for token in scene.sample_tokens:
            if (frame := events.frames.get(token)) is None:
                continue
            tracks, annotations = frame.tracks.boxes.label, frame.annotations.boxes.label
            matched = (frame.match >= 0) & ~frame.switch
            for name, labels in (
                ("tp", tracks[matched]),
                ("ids", tracks[frame.switch]),
                ("fp", tracks[frame.false_positive]),
                ("fn", annotations[frame.missed]),
            ):
                counts[name] += np.bincount(labels, minlength=len(taxonomy.names))
        for name, of_labels in counts.items():
            yield Metric(name, float(of_labels.sum()), scene=scene.name)
            for class_ in taxonomy.tracked_names:
                yield Metric(name, float(of_labels[taxonomy.label_of[class_]]), class_, scene.name)
