"""YOLOX head: 2D boxes and projected 3D centres from every level of the pyramid, to train the backbone of RepDETR3D.

Source: Ge et al., YOLOX: Exceeding YOLO Series in 2021, with a branch for the projected centres of the 3D boxes. It
runs in training only.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from detection.frames import CameraTargets, FrameBatch
from detection.models.box_overlap import (
    center_size_from_corners,
    corners_from_center_size,
    intersection_over_union,
)
from detection.models.layers.precision import full_precision
from detection.models.losses.positives import mean_positives
from detection.models.matching.sim_ota import Assignment, SimOTAAssigner
from detection.records import joined
from detection.registry import MODELS

_PRIOR_SCORE = 0.01  # of an untrained class score and objectness


@dataclass(frozen=True, eq=False)
class Cells:
    """The P cells of all levels, level by level and row by row.

    Attributes:
        corners_px: (P, 2) left and top of each.
        strides_px: (P,) side of each.
    """

    corners_px: Tensor
    strides_px: Tensor

    @property
    def centers_px(self) -> Tensor:
        """(P, 2) centres."""
        return self.corners_px + self.strides_px[:, None] / 2


@dataclass(frozen=True, eq=False)
class CellPredictions:
    """What the head says about each of the P cells of an image; a leading axis may hold several images.

    Attributes:
        class_logits: (..., P, C).
        objectness_logits: (..., P).
        boxes: (..., P, 4) offset of the box's centre from the cell's corner and log of its width and height, both in
            units of the stride.
        centers: (..., P, 2) offset of the projected 3D centre from the cell's corner, in units of the stride.
    """

    class_logits: Tensor
    objectness_logits: Tensor
    boxes: Tensor
    centers: Tensor

    def boxes_px(self, cells: Cells) -> Tensor:
        """(..., P, 4) left, top, right, bottom."""
        stride = cells.strides_px[:, None]
        centers = self.boxes[..., :2] * stride + cells.corners_px
        return corners_from_center_size(torch.cat([centers, self.boxes[..., 2:].exp() * stride], dim=-1))


@MODELS.register_module()
class YOLOXHead(nn.Module):
    """Class, objectness, 2D box and projected 3D centre of each cell of each level.

    Args:
        num_classes: number of classes.
        in_channels: channels of the feature maps.
        strides_px: pixels a cell, for each level.
        stacked_convs: convolutions before each branch.
        class_weight: of the binary cross entropy of the class scores.
        objectness_weight: of the binary cross entropy of the objectness.
        iou_weight: of 1 - IoU^2.
        box_weight: of the L1 loss of the boxes in units of the stride.
        center_weight: of the L1 loss of the projected centres in units of the stride.
        center_radius: see `SimOTAAssigner`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 256,
        strides_px: Sequence[int] = (8, 16, 32, 64),
        stacked_convs: int = 2,
        class_weight: float = 1.0,
        objectness_weight: float = 1.0,
        iou_weight: float = 5.0,
        box_weight: float = 1.0,
        center_weight: float = 1.0,
        center_radius: float = 2.5,
    ) -> None:
        super().__init__()
        self.strides_px = tuple(strides_px)
        self.weights = {
            "enc_loss_cls": class_weight,
            "enc_loss_iou": iou_weight,
            "enc_loss_obj": objectness_weight,
            "enc_loss_centers2d": center_weight,
            "enc_loss_bbox": box_weight,
        }
        self.assigner = SimOTAAssigner(center_radius)

        def stack() -> nn.Module:
            return nn.Sequential(*(_conv_block(in_channels) for _ in range(stacked_convs)))

        def branch(channels: int) -> nn.Module:
            return nn.Conv2d(in_channels, channels, 1)

        levels = range(len(self.strides_px))
        self.multi_level_cls_convs = nn.ModuleList(stack() for _ in levels)
        self.multi_level_reg_convs = nn.ModuleList(stack() for _ in levels)
        self.multi_level_conv_cls = nn.ModuleList(branch(num_classes) for _ in levels)
        self.multi_level_conv_reg = nn.ModuleList(branch(4) for _ in levels)
        self.multi_level_conv_obj = nn.ModuleList(branch(1) for _ in levels)
        self.multi_level_conv_centers2d = nn.ModuleList(branch(2) for _ in levels)
        self.init_weights()

    def init_weights(self) -> None:
        """Let untrained scores start at 0.01, and untrained boxes at their cells."""
        prior = -math.log((1 - _PRIOR_SCORE) / _PRIOR_SCORE)
        for name, bias in self.named_parameters():
            if name.endswith(".bias") and "_conv_" in name:
                nn.init.constant_(bias, prior if "_conv_cls." in name or "_conv_obj." in name else 0.0)

    def forward(self, features: Sequence[Tensor]) -> CellPredictions:
        """Predictions for the B * N images.

        Args:
            features: (B, N, C, h, w) of each level.
        """
        levels = [self._level(level, maps.flatten(0, 1)) for level, maps in enumerate(features)]
        class_logits, boxes, objectness, centers = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        return CellPredictions(class_logits, objectness.squeeze(-1), boxes, centers)

    def _level(self, level: int, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        class_features = self.multi_level_cls_convs[level](features)
        box_features = self.multi_level_reg_convs[level](features)
        return (
            _cell_wise(self.multi_level_conv_cls[level](class_features)),
            _cell_wise(self.multi_level_conv_reg[level](box_features)),
            _cell_wise(self.multi_level_conv_obj[level](box_features)),
            _cell_wise(self.multi_level_conv_centers2d[level](box_features)),
        )

    def cells(self, features: Sequence[Tensor]) -> Cells:
        """The cells of all levels of these feature maps."""
        corners, strides = [], []
        for maps, stride in zip(features, self.strides_px, strict=True):
            rows, columns = (torch.arange(length, device=maps.device) * stride for length in maps.shape[-2:])
            down, across = torch.meshgrid(rows, columns, indexing="ij")
            corners.append(torch.stack([across, down], dim=-1).flatten(0, 1).float())
            strides.append(corners[-1].new_full((len(corners[-1]),), stride))
        return Cells(torch.cat(corners), torch.cat(strides))

    def loss(self, features: Sequence[Tensor], frame: FrameBatch) -> tuple[dict[str, Tensor], None]:
        """The losses of the 2D predictions; this head does not choose tokens for the 3D head."""
        predictions = self(features)
        with full_precision(predictions.class_logits):
            return self.losses(predictions, self.cells(features), frame), None

    def select_tokens(self, features: Sequence[Tensor], frame: FrameBatch) -> None:
        """The 3D head sees all of the image."""

    def losses(self, predictions: CellPredictions, cells: Cells, frame: FrameBatch) -> dict[str, Tensor]:
        """The weighted losses: sums over all images, divided by the number of assigned cells over all processes."""
        assert frame.targets is not None, "training needs annotated frames"
        cameras = [camera for targets in frame.targets for camera in targets.cameras]
        assignment = self._assign(predictions, cells, cameras)
        sums = _loss_sums(predictions, cells, joined(cameras), assignment)
        count = mean_positives(len(assignment.cells), cells.corners_px.device)
        return {name: weight * sums[name] / count for name, weight in self.weights.items()}

    def _assign(self, predictions: CellPredictions, cells: Cells, cameras: Sequence[CameraTargets]) -> Assignment:
        scores = predictions.class_logits.sigmoid() * predictions.objectness_logits.sigmoid()[..., None]
        return self.assigner.assign(
            scores.detach(), predictions.boxes_px(cells).detach(), cells.centers_px, cells.strides_px, cameras
        )


def _loss_sums(
    predictions: CellPredictions, cells: Cells, targets: CameraTargets, assignment: Assignment
) -> dict[str, Tensor]:
    """Unweighted loss sums over all images.

    Args:
        predictions: for N images.
        cells: of their maps.
        targets: the boxes of all images.
        assignment: of these boxes.
    """
    chosen, true_boxes_px = (assignment.images, assignment.cells), targets.boxes_px[assignment.boxes]
    rows = torch.arange(len(assignment.cells), device=assignment.cells.device)
    quality = torch.zeros_like(predictions.class_logits[chosen])
    quality[rows, targets.labels[assignment.boxes]] = assignment.overlaps
    occupied = torch.zeros_like(predictions.objectness_logits)
    occupied[chosen] = 1
    corners, stride = cells.corners_px[assignment.cells], cells.strides_px[assignment.cells, None]
    true = center_size_from_corners(true_boxes_px)
    true_offsets = torch.cat([(true[:, :2] - corners) / stride, (true[:, 2:] / stride).log()], dim=-1)
    true_centers = (targets.centers_px[assignment.boxes] - corners) / stride
    overlaps = intersection_over_union(predictions.boxes_px(cells)[chosen], true_boxes_px)
    return {
        "enc_loss_cls": binary_cross_entropy_with_logits(predictions.class_logits[chosen], quality, reduction="sum"),
        "enc_loss_iou": (1 - overlaps**2).sum(),
        "enc_loss_obj": binary_cross_entropy_with_logits(predictions.objectness_logits, occupied, reduction="sum"),
        "enc_loss_centers2d": l1_loss(predictions.centers[chosen], true_centers, reduction="sum"),
        "enc_loss_bbox": l1_loss(predictions.boxes[chosen], true_offsets, reduction="sum"),
    }


def _conv_block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            bn=nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03),
            activate=nn.SiLU(),
        )
    )


def _cell_wise(prediction: Tensor) -> Tensor:
    """(images, channels, rows, columns) -> (images, cells, channels) in float32, also under autocast."""
    return prediction.flatten(2).transpose(1, 2).float()
