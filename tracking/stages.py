"""Which box continues which track, in three stages.

A query's identity is a strong hint, not proof: detectors are trained on single frames, and queries drift to neighbours.

1. Identity: a track and a box that share a `query_id` pair where the motion agrees closely.
2. Place: what remains pairs by cost within the class's gates. A shared `query_id` makes a pair cheaper, differing ones
   make it dearer, so that identity decides between places that are about equally good.
3. Recovery: boxes that nobody took go, within wider gates, first to tracks of the same `query_id`, also to those that
   are too long unseen for their place to count, then to tracks that missed a frame, by place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY
from scenes.geometry import FloatArray
from tracking.association import ASSIGNMENTS, Pairs, centre_distance, mahalanobis_distance
from tracking.config import TrackerConfig
from tracking.filtering import observe
from tracking.lifetime import patience_s
from tracking.measurement import Measured
from tracking.settings import ClassTable
from tracking.tracks import Tracks

_BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class _Motion:
    """How well places agree: `cost` (T, B) within `bound`, and `share` (T, B) of the allowed distance."""

    cost: FloatArray
    bound: float
    share: FloatArray

    def within(self, scale: float) -> _BoolArray:
        """(T, B) pairs inside the gates widened by `scale`."""
        return (self.cost < self.bound * scale) & (self.share < scale)


class _Pairing:
    """The pairs made so far, and who is still free."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._free_rows = np.ones(shape[0], dtype=np.bool_)
        self._free_columns = np.ones(shape[1], dtype=np.bool_)
        self._rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        self._columns: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]

    def stage(self, assignment: str, cost: FloatArray, allowed: _BoolArray, gate: float) -> None:
        """Pair by cost what is allowed and still free; `gate` is what leaving a pair apart costs."""
        open_ = allowed & self._free_rows[:, None] & self._free_columns
        if not open_.any():
            return
        rows, columns = ASSIGNMENTS[assignment](np.where(open_, cost, np.inf), gate)
        self._free_rows[rows] = False
        self._free_columns[columns] = False
        self._rows.append(rows)
        self._columns.append(columns)

    def pairs(self) -> Pairs:
        """All pairs that were made."""
        return np.concatenate(self._rows), np.concatenate(self._columns)


def associate(
    tracks: Tracks,
    measured: Measured,
    table: ClassTable,
    config: TrackerConfig,
    last_xy_m: FloatArray,
    now_us: int,
    elapsed_s: float,
) -> Pairs:
    """Pairs of rows of `tracks` and columns of `measured`.

    Args:
        tracks: predicted to now.
        measured: the frame's boxes.
        last_xy_m: (T, 2) where the tracks were before the prediction.
        now_us: the frame's time.
        elapsed_s: since the frame before.
    """
    pairing = _Pairing((len(tracks), len(measured)))
    same_class = tracks.label[:, None] == measured.boxes.label
    if not same_class.any():
        return pairing.pairs()
    # Without this frame, how long a track has been unseen.
    missed_s = (now_us - tracks.seen_us) * 1e-6 - elapsed_s
    motion = _motion(tracks, measured, table, config, last_xy_m, missed_s, elapsed_s)
    same_query, other_query = _identity(tracks, measured, config)
    awake = (missed_s <= patience_s(tracks, config, table))[:, None]
    coasting = (missed_s > 1e-9)[:, None]
    wide = config.recovery_gate_scale

    agreeing = same_class & same_query & awake & motion.within(config.identity_gate_scale)
    pairing.stage("greedy", motion.cost, agreeing, motion.bound)

    hinted = motion.cost - config.identity_bonus * same_query + config.identity_penalty * other_query
    pairing.stage(config.assignment, hinted, same_class & awake & motion.within(1.0), motion.bound)

    reachable = same_class & motion.within(wide)
    pairing.stage("greedy", motion.cost, reachable & same_query, motion.bound * wide)
    pairing.stage(config.assignment, motion.cost, reachable & coasting & awake, motion.bound * wide)
    return pairing.pairs()


def _motion(
    tracks: Tracks,
    measured: Measured,
    table: ClassTable,
    config: TrackerConfig,
    last_xy_m: FloatArray,
    missed_s: FloatArray,
    elapsed_s: float,
) -> _Motion:
    boxes_xy_m = measured.planar[:, :2]
    expected, jacobian = observe(tracks, table)
    if config.cost == "backtracked_distance":
        distance_m = centre_distance(last_xy_m, boxes_xy_m - elapsed_s * measured.planar[:, 3:5])
    else:
        distance_m = centre_distance(expected[:, :2], boxes_xy_m)
    reach_m = table.gate_m[tracks.label] + table.gate_growth_mps[tracks.label] * np.maximum(missed_s, 0.0)
    share = distance_m / reach_m[:, None]
    if config.cost != "mahalanobis":
        return _Motion(share, 1.0, share)
    place = jacobian[:, :2]
    place_cov = place @ tracks.cov @ place.transpose(0, 2, 1)
    sigmas = mahalanobis_distance(expected[:, :2], place_cov, boxes_xy_m, measured.planar_cov[:, :2, :2])
    return _Motion(sigmas, config.gate_sigmas, share)


def _identity(tracks: Tracks, measured: Measured, config: TrackerConfig) -> tuple[_BoolArray, _BoolArray]:
    """(T, B) pairs that share a `query_id`, and pairs whose `query_id`s differ."""
    boxes_query = measured.boxes.query_id
    if boxes_query is None or not config.use_identity:
        nothing = np.zeros((len(tracks), len(measured)), dtype=np.bool_)
        return nothing, nothing
    known = (tracks.query_id[:, None] != NO_QUERY) & (boxes_query != NO_QUERY)
    same = tracks.query_id[:, None] == boxes_query
    return known & same, known & ~same
