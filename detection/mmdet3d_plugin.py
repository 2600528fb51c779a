"""StreamTrack's networks inside mmdet3d, and its boxes from and to mmdet3d's.

    custom_imports = dict(imports=["detection.mmdet3d_plugin"])

in a config makes every network of `detection.models` known to mmdet3d's registry, so that
`type="MultiViewDetector"` works with `default_scope = "mmdet3d"`. The other way round a config of this project may name
a part of mmdet or mmdet3d once this module is imported: `img_backbone=dict(type="mmdet.ResNet", ...)`.

Needs mmcv, mmdet and mmdet3d: `make test-mmdet3d` shows how they are installed.
"""

from __future__ import annotations

import mmdet.models  # noqa: F401 - registers mmdet's networks
import mmdet3d.models  # noqa: F401 - registers mmdet3d's own, before ours join them
import numpy as np
import torch
from mmdet3d.registry import MODELS as MMDET3D_MODELS
from mmdet3d.structures import LiDARInstance3DBoxes
from numpy.typing import ArrayLike

from detection import models  # noqa: F401 - registers the networks
from detection.registry import MODELS
from scenes import Boxes3D
from scenes.geometry import rotation_from_yaw, yaw_from_rotation

_SIZE_WLH_OF_LWH = [1, 0, 2]  # mmdet3d counts the size along the box's own axes: length, width, height


def boxes3d_from_lidar_boxes(boxes: LiDARInstance3DBoxes, labels: ArrayLike, scores: ArrayLike) -> Boxes3D:
    """Boxes of mmdet3d as `Boxes3D`, in the lidar frame.

    Args:
        boxes: N boxes of 7 numbers, or of 9 with the velocity; without it, velocities are NaN.
        labels: (N,) index into `scenes.DETECTION_CLASSES`.
        scores: (N,) confidence.
    """
    numbers = boxes.tensor.detach().cpu().double().numpy()
    velocity_mps = numbers[:, 7:9] if numbers.shape[1] >= 9 else np.full((len(numbers), 2), np.nan)
    return Boxes3D(
        center_m=boxes.gravity_center.detach().cpu().double().numpy(),
        size_wlh_m=numbers[:, 3:6][:, _SIZE_WLH_OF_LWH],
        rotation=rotation_from_yaw(numbers[:, 6]),
        velocity_mps=velocity_mps,
        label=np.asarray(labels),
        score=np.asarray(scores),
    )


def lidar_boxes_from_boxes3d(boxes: Boxes3D) -> LiDARInstance3DBoxes:
    """Boxes in the lidar frame as mmdet3d's, with velocity; these stand upright: of a tilted box the heading is kept.

    Labels, scores and names have no place in them.
    """
    yaw_rad = yaw_from_rotation(boxes.rotation)
    numbers = np.column_stack([boxes.center_m, boxes.size_wlh_m[:, _SIZE_WLH_OF_LWH], yaw_rad, boxes.velocity_mps])
    return LiDARInstance3DBoxes(torch.from_numpy(numbers).float(), box_dim=9, origin=(0.5, 0.5, 0.5))


def _register_networks() -> None:
    """Make the networks known to mmdet3d by their plain names, apart from names that it has taken itself."""
    for name, network in MODELS.module_dict.items():
        if name not in MMDET3D_MODELS.module_dict:
            MMDET3D_MODELS.register_module(name=name, module=network)


_register_networks()
