"""Where queries look, seen from above: their features summed in the cells of a map of the ground."""

from __future__ import annotations

import torch
from torch import Tensor


def bev_cells(points_m: Tensor, detection_range: Tensor, num_cells: int) -> Tensor:
    """The cell of each point along x and y; points beyond the range fall into the outermost cells.

    Args:
        points_m: (..., 3) in the lidar frame.
        detection_range: (6,) least x, y, z and greatest x, y, z in metres.
        num_cells: of the map along each axis; the centre of the range is the corner between the middle four.

    Returns:
        (..., 2) int64
    """
    least, greatest = detection_range[:2], detection_range[3:5]
    from_center = (points_m[..., :2] - (least + greatest) / 2) / (greatest - least)
    return (from_center * (num_cells - 1) + num_cells / 2).clamp(0, num_cells - 1).floor().long()


def summed_bev_map(points_m: Tensor, features: Tensor, detection_range: Tensor, num_cells: int) -> Tensor:
    """A map of the ground whose cells hold the sum of the features of the queries with points there.

    A query counts as often as it has points in a cell. Gradients pass to the features, not to the points.

    Args:
        points_m: (B, Q, P, 3) in the lidar frame.
        features: (B, Q, C).
        detection_range, num_cells: see `bev_cells`.

    Returns:
        (B, C, num_cells, num_cells), rows along x, columns along y.
    """
    streams = points_m.shape[0]
    flat, rows = _flat_cells(points_m, features, detection_range, num_cells)
    summed = features.new_zeros(streams * num_cells**2, features.shape[-1]).index_add(0, flat, rows)
    return _as_map(summed, streams, num_cells)


def overwritten_bev_map(points_m: Tensor, features: Tensor, detection_range: Tensor, num_cells: int) -> Tensor:
    """As `summed_bev_map`, but of several points in a cell the last one counts, in the order of queries and points."""
    streams = points_m.shape[0]
    flat, rows = _flat_cells(points_m, features, detection_range, num_cells)
    order = torch.arange(1, len(flat) + 1, device=flat.device)
    last = order.new_zeros(streams * num_cells**2).scatter_reduce(0, flat, order, reduce="amax")
    written = torch.where((last > 0).unsqueeze(1), rows[last - 1], 0)
    return _as_map(written, streams, num_cells)


def _flat_cells(points_m: Tensor, features: Tensor, detection_range: Tensor, num_cells: int) -> tuple[Tensor, Tensor]:
    """For every point its cell among those of all streams, (B Q P,), and its query's features, (B Q P, C)."""
    cells = bev_cells(points_m, detection_range, num_cells)
    streams = torch.arange(len(cells), device=cells.device).view(-1, 1, 1)
    flat = (streams * num_cells + cells[..., 0]) * num_cells + cells[..., 1]
    return flat.flatten(), features.unsqueeze(2).expand(-1, -1, points_m.shape[2], -1).flatten(0, 2)


def _as_map(cells: Tensor, streams: int, num_cells: int) -> Tensor:
    return cells.view(streams, num_cells, num_cells, -1).permute(0, 3, 1, 2)
