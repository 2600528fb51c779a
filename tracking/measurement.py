"""Detected boxes as measurements: which can be used, in a fixed order, with what uncertainty."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes import NO_QUERY, Boxes3D
from scenes.geometry import FloatArray
from tracking.box_errors import BoxErrors
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import MeasurementNoise, TrackerConfig
from tracking.duplicates import duplicates
from tracking.motion import MEASUREMENT_SIZE
from tracking.score_scale import probability

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """B usable boxes of one frame, best score first; the order does not depend on that of the input.

    Attributes:
        source: (B,) which of the frame's boxes they are.
        boxes: the boxes, global frame.
        log_odds: (B,) of being true.
        planar: (B, 5) x, y, yaw, vx, vy.
        planar_cov: (B, 5, 5) its covariance.
        has_velocity: (B,) whether the velocity is known.
        body: (B, 4) z, width, length, height. body_var: (B, 4) variances.
    """

    source: NDArray[np.int64]
    boxes: Boxes3D
    log_odds: FloatArray
    planar: FloatArray
    planar_cov: FloatArray
    has_velocity: NDArray[np.bool_]
    body: FloatArray
    body_var: FloatArray

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def probability(self) -> FloatArray:
        """(B,) of being true."""
        return probability(self.log_odds)

    @property
    def speed_mps(self) -> FloatArray:
        """(B,) as the detector reports it, believable or 0."""
        speed: FloatArray = np.hypot(self.planar[:, 3], self.planar[:, 4])
        return speed


def measure(
    boxes: Boxes3D, config: TrackerConfig, table: ClassTable, calibration: Calibration, sensor_xy_m: FloatArray
) -> Measured:
    """Measurements of the boxes that can be tracked.

    Args:
        boxes: in global coordinates.
        config: settings. table: its class settings.
        calibration: what the boxes' scores mean, and how they err.
        sensor_xy_m: (2,) where the viewing rays start.
    """
    whole = _whole(boxes)
    if not whole.all():
        _logger.warning("%d of %d boxes left out: not finite, or of no size", np.sum(~whole), len(boxes))
    source = _in_fixed_order(boxes, np.flatnonzero(usable(boxes, table)))
    boxes = boxes.select(source)
    place_cov = ray_covariance(boxes.center_m[:, :2], config.noise, sensor_xy_m, calibration.box_errors)
    if config.suppress_duplicates:
        single = np.flatnonzero(~(_duplicates(boxes, place_cov, config) | _of_a_query_before(boxes)))
        source, boxes, place_cov = source[single], boxes.select(single), place_cov[single]
    return measured_boxes(
        source, boxes, calibration.score_scale.of(boxes.score), config, table, calibration.box_errors, place_cov
    )


def measured_boxes(
    source: NDArray[np.int64],
    boxes: Boxes3D,
    log_odds: FloatArray,
    config: TrackerConfig,
    table: ClassTable,
    errors: BoxErrors,
    place_cov: FloatArray,
) -> Measured:
    """Boxes as measurements, all of them, in their order.

    Args:
        source: (B,) see `Measured`. boxes: usable ones, in global coordinates. log_odds: (B,) of being true.
        config: settings. table: its class settings.
        errors: how the detector's boxes err.
        place_cov: (B, 2, 2) how uncertain their places are, see `ray_covariance`.
    """
    noise, height_yaw_scale = config.noise, errors.height_yaw_scale
    velocity, has_velocity = believable_velocity(boxes, table)
    velocity_mps = errors.velocity_mps(noise.velocity_mps)
    # What errs by far more than speeds differ tells nothing of them.
    has_velocity &= velocity_mps <= _WORTHLESS_SPREADS * table.speed_mps[boxes.label]
    if config.learn_noise:
        speed_mps = np.hypot(velocity[:, 0], velocity[:, 1])
        has_velocity &= errors.with_reports(speed_mps, probability(log_odds)).movement_reported
    planar_cov = np.zeros((len(boxes), MEASUREMENT_SIZE, MEASUREMENT_SIZE))
    planar_cov[:, :2, :2] = place_cov
    planar_cov[:, 2, 2] = (height_yaw_scale * noise.yaw_rad) ** 2
    planar_cov[:, 3, 3] = planar_cov[:, 4, 4] = velocity_mps**2
    height_var = np.full(len(boxes), (height_yaw_scale * noise.height_m) ** 2)
    return Measured(
        source=source,
        boxes=boxes,
        log_odds=log_odds,
        planar=np.column_stack([boxes.center_m[:, :2], boxes.yaw_rad, velocity]),
        planar_cov=planar_cov,
        has_velocity=has_velocity,
        body=np.column_stack([boxes.center_m[:, 2], boxes.size_wlh_m]),
        body_var=np.column_stack([height_var, (noise.size_share * boxes.size_wlh_m) ** 2]),
    )


_WORTHLESS_SPREADS = 2.0
"""Velocities whose error is so many times the spread of speeds in their class are as good as unknown."""


def ray_covariance(
    xy_m: FloatArray, noise: MeasurementNoise, sensor_xy_m: FloatArray, errors: BoxErrors | None = None
) -> FloatArray:
    """(B, 2, 2) covariance of places (B, 2) from one sensor (2,) or from B: long along the ray, narrow across.

    As assumed, or with what is known of how boxes err.
    """
    along_scale, across_scale = (1.0, 1.0) if errors is None else (errors.along_scale, errors.across_scale)
    offset = xy_m - sensor_xy_m
    squared = offset[:, 0] ** 2 + offset[:, 1] ** 2
    range_m = np.sqrt(squared)
    along_var = (along_scale * (noise.along_m + noise.along_per_m * range_m)) ** 2
    across_var = (across_scale * (noise.across_m + noise.across_per_m * range_m)) ** 2
    # Where the sensor stands itself no direction is the ray's; there both are uncertain alike.
    longer = (along_var - across_var) / np.maximum(squared, 1e-12)
    covariance: FloatArray = longer[:, None, None] * offset[:, :, None] * offset[:, None, :]
    covariance[:, 0, 0] += across_var
    covariance[:, 1, 1] += across_var
    return covariance


_LARGEST = 1e9
"""Coordinates and sizes beyond it are no measurements, in metres."""


def usable(boxes: Boxes3D, table: ClassTable) -> NDArray[np.bool_]:
    """(B,) boxes of tracked classes with enough score that are not broken."""
    known = (boxes.label >= 0) & (boxes.label < len(table.tracked))
    label = np.where(known, boxes.label, 0)
    kept: NDArray[np.bool_] = _whole(boxes) & known & table.tracked[label] & (boxes.score >= table.min_score[label])
    return kept


def _whole(boxes: Boxes3D) -> NDArray[np.bool_]:
    """(B,) boxes that are finite and have a size."""
    turn = np.abs(boxes.rotation).max(axis=1)
    # Comparisons with NaN are false.
    placed = (np.abs(boxes.center_m) < _LARGEST).all(axis=1) & (turn > 0) & (turn < _LARGEST)
    whole: NDArray[np.bool_] = placed & np.isfinite(boxes.score)
    whole &= ((boxes.size_wlh_m > 0) & (boxes.size_wlh_m < _LARGEST)).all(axis=1)
    return whole


def _in_fixed_order(boxes: Boxes3D, picked: NDArray[np.int64]) -> NDArray[np.int64]:
    """`picked`, best score first; ties by what the boxes are, so that the order of the input does not matter."""
    score = boxes.score[picked]
    order = np.argsort(-score, kind="stable")
    if (np.diff(score[order]) < 0.0).all():
        return picked[order]
    ids = np.zeros(len(boxes)) if boxes.query_id is None else boxes.query_id
    columns = [boxes.rotation, boxes.size_wlh_m, np.nan_to_num(boxes.velocity_mps), boxes.center_m]
    keys = np.column_stack([*columns, ids, boxes.label, -boxes.score])[picked]
    tie_free: NDArray[np.int64] = np.lexsort(keys.T)
    return picked[tie_free]


def _duplicates(boxes: Boxes3D, ray_cov: FloatArray, config: TrackerConfig) -> NDArray[np.bool_]:
    return duplicates(
        boxes.center_m[:, :2],
        boxes.yaw_rad,
        boxes.size_wlh_m[:, :2],
        boxes.label,
        ray_cov,
        config.duplicate_reach,
        config.duplicate_ray_sigmas,
    )


def _of_a_query_before(boxes: Boxes3D) -> NDArray[np.bool_]:
    """(B,) boxes, best first, whose query has a better one: detectors report what they doubt under several classes."""
    if boxes.query_id is None:
        return np.zeros(len(boxes), dtype=np.bool_)
    again = np.ones(len(boxes), dtype=np.bool_)
    again[np.unique(boxes.query_id, return_index=True)[1]] = False
    again[boxes.query_id == NO_QUERY] = False
    return again


def believable_velocity(boxes: Boxes3D, table: ClassTable) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Velocities (B, 2), 0 where unknown, and whether they are known.

    A velocity of exactly zero is unknown: it is what detectors without one write, and no regression ends there.
    """
    velocity = boxes.velocity_mps
    with np.errstate(invalid="ignore", over="ignore"):
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        known = (speed > 0.0) & (speed <= table.max_speed_mps[boxes.label])
    return np.where(known[:, None], velocity, 0.0), known
