"""`Boxes3D`: the one container of 3D boxes that every room speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from scenes.geometry import FloatArray, transform_points, yaw_from_rotation

_WIDTHS = {"center_m": 3, "size_wlh_m": 3, "rotation": 4, "velocity_mps": 2}
_DTYPES: dict[str, type[np.generic]] = {
    "center_m": np.float64,
    "size_wlh_m": np.float64,
    "rotation": np.float64,
    "velocity_mps": np.float64,
    "label": np.int64,
    "score": np.float64,
    "query_id": np.int64,
    "track_id": np.str_,
    "attribute": np.str_,
}

NO_QUERY = -1
"""`query_id` of a box that no detector query has named."""

# The body's corners, x forward, y left, z up, as multiples of half (length, width, height).
# Order: the four of the front face, then the four of the rear, each anticlockwise as seen from behind,
# so that corner i and corner i + 4 share a long edge (the order of nuscenes-devkit's `Box.corners`).
_CORNER_SIGNS = np.array(
    [
        [1, 1, 1],
        [1, -1, 1],
        [1, -1, -1],
        [1, 1, -1],
        [-1, 1, 1],
        [-1, -1, 1],
        [-1, -1, -1],
        [-1, 1, -1],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, eq=False)
class Boxes3D:
    """N upright or tilted boxes in one coordinate frame (result files and annotations: global).

    Attributes:
        center_m: (N, 3) geometric centres.
        size_wlh_m: (N, 3) width (body y), length (body x, forward), height (body z).
        rotation: (N, 4) unit quaternions wxyz, frame from body.
        velocity_mps: (N, 2) velocity in the frame's xy plane; NaN where it is not known.
        label: (N,) index into `Taxonomy.names`, by default `scenes.DETECTION_CLASSES`.
        score: (N,) confidence.
        query_id: (N,) the detector query that a box descends from, unique in its scene, `NO_QUERY` without
            one; None when the detector names no queries.
        track_id: (N,) identity as a string, unique in a result file; for annotations the instance token.
        attribute: (N,) nuScenes attribute name, "" without one.

    Raises:
        ValueError: the arrays do not agree in length or have the wrong width.
    """

    center_m: FloatArray
    size_wlh_m: FloatArray
    rotation: FloatArray
    velocity_mps: FloatArray
    label: NDArray[np.int64]
    score: FloatArray
    query_id: NDArray[np.int64] | None = None
    track_id: NDArray[np.str_] | None = None
    attribute: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        length = len(self.center_m)
        for name, value in self._arrays().items():
            array = np.asarray(value, dtype=_DTYPES[name])
            expected = (length, _WIDTHS[name]) if name in _WIDTHS else (length,)
            if array.shape != expected:
                raise ValueError(f"Boxes3D.{name} has shape {array.shape}, expected {expected}")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.center_m)

    @classmethod
    def empty(cls) -> Boxes3D:
        """No boxes, without optional columns."""
        none = np.zeros((0, 3))
        return cls(none, none, np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Boxes3D]) -> Boxes3D:
        """All boxes of `parts`, in order. An optional column is kept if every non-empty part has it."""
        filled = [part for part in parts if len(part)]
        if not filled:
            return parts[0] if parts else cls.empty()
        columns: dict[str, Any] = {}
        for name in _DTYPES:
            values = [getattr(part, name) for part in filled]
            columns[name] = None if any(value is None for value in values) else np.concatenate(values)
        return cls(**columns)

    def select(self, which: ArrayLike | slice) -> Boxes3D:
        """The boxes that a boolean mask, an index array or a slice picks, in that order."""
        index = which if isinstance(which, slice) else np.asarray(which)
        if not isinstance(index, slice) and index.size == 0 and index.dtype != np.bool_:
            index = index.astype(np.int64)
        return Boxes3D(**{name: value[index] for name, value in self._arrays().items()})

    def replace(self, **columns: Any) -> Boxes3D:
        """A copy with some columns exchanged; `None` drops an optional one."""
        return replace(self, **columns)

    def transform(self, pose: FloatArray) -> Boxes3D:
        """The same boxes in frame a, for a rigid (4, 4) pose `a_from_b` and boxes in frame b."""
        if not len(self):
            return self
        turn = Rotation.from_matrix(pose[:3, :3])
        body = Rotation.from_quat(self.rotation, scalar_first=True)
        velocity = np.column_stack([self.velocity_mps, np.zeros(len(self))])
        return replace(
            self,
            center_m=transform_points(pose, self.center_m),
            rotation=(turn * body).as_quat(scalar_first=True),
            velocity_mps=(velocity @ pose[:3, :3].T)[:, :2],
        )

    def corners(self) -> FloatArray:
        """(N, 8, 3) corners: the front face's four, then the rear's, corner i + 4 behind corner i."""
        if not len(self):
            return np.zeros((0, 8, 3))
        half_lwh = 0.5 * self.size_wlh_m[:, [1, 0, 2]]
        body = half_lwh[:, None, :] * _CORNER_SIGNS
        turn = Rotation.from_quat(self.rotation, scalar_first=True).as_matrix()
        corners: FloatArray = np.einsum("nij,nkj->nki", turn, body) + self.center_m[:, None, :]
        return corners

    @property
    def yaw_rad(self) -> FloatArray:
        """(N,) heading of the body's x axis in the frame's xy plane, in (-pi, pi]."""
        return yaw_from_rotation(self.rotation)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The columns that are present, by name."""
        present = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in present.items() if value is not None}
