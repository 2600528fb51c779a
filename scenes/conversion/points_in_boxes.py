"""How many points of a cloud lie in each box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenes.boxes import Boxes3D
from scenes.geometry import FloatArray


def count_points(points_m: FloatArray, boxes: Boxes3D) -> NDArray[np.int64]:
    """The number of points in each box, faces included.

    Args:
        points_m: (P, 3) in the frame of the boxes.
        boxes: N boxes.

    Returns:
        (N,) counts.
    """
    counts = np.zeros(len(boxes), dtype=np.int64)
    if not len(boxes) or not len(points_m):
        return counts
    by_x = points_m[np.argsort(points_m[:, 0])]
    radius_m = 0.5 * np.linalg.norm(boxes.size_wlh_m, axis=1)
    first = np.searchsorted(by_x[:, 0], boxes.center_m[:, 0] - radius_m, side="left")
    last = np.searchsorted(by_x[:, 0], boxes.center_m[:, 0] + radius_m, side="right")
    turn = Rotation.from_quat(boxes.rotation, scalar_first=True).as_matrix()
    half_lwh_m = 0.5 * boxes.size_wlh_m[:, [1, 0, 2]]
    for index in range(len(boxes)):
        from_center = by_x[first[index] : last[index]] - boxes.center_m[index]
        counts[index] = (np.abs(from_center @ turn[index]) <= half_lwh_m[index]).all(axis=1).sum()
    return counts
