"""Denoising queries: annotated centres, disturbed within their boxes, which training teaches the decoder to undo."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.denoising.queries import (
    Annotations,
    Copies,
    DenoisingQueries,
    arranged_in_slots,
    batched_annotations,
)
from detection.registry import MODELS


@MODELS.register_module()
class StandardDenoising:
    """Several groups of queries, each holding every annotation once with noise of its own.

    Source: Li et al., DN-DETR, 2022, carried over to 3D centres by StreamPETR.
    """

    def __init__(self, groups: int = 10, noise_scale: float = 1.0, split: float = 0.75) -> None:
        """A strategy.

        Args:
            groups: copies of the annotations.
            noise_scale: greatest shift along an axis, in half sizes of the box; the size is laid along the lidar's
                axes as if the box were not turned.
            split: length of the drawn noise vector, before it is scaled, beyond which a query counts as background.
        """
        self._num_groups = groups
        self._noise_scale = noise_scale
        self._split = split

    @property
    def positive_share(self) -> float:
        """The volume of the ball of radius `split` within the cube of noise of side 2."""
        return math.pi / 6 * self._split**3

    def __call__(self, frame: FrameBatch, detection_range: Tensor, num_classes: int) -> DenoisingQueries | None:
        """See `DenoisingStrategy`."""
        assert frame.targets is not None, "denoising needs annotated frames"
        annotations = batched_annotations(frame.targets)
        if not len(annotations.labels):
            return None
        copies = self.copies(annotations, num_classes)
        return arranged_in_slots(copies, annotations, frame, detection_range, self.positive_share)

    def copies(self, annotations: Annotations, num_classes: int) -> Copies:
        """Every annotation disturbed once for each group."""
        boxes, labels = annotations.boxes.repeat(self._num_groups, 1), annotations.labels.repeat(self._num_groups)
        noise = torch.rand_like(boxes[:, :3]) * 2 - 1
        centers_m = boxes[:, :3] + noise * boxes[:, 3:6] / 2 * self._noise_scale
        labels = torch.where(noise.norm(dim=1) > self._split, num_classes, labels)
        shape = self._num_groups, len(annotations.labels)
        return Copies(
            centers_m=centers_m.view(*shape, 3),
            labels=labels.view(shape),
            groups=torch.arange(self._num_groups, device=labels.device),
            used=torch.ones(shape, dtype=torch.bool, device=labels.device),
        )
