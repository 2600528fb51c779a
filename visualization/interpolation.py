"""Boxes between two key frames, for videos that run smoother than the recording."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from scenes import Boxes3D


def interpolate_boxes(before: Boxes3D, after: Boxes3D, share: float) -> Boxes3D:
    """The boxes of `before`, moved the given share of the way to where their tracks stand in `after`.

    Args:
        before, after: boxes of two frames in one coordinate frame, with `track_id`.
        share: 0 gives the boxes of `before`, 1 puts them where they stand in `after`.

    Returns:
        as many boxes as `before`. Those whose track is not in `after`, or that have none (""), stay where they are.
    """
    if before.track_id is None or after.track_id is None or share == 0:
        return before
    rows_after = {identity: row for row, identity in enumerate(after.track_id.tolist())}
    rows_after.pop("", None)  # boxes without identity
    pairs = [(row, rows_after[name]) for row, name in enumerate(before.track_id.tolist()) if name in rows_after]
    if not pairs:
        return before
    here, there = np.array(pairs).T
    center_m, rotation = before.center_m.copy(), before.rotation.copy()
    center_m[here] += share * (after.center_m[there] - before.center_m[here])
    start = Rotation.from_quat(before.rotation[here], scalar_first=True)
    turn = start.inv() * Rotation.from_quat(after.rotation[there], scalar_first=True)
    rotation[here] = (start * Rotation.from_rotvec(share * turn.as_rotvec())).as_quat(scalar_first=True)
    return before.replace(center_m=center_m, rotation=rotation)
