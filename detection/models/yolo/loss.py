"""What a YOLOv7 head loses: overlap of boxes, probability of an object, probabilities of its classes.

    L = B [w_box sum_l mean(1 - CIoU) + w_object sum_l b_l mean BCE(o, CIoU) + w_class sum_l mean BCE(c, one-hot)]

over the levels l, with means over the anchors of a level that learn an object, or for the object over all. The wanted
probability of an object is the CIoU of the anchor's box, no gradient through it, and 0 where there is nothing to learn.

Sources: Wang et al., YOLOv7, 2022; Zheng et al., Distance-IoU Loss, AAAI 2020 (CIoU).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from detection.image_batch import ImageTargets
from detection.models.box_overlap import complete_iou, corners_from_center_size
from detection.models.layers.filled import filled
from detection.models.yolo.assignment import AnchorAssigner, AnchorAssignment
from detection.models.yolo.layers import AnchorGrid, AnchorPrediction, flattened
from detection.registry import MODELS
from scenes.errors import InputError

_BALANCE = {3: (4.0, 1.0, 0.4), 4: (4.0, 1.0, 0.25, 0.06)}


@MODELS.register_module()
class YoloLoss:
    """Losses of one head, see the module.

    The published weights 0.05, 0.7, 0.3 are for 640 x 640 px, three levels and 80 classes; for other networks all are
    multiplied by 3 / levels, the one of objects by the share of these pixels, the one of classes by classes / 80.
    """

    def __init__(
        self,
        box_weight: float = 0.05,
        object_weight: float = 0.7,
        class_weight: float = 0.3,
        reference_batch: int = 64,
        assigner: AnchorAssigner | None = None,
    ) -> None:
        """A loss.

        Args:
            box_weight, object_weight, class_weight: w of the formula.
            reference_batch: B of the formula in training: learning rates are chosen for the sum over so many images,
                however many a batch has.
            assigner: says which anchors learn which object; None for the published settings.

        Raises:
            InputError: a setting out of range.
        """
        if min(box_weight, object_weight, class_weight) < 0 or reference_batch < 1:
            raise InputError("YoloLoss: weights must not be negative, and reference_batch has to be at least 1")
        self._weights = {"loss_box": box_weight, "loss_object": object_weight, "loss_class": class_weight}
        self._assigner = assigner or AnchorAssigner()
        self._reference_batch = reference_batch

    def losses(
        self, prediction: AnchorPrediction, logits: Sequence[Tensor], targets: ImageTargets
    ) -> dict[str, Tensor]:
        """Losses of a batch: `loss_box`, `loss_object`, `loss_class`.

        Args:
            prediction: has the anchors.
            logits: of each level, as the head gives them.
            targets: the annotated objects of the batch, maybe none.
        """
        found = self._of_groups(prediction.grid(logits), flattened(logits)[None], targets)
        return {name: self._reference_batch * value.squeeze(0) for name, value in found.items()}

    def losses_by_image(self, prediction: AnchorPrediction, logits: Sequence[Tensor], targets: ImageTargets) -> Tensor:
        """(B,) the whole loss of each image alone, with B = 1 of the formula."""
        found = self._of_groups(prediction.grid(logits), flattened(logits)[:, None], targets)
        return torch.stack(list(found.values())).sum(0)

    def _of_groups(self, grid: AnchorGrid, logits: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """(G,) of each loss, with means over the images of each group.

        Args:
            grid: of the anchors. logits: (G, images a group, N, 5 + classes). targets: of all images.
        """
        groups, size = logits.shape[:2]
        flat = logits.flatten(0, 1)
        pairs = self._assigner.assign(grid, flat, targets)
        predicted = flat[pairs.images, pairs.anchors]
        overlaps = _overlaps(grid, predicted, pairs, targets)
        wanted_class = one_hot(targets.labels[pairs.targets], logits.shape[-1] - 5).to(predicted)
        wanted_object = torch.zeros_like(flat[..., 4])
        wanted_object[pairs.images, pairs.anchors] = overlaps.detach().clamp(min=0.0)
        objects = binary_cross_entropy_with_logits(flat[..., 4], wanted_object, reduction="none")
        classes = binary_cross_entropy_with_logits(predicted[:, 5:], wanted_class, reduction="none").mean(1)
        by_level = torch.split(objects.view(groups, size, -1), grid.counts, dim=-1)
        places = pairs.images // size, _levels(grid, pairs.anchors)
        shape = (groups, len(grid.shapes))
        balanced = [
            balance * level.mean((1, 2)) for level, balance in zip(by_level, _BALANCE[len(by_level)], strict=True)
        ]
        found = {
            "loss_box": _means(1.0 - overlaps, places, shape).sum(1),
            "loss_object": torch.stack(balanced).sum(0),
            # The one class there is needs no probability.
            "loss_class": _means(classes, places, shape).sum(1) * (wanted_class.shape[1] > 1),
        }
        return {name: self._weights[name] * value for name, value in found.items()}


def _overlaps(grid: AnchorGrid, predicted: Tensor, pairs: AnchorAssignment, targets: ImageTargets) -> Tensor:
    """(K,) CIoU of what anchors predict and what they should."""
    boxes = corners_from_center_size(grid.select(pairs.anchors).boxes(predicted[:, :4]))
    return complete_iou(boxes, targets.boxes_px[pairs.targets])


def _levels(grid: AnchorGrid, anchors: Tensor) -> Tensor:
    """(K,) int64 level of anchors (K,)."""
    return (anchors[:, None] >= filled(anchors, *grid.firsts)).sum(1) - 1


def _means(values: Tensor, places: tuple[Tensor, Tensor], shape: tuple[int, int]) -> Tensor:
    """The mean of the values (K,) at each place (K,), (K,) of a table; 0 where there are none."""
    total, number = (
        values.new_zeros(shape).index_put(places, each, accumulate=True) for each in (values, torch.ones_like(values))
    )
    return total / number.clamp(min=1)
