"""The losses of a set predictor: every decoder layer matched on its own, and the denoising queries beside it."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from detection.frames import FrameTargets
from detection.models.box_coder import encode_boxes
from detection.models.denoising.queries import DenoisingQueries
from detection.models.layers.filled import filled
from detection.models.losses.focal import sigmoid_focal_loss
from detection.models.matching.hungarian_3d import HungarianMatcher3D, Matches
from detection.models.predictions import HeadOutputs, Predictions
from detection.registry import MODELS


@MODELS.register_module()
class SetPredictionLoss:
    """Focal loss of the classes and L1 loss of the box codes.

    Divided by the number of boxes, as a mean over all processes, so that few boxes weigh no more in one of them.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        box_weight: float = 0.25,
        denoising_weight: float = 1.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
        matcher: dict[str, Any] | None = None,
    ) -> None:
        """A loss.

        Args:
            class_weight: of the focal loss.
            box_weight: of the L1 loss.
            denoising_weight: of the losses of the denoising queries beside the others.
            alpha, gamma: of the focal loss.
            matcher: config of the matcher; by default a `HungarianMatcher3D` with the weights given here.
        """
        own = dict(
            type="HungarianMatcher3D", class_weight=class_weight, box_weight=box_weight, alpha=alpha, gamma=gamma
        )
        self._class_weight = class_weight
        self._box_weight = box_weight
        self._denoising_weight = denoising_weight
        self._alpha = alpha
        self._gamma = gamma
        self.matcher: HungarianMatcher3D = MODELS.build(matcher or own)

    def __call__(
        self, outputs: HeadOutputs, targets: tuple[FrameTargets, ...], code_weights: Tensor, code_costs: Tensor
    ) -> dict[str, Tensor]:
        """The losses of one frame.

        Args:
            outputs: of the head.
            targets: annotations of the B streams.
            code_weights: (10,) weights of the numbers of a code in the loss.
            code_costs: (10,) their weights in the matching.

        Returns:
            `loss_cls` and `loss_bbox` of the last decoder layer, `d<i>.loss_cls` and `d<i>.loss_bbox` of layer i
            before it; the same with `dn_loss_` for the denoising queries, where there are some.
        """
        num_denoised = 0 if outputs.denoising is None else len(outputs.denoising.labels)
        logits = outputs.predictions.logits
        matches = self.matcher.match(logits, outputs.predictions.codes, targets, code_costs)
        # One reduction for both counts, also without boxes: every process takes part in the same ones.
        counts = filled(logits, len(matches.queries) / len(logits), num_denoised)
        all_reduce(counts, op="mean")
        num_matched, num_denoised_mean = counts.clamp(min=1)

        losses = self._matched_losses(outputs.predictions, matches, targets, code_weights)
        named = _by_layer("loss_", losses / num_matched)
        if outputs.denoising is not None and outputs.denoising_predictions is not None:
            losses = self._denoising_losses(outputs.denoising_predictions, outputs.denoising, code_weights)
            num_positive = (num_denoised_mean * outputs.denoising.positive_share).clamp(min=1)
            divisors = torch.stack((num_positive, num_denoised_mean))
            named |= _by_layer("dn_loss_", self._denoising_weight * losses / divisors)
        return named

    def _matched_losses(
        self, predictions: Predictions, matches: Matches, targets: tuple[FrameTargets, ...], code_weights: Tensor
    ) -> Tensor:
        """(layers, 2) sums of class and box losses of the ordinary queries."""
        boxes = torch.cat([target.boxes for target in targets])
        true_labels = torch.cat([target.labels for target in targets])
        where = matches.layers, matches.streams, matches.queries
        background = predictions.logits.shape[-1]
        labels = torch.full(predictions.logits.shape[:-1], background, device=boxes.device)
        labels[where] = true_labels[matches.boxes]
        class_losses = self._class_losses(predictions.logits, labels)
        distances = self._distances(predictions.codes[where], boxes[matches.boxes], code_weights)
        box_losses = torch.zeros_like(class_losses).index_add(0, matches.layers, distances)
        return torch.stack((class_losses, box_losses), dim=1)

    def _denoising_losses(self, predictions: Predictions, denoising: DenoisingQueries, code_weights: Tensor) -> Tensor:
        """(layers, 2) sums of class and box losses of the denoising queries; background has a box to return to, too."""
        logits = predictions.logits[:, denoising.streams, denoising.slots]
        codes = predictions.codes[:, denoising.streams, denoising.slots]
        class_losses = self._class_losses(logits, denoising.labels.expand(logits.shape[:-1]))
        box_losses = self._distances(codes, denoising.boxes, code_weights).sum(dim=1)
        return torch.stack((class_losses, box_losses), dim=1)

    def _class_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(layers,) summed focal losses of logits (layers, ..., classes)."""
        focal = sigmoid_focal_loss(logits, labels, self._alpha, self._gamma)
        return self._class_weight * focal.flatten(1).sum(dim=1)

    def _distances(self, codes: Tensor, boxes: Tensor, code_weights: Tensor) -> Tensor:
        """(...) weighted L1 distances of codes (..., 10) to boxes (..., 9); 0 where a box is not wholly known."""
        wanted = encode_boxes(boxes)
        known = wanted.isfinite().all(dim=-1)
        wanted = torch.where(known.unsqueeze(-1), wanted, codes.detach())
        return self._box_weight * ((codes - wanted).abs() * code_weights).sum(dim=-1)


def _by_layer(prefix: str, losses: Tensor) -> dict[str, Tensor]:
    """Names for losses (layers, 2) of classes and boxes; the last layer's bear no number."""
    last = len(losses) - 1
    named = {}
    for layer, pair in enumerate(losses):
        for kind, value in zip(("cls", "bbox"), pair, strict=True):
            named[f"{prefix}{kind}" if layer == last else f"d{layer}.{prefix}{kind}"] = value
    return named
