"""Detected boxes as measurements: which can be used, in a fixed order, with what uncertainty."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenes import Boxes3D
from scenes.geometry import FloatArray
from tracking.config import MeasurementNoise, TrackerConfig
from tracking.duplicates import duplicates
from tracking.motion import MEASUREMENT_SIZE
from tracking.settings import ClassTable

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """B usable boxes of one frame, best score first; the order does not depend on that of the input.

    Attributes:
        boxes: the boxes, global frame.
        planar: (B, 5) x, y, yaw, vx, vy.
        planar_cov: (B, 5, 5) its covariance.
        has_velocity: (B,) whether the velocity is known.
        body: (B, 4) z, width, length, height. body_var: (B, 4) variances.
    """

    boxes: Boxes3D
    planar: FloatArray
    planar_cov: FloatArray
    has_velocity: NDArray[np.bool_]
    body: FloatArray
    body_var: FloatArray

    def __len__(self) -> int:
        return len(self.boxes)


def measure(boxes: Boxes3D, config: TrackerConfig, table: ClassTable, sensor_xy_m: FloatArray) -> Measured:
    """Measurements of the boxes that can be tracked.

    Args:
        boxes: in global coordinates.
        config: settings. table: its class settings.
        sensor_xy_m: (2,) where the viewing rays start.
    """
    noise = config.noise
    boxes = _in_fixed_order(_usable(boxes, table))
    if config.suppress_duplicates:
        boxes = _without_duplicates(boxes, config, sensor_xy_m)
    velocity, has_velocity = _believable_velocity(boxes, table)
    planar = np.column_stack([boxes.center_m[:, :2], boxes.yaw_rad, velocity])
    return Measured(
        boxes=boxes,
        planar=planar,
        planar_cov=_planar_covariance(planar, noise, sensor_xy_m),
        has_velocity=has_velocity,
        body=np.column_stack([boxes.center_m[:, 2], boxes.size_wlh_m]),
        body_var=np.column_stack([np.full(len(boxes), noise.height_m**2), (noise.size_share * boxes.size_wlh_m) ** 2]),
    )


def ray_covariance(xy_m: FloatArray, noise: MeasurementNoise, sensor_xy_m: FloatArray) -> FloatArray:
    """(B, 2, 2) covariance of places (B, 2) seen from `sensor_xy_m`: long along the ray, narrow across."""
    offset = xy_m - sensor_xy_m
    range_m = np.hypot(offset[:, 0], offset[:, 1])
    ray = np.where(range_m[:, None] > 1e-6, offset / np.maximum(range_m, 1e-6)[:, None], [1.0, 0.0])
    along_var = (noise.along_m + noise.along_per_m * range_m) ** 2
    across_var = (noise.across_m + noise.across_per_m * range_m) ** 2
    outer = ray[:, :, None] * ray[:, None, :]
    covariance: FloatArray = (along_var - across_var)[:, None, None] * outer + across_var[:, None, None] * np.eye(2)
    return covariance


def _usable(boxes: Boxes3D, table: ClassTable) -> Boxes3D:
    """Boxes of tracked classes with enough score; broken ones are named in the log and left out."""
    numbers = np.column_stack([boxes.center_m, boxes.size_wlh_m, boxes.rotation, boxes.score])
    whole = np.isfinite(numbers).all(axis=1) & (boxes.size_wlh_m > 0).all(axis=1)
    whole &= (np.abs(boxes.center_m) < 1e9).all(axis=1) & np.any(boxes.rotation != 0, axis=1)
    if not whole.all():
        _logger.warning("%d of %d boxes left out: not finite, or of no size", np.sum(~whole), len(boxes))
    known = (boxes.label >= 0) & (boxes.label < len(table.tracked))
    label = np.where(known, boxes.label, 0)
    return boxes.select(whole & known & table.tracked[label] & (boxes.score >= table.min_score[label]))


def _in_fixed_order(boxes: Boxes3D) -> Boxes3D:
    """Best score first; ties by what the boxes are, so that the order of the input does not matter."""
    keys = [boxes.rotation, boxes.size_wlh_m, np.nan_to_num(boxes.velocity_mps), boxes.center_m]
    ids = np.zeros(len(boxes)) if boxes.query_id is None else boxes.query_id
    columns = np.column_stack([*keys, ids, boxes.label, -boxes.score])
    return boxes.select(np.lexsort(columns.T))


def _without_duplicates(boxes: Boxes3D, config: TrackerConfig, sensor_xy_m: FloatArray) -> Boxes3D:
    xy_m = boxes.center_m[:, :2]
    duplicate = duplicates(
        xy_m,
        boxes.yaw_rad,
        boxes.size_wlh_m[:, :2],
        boxes.label,
        ray_covariance(xy_m, config.noise, sensor_xy_m),
        config.duplicate_reach,
        config.duplicate_ray_sigmas,
    )
    return boxes.select(~duplicate)


def _believable_velocity(boxes: Boxes3D, table: ClassTable) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Velocities (B, 2), 0 where unknown, and whether they are known.

    A velocity of exactly zero is unknown: it is what detectors without one write, and no regression ends there.
    """
    velocity = boxes.velocity_mps
    with np.errstate(invalid="ignore", over="ignore"):
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        known = (speed > 0.0) & (speed <= table.max_speed_mps[boxes.label])
    return np.where(known[:, None], velocity, 0.0), known


def _planar_covariance(planar: FloatArray, noise: MeasurementNoise, sensor_xy_m: FloatArray) -> FloatArray:
    covariance = np.zeros((len(planar), MEASUREMENT_SIZE, MEASUREMENT_SIZE))
    covariance[:, :2, :2] = ray_covariance(planar[:, :2], noise, sensor_xy_m)
    covariance[:, 2, 2] = noise.yaw_rad**2
    covariance[:, [3, 4], [3, 4]] = noise.velocity_mps**2
    return covariance
