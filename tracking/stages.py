"""Which box continues which track, in stages.

A query's identity is a strong hint, not proof: detectors are trained on single frames, and queries drift to neighbours.

1. Identity: a track and a box that share a `query_id` pair where the motion agrees closely.
2. Place: what remains pairs by cost within the class's gates. A shared `query_id` makes a pair cheaper, so that
   identity decides between places that are about equally good.
3. Recovery: boxes that nobody took go, within wider gates, first to tracks of the same `query_id`, also to those that
   are too long unseen for their place to count, then to tracks that missed a frame, by place, and last to tracks that
   hold their centre inside their body: no two bodies are in one place. Boxes err little most of the time, which is what
   the gates learn, and now and then by a metre, where an object shows another side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY
from scenes.geometry import FloatArray
from scenes.rotated_rectangles import rectangle_corners
from tracking.association import ASSIGNMENTS, IndexArray, Pairs, mahalanobis_distance, near_pairs
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.filtering import observe
from tracking.footprints import giou
from tracking.lifetime import patience_s, unsupported_s
from tracking.measurement import Measured
from tracking.score_scale import probability
from tracking.tracks import Tracks

_BoolArray = NDArray[np.bool_]

_SURE: Final = 0.7
"""How probably true a box has to be for a newborn track to reach farther."""


@dataclass(frozen=True)
class _Candidates:
    """P pairs of a track and a box that are near enough to be looked at.

    Attributes:
        row, column: (P,) track and box.
        cost: (P,) how badly they agree. bound: the greatest cost that the gate lets pass.
        share: (P,) of the allowed distance in the ground plane.
    """

    row: IndexArray
    column: IndexArray
    cost: FloatArray
    bound: float
    share: FloatArray

    def within(self, scale: float) -> _BoolArray:
        """(P,) pairs inside the gates widened by `scale`."""
        return (self.cost < self.bound * scale) & (self.share < scale)


class _Pairing:
    """The pairs made so far, and who is still free."""

    def __init__(self, candidates: _Candidates, n_tracks: int, n_boxes: int) -> None:
        self._candidates = candidates
        self._free_rows = np.ones(n_tracks, dtype=np.bool_)
        self._free_columns = np.ones(n_boxes, dtype=np.bool_)
        self._made: list[IndexArray] = [np.zeros(0, dtype=np.int64)]

    def stage(self, assignment: str, cost: FloatArray, allowed: _BoolArray, gate: float) -> None:
        """Pair by cost what is allowed and still free; `gate` is what leaving a pair apart costs."""
        row, column = self._candidates.row, self._candidates.column
        open_ = np.flatnonzero(allowed & self.free())
        if not len(open_):
            return
        made = open_[ASSIGNMENTS[assignment](row[open_], column[open_], cost[open_], gate)]
        self._free_rows[row[made]] = False
        self._free_columns[column[made]] = False
        self._made.append(made)

    def free(self) -> _BoolArray:
        """(P,) candidates of which neither has a partner yet."""
        free: _BoolArray = self._free_rows[self._candidates.row] & self._free_columns[self._candidates.column]
        return free

    def pairs(self) -> Pairs:
        """All pairs that were made."""
        made = np.concatenate(self._made)
        return self._candidates.row[made], self._candidates.column[made]


def associate(
    tracks: Tracks,
    measured: Measured,
    table: ClassTable,
    config: TrackerConfig,
    last_xy_m: FloatArray,
    now_us: int,
    elapsed_s: float,
    identities: bool,
) -> Pairs:
    """Pairs of rows of `tracks` and columns of `measured`.

    Args:
        tracks: predicted to now.
        measured: the frame's boxes.
        last_xy_m: (T, 2) where the tracks were before the prediction.
        now_us: the frame's time.
        elapsed_s: since the frame before.
        identities: whether `query_id`s count; see `IdentityTrust`.
    """
    # Without this frame, how long a track has been unseen.
    missed_s = np.maximum((now_us - tracks.seen_us) * 1e-6 - elapsed_s, 0.0)
    found = _candidates(tracks, measured, table, config, last_xy_m, elapsed_s)
    pairing = _Pairing(found, len(tracks), len(measured))
    idle_s = np.maximum(unsupported_s(tracks, config, now_us) - elapsed_s, 0.0)
    awake = (idle_s <= patience_s(tracks, config, table))[found.row]
    inside, wide = awake & found.within(1.0), config.recovery_gate_scale
    same_query = np.zeros(len(found.row), dtype=np.bool_)
    hinted = found.cost
    if identities and measured.boxes.query_id is not None:
        tracks_query = tracks.query_id[found.row]
        same_query = (tracks_query != NO_QUERY) & (tracks_query == measured.boxes.query_id[found.column])
        hinted = found.cost - config.identity_bonus * same_query
        pairing.stage("greedy", found.cost, inside & same_query & found.within(config.identity_gate_scale), found.bound)
    pairing.stage(config.assignment, hinted, inside, found.bound)

    if wide > 0.0:
        reachable = found.within(wide)
        pairing.stage("greedy", found.cost, reachable & same_query, found.bound * wide)
        coasting = (missed_s > 1e-9)[found.row]
        pairing.stage(config.assignment, found.cost, reachable & coasting & awake, found.bound * wide)
        pairing.stage("greedy", found.share, _inside(tracks, measured, table, found, awake & pairing.free()), np.inf)
    return pairing.pairs()


def _candidates(
    tracks: Tracks,
    measured: Measured,
    table: ClassTable,
    config: TrackerConfig,
    last_xy_m: FloatArray,
    elapsed_s: float,
) -> _Candidates:
    tracks_xy_m, boxes_xy_m = tracks.mean[:, :2], measured.planar[:, :2]
    if config.cost == "backtracked_distance":
        tracks_xy_m, boxes_xy_m = last_xy_m, boxes_xy_m - elapsed_s * measured.planar[:, 3:5]
    gate_m, boxes_label = table.gate_m[:, None], measured.boxes.label
    newborn = (tracks.hits == 1) & (probability(tracks.last_log_odds) >= _SURE)
    widest = max(1.0, config.recovery_gate_scale)
    row, column = near_pairs(
        tracks_xy_m / gate_m[tracks.label],
        tracks.label,
        boxes_xy_m / gate_m[boxes_label],
        boxes_label,
        np.where(newborn, max(widest, config.newborn_gate_scale), widest),
    )
    offset_m = boxes_xy_m[column] - tracks_xy_m[row]
    # Farther for a track of one box, whose speed is a guess, but not to boxes that may well be clutter, of which a wide
    # reach takes in more.
    sure = newborn[row] & (measured.probability >= _SURE)[column]
    reach_m = table.gate_m[tracks.label[row]] * np.where(sure, config.newborn_gate_scale, 1.0)
    share = np.sqrt(offset_m[:, 0] ** 2 + offset_m[:, 1] ** 2) / reach_m
    if config.cost == "mahalanobis":
        cov = tracks.cov[row, :2, :2] + measured.planar_cov[column, :2, :2]
        return _Candidates(row, column, mahalanobis_distance(offset_m, cov), config.gate_sigmas, share)
    if config.cost == "giou":
        return _Candidates(row, column, _overlap_cost(tracks, measured, table, row, column), config.gate_giou, share)
    return _Candidates(row, column, share, 1.0, share)


def _inside(tracks: Tracks, measured: Measured, table: ClassTable, found: _Candidates, asked: _BoolArray) -> _BoolArray:
    """(P,) candidates, of those that are `asked` for, whose box has its centre inside the body of the track."""
    inside = np.zeros(len(asked), dtype=np.bool_)
    pairs = np.flatnonzero(asked)
    row, column = found.row[pairs], found.column[pairs]
    expected, _ = observe(tracks.mean[row], tracks.label[row], table)
    offset_m = measured.planar[column, :2] - expected[:, :2]
    cos, sin = np.cos(expected[:, 2]), np.sin(expected[:, 2])
    ahead_m = cos * offset_m[:, 0] + sin * offset_m[:, 1]
    aside_m = cos * offset_m[:, 1] - sin * offset_m[:, 0]
    width_m, length_m = tracks.body[row, 1], tracks.body[row, 2]
    inside[pairs] = (2.0 * np.abs(ahead_m) < length_m) & (2.0 * np.abs(aside_m) < width_m)
    return inside


def _overlap_cost(
    tracks: Tracks, measured: Measured, table: ClassTable, row: IndexArray, column: IndexArray
) -> FloatArray:
    """(P,) 1 - GIoU seen from above, in [0, 2)."""
    expected, _ = observe(tracks.mean, tracks.label, table)
    predicted = rectangle_corners(expected[:, :2], expected[:, 2], tracks.body[:, 1:3])
    detected = rectangle_corners(measured.planar[:, :2], measured.planar[:, 2], measured.body[:, 1:3])
    return 1.0 - giou(predicted[row], detected[column])
