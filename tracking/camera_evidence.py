"""Which tracks the boxes of a 2D detector speak for.

A track's box, projected into a camera image, and a 2D box of its class belong together where they overlap enough, one
to one. All tracks take part, those with a 3D box as well: a 2D box that one of them explains speaks for no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes import Boxes3D, Camera
from scenes.boxes2d import Boxes2D, box_iou
from scenes.geometry import FloatArray
from scenes.projected_boxes import projected_boxes
from tracking.association import assign_optimal
from tracking.config import CameraEvidenceConfig

SeenCameras = Sequence[tuple[Camera, Boxes2D]]
"""The camera images of one frame that a 2D detector has looked at, and its boxes in them."""


def camera_support(tracks: Boxes3D, cameras: SeenCameras, config: CameraEvidenceConfig) -> FloatArray:
    """(T,) score of the best 2D box that speaks for each track, 0 where none does.

    Args:
        tracks: T predicted or corrected boxes, in global coordinates.
        cameras: images and boxes of the frame.
        config: what counts as overlap.
    """
    support = np.zeros(len(tracks))
    for camera, boxes in cameras:
        useful = boxes.select(boxes.score >= config.least_score)
        shown, edges_px, _, _ = projected_boxes(tracks, camera)
        iou = box_iou(edges_px, useful.edges_px)
        row, column = np.nonzero((tracks.label[shown][:, None] == useful.label) & (iou > 0.0))
        picked = assign_optimal(row, column, 1.0 - iou[row, column], 1.0 - config.least_iou)
        np.maximum.at(support, shown[row[picked]], useful.score[column[picked]])
    return support
