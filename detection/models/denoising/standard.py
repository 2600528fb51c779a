"""Denoising queries: annotated centres, disturbed within their boxes, which training teaches the decoder to undo."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.denoising.queries import DenoisingQueries, batched_annotations
from detection.models.layers.position import to_shares
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
        boxes, labels, streams, numbers = batched_annotations(frame.targets)
        slots_a_group = max(len(target.labels) for target in frame.targets)
        if not slots_a_group:
            return None
        group = torch.arange(self._num_groups, device=labels.device).repeat_interleave(len(numbers))
        slots = group * slots_a_group + numbers.repeat(self._num_groups)
        boxes = boxes.repeat(self._num_groups, 1)
        labels, streams = labels.repeat(self._num_groups), streams.repeat(self._num_groups)

        noise = torch.rand_like(boxes[:, :3]) * 2 - 1
        centers_m = boxes[:, :3] + noise * boxes[:, 3:6] / 2 * self._noise_scale
        labels = torch.where(noise.norm(dim=1) > self._split, num_classes, labels)
        reference_points = boxes.new_zeros(len(frame.targets), self._num_groups * slots_a_group, 3)
        reference_points[streams, slots] = to_shares(centers_m, detection_range).clamp(0, 1)
        return DenoisingQueries(
            reference_points=reference_points,
            groups=torch.arange(self._num_groups, device=labels.device).repeat_interleave(slots_a_group),
            streams=streams,
            slots=slots,
            labels=labels,
            boxes=boxes,
            positive_share=self.positive_share,
        )
