"""The state of all live tracks as columns of arrays, one row a track."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from tracking.association import IndexArray
from tracking.motion import STATE_SIZE

BODY_SIZE = 4
"""z, width, length, height: filtered each on its own."""


@dataclass
class Tracks:
    """T live tracks.

    Attributes:
        number: (T,) identity, counted from 1.
        label: (T,) index into `TrackerConfig.taxonomy.names`.
        mean, cov: (T, 6), (T, 6, 6) planar motion, laid out by the class's motion model.
        body, body_var: (T, 4) z, width, length, height in metres, and variances.
        heading_votes: (T,) boxes that agreed with the heading less those that faced backwards, within +-3.
        query_id: (T,) detector query of the last box, `NO_QUERY` without one.
        born_us, seen_us: (T,) time of the first and of the last box.
        supported_us: (T,) time of the last 2D box that spoke for it, that of the first box before there was one.
        hits: (T,) number of boxes.
        evidence: (T,) sum of the boxes' log odds of being true. last_log_odds: (T,) those of the last box.
        observed_s, missed_s: (T,) time with and without boxes since birth.
        score: (T,) the last box's score.
        box_us: (T, 2) times of the last box but one and of the last; both the same while there is one.
        box_xy_m: (T, 2, 2) their places. box_velocity_mps: (T, 2) what the last one reported, 0 where nothing.
        support: (T,) score of the 2D boxes that spoke for it, averaged over its life; 0 while none does.
    """

    number: NDArray[np.int64]
    label: NDArray[np.int64]
    mean: FloatArray
    cov: FloatArray
    body: FloatArray
    body_var: FloatArray
    heading_votes: FloatArray
    query_id: NDArray[np.int64]
    born_us: NDArray[np.int64]
    seen_us: NDArray[np.int64]
    supported_us: NDArray[np.int64]
    hits: NDArray[np.int64]
    evidence: FloatArray
    last_log_odds: FloatArray
    observed_s: FloatArray
    missed_s: FloatArray
    score: FloatArray
    box_us: NDArray[np.int64]
    box_xy_m: FloatArray
    box_velocity_mps: FloatArray
    support: FloatArray

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def none(cls) -> Tracks:
        """No tracks."""
        columns: dict[str, NDArray[Any]] = {}
        shapes = {"mean": (0, STATE_SIZE), "cov": (0, STATE_SIZE, STATE_SIZE)}
        shapes |= {"body": (0, BODY_SIZE), "body_var": (0, BODY_SIZE)}
        shapes |= {"box_us": (0, 2), "box_xy_m": (0, 2, 2), "box_velocity_mps": (0, 2)}
        integers = {"number", "label", "query_id", "born_us", "seen_us", "supported_us", "hits", "box_us"}
        for field in fields(cls):
            dtype = np.int64 if field.name in integers else np.float64
            columns[field.name] = np.zeros(shapes.get(field.name, (0,)), dtype=dtype)
        return cls(**columns)

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Tracks:
        """The tracks that `columns()` described."""
        return cls(**columns)

    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def select(self, which: NDArray[np.bool_] | IndexArray) -> Tracks:
        """The tracks that a mask or an index array picks."""
        return Tracks.from_columns({name: column[which] for name, column in self.columns().items()})

    def append(self, others: Tracks) -> Tracks:
        """These tracks and others."""
        theirs = others.columns()
        return Tracks.from_columns({name: np.concatenate([own, theirs[name]]) for name, own in self.columns().items()})
