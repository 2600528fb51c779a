"""The loop of `tracking.box_errors`, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenes.compiled import compiled
from scenes.geometry import FloatArray


@compiled(error_model="numpy")
def measured_windows(
    times_us: NDArray[np.int64],
    xy_m: FloatArray,
    assumed_cov: FloatArray,
    sensor_xy_m: FloatArray,
    sensor_mps: FloatArray,
    longest_s: float,
    least_mps: float,
) -> tuple[NDArray[np.int64], FloatArray, FloatArray, FloatArray]:
    """Of the boxes of `tracking.box_errors.windows`, those W that are windows, with three columns of `Windows`.

    Args:
        longest_s: in which time they have to lie. least_mps: how fast they have to move as the sensor sees it.

    Returns:
        Positions (W,), `squared` (W, 2), `moved_mps` (W, 2) and `moved_var` (W,).
    """
    picked = np.empty(len(times_us), dtype=np.int64)
    squared, moved_mps, moved_var = np.empty((len(times_us), 2)), np.empty((len(times_us), 2)), np.empty(len(times_us))
    count = 0
    for box in range(len(times_us)):
        first_us, last_us = times_us[box, 1] - times_us[box, 0], times_us[box, 2] - times_us[box, 1]
        total_s = 1e-6 * (first_us + last_us)
        if first_us <= 0 or last_us <= 0 or total_s > longest_s:
            continue
        place = xy_m[box]
        moved_x, moved_y = (place[2, 0] - place[0, 0]) / total_s, (place[2, 1] - place[0, 1]) / total_s
        if (moved_x - sensor_mps[0]) ** 2 + (moved_y - sensor_mps[1]) ** 2 < least_mps**2:
            continue
        late = 1e-6 * first_us / total_s
        off_x = place[1, 0] - (1.0 - late) * place[0, 0] - late * place[2, 0]
        off_y = place[1, 1] - (1.0 - late) * place[0, 1] - late * place[2, 1]
        spread = 1.0 + (1.0 - late) ** 2 + late**2
        ray_x, ray_y = place[1, 0] - sensor_xy_m[0], place[1, 1] - sensor_xy_m[1]
        range_m = max(np.sqrt(ray_x * ray_x + ray_y * ray_y), 1e-6)
        ray_x, ray_y = ray_x / range_m, ray_y / range_m
        xx, xy, yy = assumed_cov[box, 0, 0], assumed_cov[box, 0, 1], assumed_cov[box, 1, 1]
        along_var = xx * ray_x * ray_x + 2.0 * xy * ray_x * ray_y + yy * ray_y * ray_y
        across_var = xx * ray_y * ray_y - 2.0 * xy * ray_x * ray_y + yy * ray_x * ray_x
        picked[count] = box
        squared[count, 0] = 0.5 * (off_x * ray_x + off_y * ray_y) ** 2 / (along_var * spread)
        squared[count, 1] = 0.5 * (off_y * ray_x - off_x * ray_y) ** 2 / (across_var * spread)
        moved_mps[count, 0], moved_mps[count, 1] = moved_x, moved_y
        moved_var[count] = (xx + yy) / total_s**2
        count += 1
    return picked[:count], squared[:count], moved_mps[:count], moved_var[:count]
