"""How long tracks live unseen, and what their score says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY
from scenes.geometry import FloatArray
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.score_scale import log_odds_of, probability
from tracking.tracks import Tracks

KEY_FRAME_S = 0.5
"""What a single box counts as evidence: one key frame."""

_LAST_BOX_SHARE = 0.5
"""How much the last box counts for a track, beside the mean of all: objects come nearer and leave."""

_PRESENCE_POWER = 3.0
"""The odds of a track are multiplied by this power of the share of its life in which it was seen: clutter flickers.
Chosen on the rows that docs/tracking.md, "What a track's score means", names."""


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


def log_odds_so_far(tracks: Tracks) -> FloatArray:
    """(T,) log odds that tracks are of objects: by their last box, all boxes, and how much of their life they were
    seen."""
    mean = tracks.evidence / tracks.hits
    seen_s = tracks.observed_s + KEY_FRAME_S
    presence = seen_s / (seen_s + tracks.missed_s)
    log_odds: FloatArray = mean + _LAST_BOX_SHARE * (tracks.last_log_odds - mean) + _PRESENCE_POWER * np.log(presence)
    return log_odds


def evidence_score(log_odds: FloatArray, observed_s: FloatArray, evidence_time_s: float) -> FloatArray:
    """(T,) how probably tracks are of objects, times a share that grows with the time they were seen.

    Args:
        log_odds: (T,) of being one.
        observed_s: (T,) time with boxes since birth.
        evidence_time_s: the time in which the share reaches 63%.
    """
    share = 1.0 - np.exp(-(observed_s + KEY_FRAME_S) / evidence_time_s)
    score: FloatArray = probability(log_odds) * share
    return score


def shifted_score(score: FloatArray, log_odds: FloatArray) -> FloatArray:
    """(T,) scores when something else tells so much for or against tracks."""
    return probability(log_odds_of(score) + log_odds)
