"""Which predicted 2D box learns which annotated one, in each image (Carion et al., DETR, ECCV 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detection.frames import CameraTargets
from detection.models.box_overlap import center_size_from_corners, corners_from_center_size, generalized_iou
from detection.models.layers.filled import filled
from detection.models.matching.pairs import cheapest_pairs, pairs_on

_TINY = 1e-12  # keeps the logarithm of a score that rounds to 0 or 1 finite


@dataclass(frozen=True, eq=False)
class Predictions2D:
    """What a 2D head says about the T tokens of an image; a leading axis may hold several images.

    Attributes:
        class_logits: (..., T, C).
        boxes: (..., T, 4) centre x, y, width, height as shares of the image's width and height.
        centers: (..., T, 2) projected centre of the 3D box, as shares of the image's width and height.
        centerness_logits: (..., T) whether an object's centre lies in the token's cell.
    """

    class_logits: Tensor
    boxes: Tensor
    centers: Tensor
    centerness_logits: Tensor

    def image(self, index: int) -> "Predictions2D":
        """The predictions of one image."""
        return Predictions2D(
            self.class_logits[index], self.boxes[index], self.centers[index], self.centerness_logits[index]
        )


@dataclass(frozen=True)
class HungarianMatcher2D:
    """The cheapest one-to-one matching of predictions and annotated boxes.

    Attributes:
        class_weight: weight of the focal loss (Lin et al., ICCV 2017) of the true class.
        box_weight: weight of the L1 distance of centre x, y, width, height as shares of the image.
        giou_weight: weight of the negative GIoU.
        center_weight: weight of the L1 distance of the projected 3D centres as shares of the image.
        alpha: of the focal loss.
        gamma: of the focal loss.
    """

    class_weight: float = 2.0
    box_weight: float = 5.0
    giou_weight: float = 2.0
    center_weight: float = 10.0
    alpha: float = 0.25
    gamma: float = 2.0

    @torch.no_grad()
    def match(
        self, predictions: Sequence[Predictions2D], targets: Sequence[CameraTargets], size_px: tuple[int, int]
    ) -> list[tuple[Tensor, Tensor]]:
        """For each image the indices of the matched predictions and of their annotated boxes, both (min(T, M),), by
        rising prediction.

        Args:
            predictions: of each image.
            targets: what is annotated in each.
            size_px: their height and width.
        """
        costs = [self.cost(image, camera, size_px) for image, camera in zip(predictions, targets, strict=True)]
        return pairs_on(cheapest_pairs(costs), costs[0].device) if costs else []

    def cost(self, predictions: Predictions2D, targets: CameraTargets, size_px: tuple[int, int]) -> Tensor:
        """(T, M) cost of each pair of one image; arguments as in `match`."""
        height, width = size_px
        scale = filled(predictions.boxes, width, height, width, height)
        true_boxes = center_size_from_corners(targets.boxes_px / scale)
        boxes_px = corners_from_center_size(predictions.boxes) * scale
        return (
            self.class_weight * self._class_cost(predictions.class_logits, targets.labels)
            + self.box_weight * torch.cdist(predictions.boxes, true_boxes, p=1)
            - self.giou_weight * generalized_iou(boxes_px[:, None], targets.boxes_px)
            + self.center_weight * torch.cdist(predictions.centers, targets.centers_px / scale[:2], p=1)
        )

    def _class_cost(self, logits: Tensor, true_labels: Tensor) -> Tensor:
        """(T, M): by how much the focal loss would grow if the prediction had to be the true class."""
        scores = logits.sigmoid()
        as_background = -(1 - scores + _TINY).log() * (1 - self.alpha) * scores**self.gamma
        as_object = -(scores + _TINY).log() * self.alpha * (1 - scores) ** self.gamma
        return (as_object - as_background)[:, true_labels]
