"""How long tracks live unseen, and what their score says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY
from scenes.geometry import FloatArray
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.score_scale import probability
from tracking.tracks import Tracks

KEY_FRAME_S = 0.5
"""What a single box counts as evidence: one key frame."""


def patience_s(tracks: Tracks, config: TrackerConfig, table: ClassTable) -> FloatArray:
    """(T,) how long tracks may stay unseen and still take boxes by their place: longer if they were observed longer."""
    earned_s = config.newborn_unseen_s + config.unseen_share * tracks.observed_s
    return np.minimum(earned_s, table.max_unseen_s[tracks.label])


def unsupported_s(tracks: Tracks, config: TrackerConfig, now_us: int) -> FloatArray:
    """(T,) how long nothing has spoken for tracks: no 3D box and, for some time after the last one, no 2D box."""
    kept_us = np.minimum(tracks.supported_us, tracks.seen_us + round(config.camera_evidence.keep_s * 1e6))
    unsupported: FloatArray = (now_us - np.maximum(tracks.seen_us, kept_us)) * 1e-6
    return unsupported


def survivors(
    tracks: Tracks, config: TrackerConfig, table: ClassTable, unseen_s: FloatArray, unsupported_s: FloatArray
) -> NDArray[np.bool_]:
    """(T,) which tracks live on. Those out of patience stay dormant while the detector may remember their query.

    Args:
        tracks: T tracks. config: settings. table: its class settings.
        unseen_s: (T,) since their last 3D box. unsupported_s: (T,) see `unsupported_s`.
    """
    remembered_s = np.where(tracks.query_id == NO_QUERY, 0.0, config.identity_memory_s * config.use_identity)
    alive: NDArray[np.bool_] = (unsupported_s <= patience_s(tracks, config, table)) | (unseen_s <= remembered_s)
    if np.count_nonzero(alive) > config.max_tracks:
        order = np.lexsort((-tracks.score, unseen_s, ~alive))
        alive[order[config.max_tracks :]] = False
    return alive


def evidence_score(
    evidence: FloatArray,
    hits: NDArray[np.int64],
    observed_s: FloatArray,
    evidence_time_s: float,
    lift: FloatArray | float = 0.0,
) -> FloatArray:
    """(T,) mean probability of the tracks' boxes, times a share that grows with the time they span.

    Args:
        evidence: (T,) sum of the boxes' log odds. hits: (T,) number of boxes.
        observed_s: (T,) time with boxes since birth.
        evidence_time_s: the time in which the share reaches 63%.
        lift: (T,) what a 2D detector adds to the mean log odds.
    """
    share = 1.0 - np.exp(-(observed_s + KEY_FRAME_S) / evidence_time_s)
    score: FloatArray = probability(evidence / hits + lift) * share
    return score
