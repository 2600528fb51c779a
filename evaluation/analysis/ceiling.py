"""The best that any tracker could make of given detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.analysis.query_identity import with_true_queries
from scenes import NO_QUERY, Boxes3D, Results, Scene


def ceiling_tracks(detections: Results, scenes: Sequence[Scene]) -> Results:
    """The boxes that are right, each under the name of the annotated object that it takes in matching at 2 m.

    All other boxes are left out, those beyond the range of their class included; scores are the detector's. No tracker
    that reports the boxes it is given does better by the nuScenes metrics; one that moves them, or reports objects
    where there is no box, may.

    Args:
        detections: boxes for every key frame of `scenes`, in global coordinates.
        scenes: annotated scenes.
    """
    named, taxonomy = with_true_queries(detections, scenes), detections.taxonomy
    tracked = np.array([taxonomy.names.index(name) for name in taxonomy.tracked_names])
    return replace(named, boxes={token: _right(boxes, tracked) for token, boxes in named.boxes.items()})


def _right(boxes: Boxes3D, tracked: NDArray[np.int64]) -> Boxes3D:
    assert boxes.query_id is not None
    right = boxes.select(np.flatnonzero((boxes.query_id != NO_QUERY) & np.isin(boxes.label, tracked)))
    assert right.query_id is not None
    return right.replace(track_id=right.query_id.astype(np.str_), query_id=None)
