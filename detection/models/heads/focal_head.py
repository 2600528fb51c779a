"""Focal head: 2D boxes and projected 3D centres from the image tokens, to train the backbone and to rank the tokens.

Source: Wang et al., Focal-PETR (IEEE T-IV 2023). It works on one feature map; the released detectors use it in training
only.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from detection.frames import CameraTargets, FrameBatch
from detection.models.box_overlap import (
    center_size_from_corners,
    corners_from_center_size,
    generalized_iou,
    intersection_over_union,
)
from detection.models.layers.filled import filled
from detection.models.layers.position import inverse_sigmoid
from detection.models.layers.precision import full_precision
from detection.models.losses.gaussian_focal import center_heat_map, gaussian_focal_loss
from detection.models.losses.positives import mean_positives
from detection.models.losses.quality_focal import quality_focal_loss
from detection.models.matching.hungarian_2d import HungarianMatcher2D, Predictions2D
from detection.registry import MODELS

_PRIOR_SCORE = 0.01  # of an untrained class or centre score


@MODELS.register_module()
class FocalHead(nn.Module):
    """Class, 2D box, projected 3D centre and centerness of each token of one feature map.

    Args:
        num_classes: number of classes.
        in_channels: channels of the feature map, a multiple of 32.
        stride_px: pixels a cell of the feature map.
        train_ratio: share of the tokens that the 3D head sees in training.
        infer_ratio: share of the tokens that the 3D head sees in inference; at 1 the head does not run there.
        class_weight: of the quality focal loss.
        box_weight: of the L1 loss of the boxes as shares of the image.
        giou_weight: of the GIoU loss.
        center_weight: of the L1 loss of the projected centres as shares of the image.
        centerness_weight: of the Gaussian focal loss.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 256,
        stride_px: int = 16,
        train_ratio: float = 1.0,
        infer_ratio: float = 1.0,
        class_weight: float = 2.0,
        box_weight: float = 5.0,
        giou_weight: float = 2.0,
        center_weight: float = 10.0,
        centerness_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.stride_px = stride_px
        self.train_ratio = train_ratio
        self.infer_ratio = infer_ratio
        self.weights = {
            "enc_loss_cls": class_weight,
            "enc_loss_bbox": box_weight,
            "enc_loss_iou": giou_weight,
            "centers2d_losses": center_weight,
            "centerness_losses": centerness_weight,
        }
        self.matcher = HungarianMatcher2D(class_weight, box_weight, giou_weight, center_weight)
        self.shared_cls = _conv_block(in_channels)
        self.cls = nn.Conv2d(in_channels, num_classes, 1)
        self.centerness = nn.Conv2d(in_channels, 1, 1)
        self.shared_reg = _conv_block(in_channels)
        self.ltrb = nn.Conv2d(in_channels, 4, 1)
        self.center2d = nn.Conv2d(in_channels, 2, 1)
        self.init_weights()

    def init_weights(self) -> None:
        """Let untrained scores start at 0.01: nearly all tokens are background."""
        for layer in (self.cls, self.centerness):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -math.log((1 - _PRIOR_SCORE) / _PRIOR_SCORE))

    def forward(self, features: Sequence[Tensor], frame: FrameBatch) -> Predictions2D:
        """Predictions for the B * N images, tokens row by row.

        Args:
            features: feature maps (B, N, C, h, w); the first is used.
            frame: for the size of the images.
        """
        flat = features[0].flatten(0, 1)
        class_features, box_features = self.shared_cls(flat), self.shared_reg(flat)
        locations = token_centers(flat.shape[-2:], self.stride_px, frame.image_size_px, flat.device).flatten(0, 1)
        sides = _token_wise(self.ltrb(box_features)).sigmoid()
        corners = torch.cat([locations - sides[..., :2], locations + sides[..., 2:]], dim=-1).clamp(0, 1)
        offset = _token_wise(self.center2d(box_features))
        return Predictions2D(
            class_logits=_token_wise(self.cls(class_features)),
            boxes=center_size_from_corners(corners),
            centers=(inverse_sigmoid(locations) + offset).sigmoid(),
            centerness_logits=_token_wise(self.centerness(class_features)).squeeze(-1),
        )

    def loss(self, features: Sequence[Tensor], frame: FrameBatch) -> tuple[dict[str, Tensor], Tensor | None]:
        """The losses of the 2D predictions, and the tokens that the 3D head is to see in training."""
        predictions = self(features, frame)
        with full_precision(predictions.class_logits):
            return self.losses(predictions, frame), self._top_tokens(predictions, frame, self.train_ratio)

    def select_tokens(self, features: Sequence[Tensor], frame: FrameBatch) -> Tensor | None:
        """(B, k, 1) indices of the tokens that the 3D head is to see in inference; None for all of them."""
        if self.infer_ratio >= 1:
            return None
        return self._top_tokens(self(features, frame), frame, self.infer_ratio)

    def token_scores(self, predictions: Predictions2D, num_streams: int) -> Tensor:
        """(B, T) how likely each token shows the centre of an object, counted by camera, row, column."""
        scores = predictions.class_logits.amax(-1).sigmoid() * predictions.centerness_logits.sigmoid()
        return scores.detach().reshape(num_streams, -1)

    def _top_tokens(self, predictions: Predictions2D, frame: FrameBatch, ratio: float) -> Tensor:
        """(B, k, 1) indices of the best tokens, best first."""
        scores = self.token_scores(predictions, len(frame.images))
        return scores.topk(int(scores.shape[1] * ratio), dim=1).indices[..., None]

    def losses(self, predictions: Predictions2D, frame: FrameBatch) -> dict[str, Tensor]:
        """The weighted losses: sums over all images, divided by the number of matched boxes over all processes."""
        assert frame.targets is not None, "training needs annotated frames"
        cameras = [camera for targets in frame.targets for camera in targets.cameras]
        size_px = frame.image_size_px
        images = [predictions.image(index) for index in range(len(cameras))]
        matches = self.matcher.match(images, cameras, size_px)
        sums = [
            self._loss_sums(image, camera, match, frame)
            for image, camera, match in zip(images, cameras, matches, strict=True)
        ]
        count = mean_positives(sum(len(predicted) for predicted, _ in matches), predictions.boxes.device)
        return {
            name: weight * torch.stack([part[name] for part in sums]).sum() / count
            for name, weight in self.weights.items()
        }

    def _loss_sums(
        self, image: Predictions2D, camera: CameraTargets, match: tuple[Tensor, Tensor], frame: FrameBatch
    ) -> dict[str, Tensor]:
        """Unweighted loss sums of one image."""
        predicted, true = match
        height, width = frame.image_size_px
        scale = filled(image.boxes, width, height, width, height)
        boxes, true_boxes_px = image.boxes[predicted], camera.boxes_px[true]
        boxes_px = corners_from_center_size(boxes) * scale
        quality = torch.zeros_like(image.class_logits)
        quality[predicted, camera.labels[true]] = intersection_over_union(boxes_px, true_boxes_px).detach()
        return {
            "enc_loss_cls": quality_focal_loss(image.class_logits, quality),
            "enc_loss_bbox": l1_loss(boxes, center_size_from_corners(true_boxes_px / scale), reduction="sum"),
            "enc_loss_iou": (1 - generalized_iou(boxes_px, true_boxes_px)).sum(),
            "centers2d_losses": l1_loss(image.centers[predicted], camera.centers_px[true] / scale[:2], reduction="sum"),
            "centerness_losses": gaussian_focal_loss(image.centerness_logits, self.heat_map(camera, frame)),
        }

    def heat_map(self, camera: CameraTargets, frame: FrameBatch) -> Tensor:
        """(tokens,) centerness target of one image: a Gaussian that fits into its box around each projected centre."""
        height, width = frame.image_size_px
        centers, boxes = camera.centers_px, camera.boxes_px
        to_sides = torch.cat([centers - boxes[:, :2], boxes[:, 2:] - centers], dim=1)
        radii = (to_sides.amin(1) / self.stride_px).ceil().clamp(min=1)
        cells = (centers / self.stride_px).long()
        return center_heat_map(cells, radii, (height // self.stride_px, width // self.stride_px)).flatten()


def token_centers(cells: Sequence[int], stride_px: int, image_size_px: tuple[int, int], device: torch.device) -> Tensor:
    """(rows, columns, 2) centres x, y of a feature map's cells as shares of the image's width and height.

    Args:
        cells: rows and columns.
        stride_px: side of a cell.
        image_size_px: height and width.
        device: where to put them.
    """
    height, width = image_size_px
    rows, columns = ((torch.arange(count, device=device) + 0.5) * stride_px for count in cells)
    down, across = torch.meshgrid(rows / height, columns / width, indexing="ij")
    return torch.stack([across, down], dim=-1)


def _conv_block(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(32, channels), nn.ReLU())


def _token_wise(prediction: Tensor) -> Tensor:
    """(images, channels, rows, columns) -> (images, tokens, channels) in float32, also under autocast."""
    return prediction.flatten(2).transpose(1, 2).float()
