"""What has been learned of a detector: together, as a file, and in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from scenes import InputError
from scenes.files import write_atomically
from scenes.json_text import is_number, read_json
from tracking.box_errors import LEAST_REPORT_MPS, N_BINS, N_SUMS, BoxErrors
from tracking.config import MeasurementNoise
from tracking.score_scale import ScoreScale, probability

_VERSION: Final = 4
_COLUMNS: Final = ("score", "count", "judged", "followed")
_ERRORS: Final = {"along": N_BINS, "across": N_BINS, "velocities": N_SUMS, "fastest_mps": 1}
_SHOWN_RANGE_M: Final = 30
_WORTHLESS_MPS: Final = 8.0
_SHOWN_SHARES: Final = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1)


@dataclass(frozen=True)
class Calibration:
    """What is known of a detector, learned from its boxes.

    Attributes:
        score_scale: what its scores mean. box_errors: how far its boxes err.
    """

    score_scale: ScoreScale = field(default_factory=ScoreScale.unknown)
    box_errors: BoxErrors = field(default_factory=BoxErrors.unknown)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a file for `read_calibration`, whole or not at all."""
    scale, errors = calibration.score_scale, calibration.box_errors
    columns = {name: getattr(scale, name).tolist() for name in _COLUMNS}
    learned = {name: getattr(errors, name).tolist() for name in _ERRORS}
    content = {"calibration_version": _VERSION, "frames": scale.frames, **columns, **learned}
    write_atomically(path, json.dumps(content).encode())


def read_calibration(path: Path) -> Calibration:
    """What `write_calibration` wrote.

    Raises:
        InputError: no such file, or none that `streamtrack calibrate` wrote.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("calibration_version") != _VERSION:
        raise InputError(f"{path}: not a calibration (calibration_version {_VERSION}) that streamtrack calibrate wrote")
    columns = {name: _column(content.get(name), name, path) for name in _COLUMNS}
    frames = content.get("frames")
    if type(frames) is not int or frames < 1:
        raise InputError(f"{path}: frames is {frames!r}, expected a whole number from 1 on")
    if len({len(column) for column in columns.values()}) != 1 or not len(columns["score"]):
        raise InputError(f"{path}: {', '.join(_COLUMNS)} are not of one length, or empty")
    if (np.diff(columns["score"]) <= 0.0).any():
        raise InputError(f"{path}: score is not ascending")
    if min(columns[name].min() for name in _COLUMNS[1:]) < 0.0 or columns["count"].sum() <= 0.0:
        raise InputError(f"{path}: {', '.join(_COLUMNS[1:])} are numbers of boxes, not negative")
    errors = {name: _column(content.get(name), name, path) for name in _ERRORS}
    for name, length in _ERRORS.items():
        if len(errors[name]) != length:
            raise InputError(f"{path}: {name} has {len(errors[name])} numbers, expected {length}")
    if min(errors["along"].min(), errors["across"].min(), errors["velocities"][0]) < 0.0:
        raise InputError(f"{path}: along, across and the first of velocities are numbers of boxes, not negative")
    if errors["fastest_mps"][0] < 0.0:
        raise InputError(f"{path}: fastest_mps is a speed, not negative")
    return Calibration(ScoreScale(**columns, frames=frames), BoxErrors(**errors))


def _column(value: Any, name: str, path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if not isinstance(value, list) or not all(map(is_number, value)):
        raise InputError(f"{path}: {name} is not a list of numbers")
    return np.array(value, dtype=np.float64)


def described(scale: ScoreScale) -> Iterator[tuple[str, ...]]:
    """A table for people: score, share of boxes that score lower, share of those about it that are followed, and how
    probably such a box is true; the header first."""
    yield "score", "boxes below", "followed", "probably true"
    below = np.cumsum(scale.count) / scale.count.sum()
    shares = np.array([1.0, *_SHOWN_SHARES, 0.0])
    for upper, share, lower in zip(shares, shares[1:], shares[2:], strict=False):
        near = (below <= 0.5 * (upper + share)) & (below >= 0.5 * (share + lower))
        judged = scale.judged[near].sum()
        score = float(np.interp(share, below, scale.score))
        followed = f"{scale.followed[near].sum() / judged:.2f}" if judged else "-"
        true = float(probability(scale.of(np.array([score])))[0])
        yield f"{score:.3g}", f"{share:.0%}", followed, f"{true:.2f}"


def described_errors(errors: BoxErrors, assumed: MeasurementNoise) -> Iterator[str]:
    """Lines for people: how far boxes err, at which distance, and what their velocities are worth."""
    along = errors.along_scale * (assumed.along_m + _SHOWN_RANGE_M * assumed.along_per_m)
    across = errors.across_scale * (assumed.across_m + _SHOWN_RANGE_M * assumed.across_per_m)
    yield (
        f"places {_SHOWN_RANGE_M} m away err by {along:.2f} m along the ray and {across:.2f} m across "
        f"({errors.along_scale:.2f} and {errors.across_scale:.2f} of what is assumed, from {errors.along.sum():,.0f} "
        "windows of three boxes)"
    )
    if not errors.velocities[0]:
        yield "velocities: none reported"
        return
    if not errors.movement_reported:
        yield f"velocities are all below {LEAST_REPORT_MPS} m/s: as good as none"
        return
    velocity_mps = errors.velocity_mps(assumed.velocity_mps)
    worth = "" if velocity_mps < _WORTHLESS_MPS else ": as good as none"
    yield f"velocities err by {velocity_mps:.1f} m/s{worth}"
