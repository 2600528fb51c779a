"""Boxes as the network regresses them, and their way back: ten numbers a query to scored boxes in the lidar frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detection.registry import MODELS

CODE_SIZE = 10


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one frame of one stream, the best first.

    Attributes:
        boxes: (n, 9) in the lidar frame, as in `FrameTargets.boxes`.
        scores: (n,) in [0, 1].
        labels: (n,) int64 class indices.
        query_ids: (n,) int64, the name of the query that found each box, unique within its scene as a query (which may
            report one object under several classes); None from a detector without memory, whose queries have no past.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    query_ids: Tensor | None


def encode_boxes(boxes: Tensor) -> Tensor:
    """(..., 9) boxes -> (..., 10): centre x, y, z, log of length, width, height, sin and cos of yaw, velocity x, y."""
    centers, sizes, yaws, velocities = torch.split(boxes, [3, 3, 1, 2], dim=-1)
    return torch.cat((centers, sizes.log(), yaws.sin(), yaws.cos(), velocities), dim=-1)


def decode_boxes(codes: Tensor) -> Tensor:
    """(..., 10) codes -> (..., 9) boxes; the inverse of `encode_boxes`, yaw in (-pi, pi]."""
    centers, log_sizes, sines, cosines, velocities = torch.split(codes, [3, 3, 1, 1, 2], dim=-1)
    return torch.cat((centers, log_sizes.exp(), torch.atan2(sines, cosines), velocities), dim=-1)


@MODELS.register_module()
class NMSFreeCoder:
    """Picks the best scores over all queries and classes; a set predictor needs no suppression of neighbours.

    Source: Wang et al., DETR3D, 2021.
    """

    def __init__(self, post_center_range: Sequence[float], max_num: int = 300) -> None:
        """A coder.

        Args:
            post_center_range: least x, y, z and greatest x, y, z in metres of a centre that is kept, inclusive.
            max_num: scores considered a frame.
        """
        self._range_m = tuple(post_center_range)
        self._max_num = max_num

    def decode(self, logits: Tensor, codes: Tensor, query_ids: Tensor | None) -> list[Detections]:
        """Boxes of every stream.

        Args:
            logits: (B, Q, classes).
            codes: (B, Q, 10) with centres in metres.
            query_ids: (B, Q) int64 or None.

        Returns:
            B `Detections`.
        """
        names = [None] * len(logits) if query_ids is None else list(query_ids)
        return [self._decode_one(*stream) for stream in zip(logits, codes, names, strict=True)]

    def _decode_one(self, logits: Tensor, codes: Tensor, query_ids: Tensor | None) -> Detections:
        """The boxes of one stream."""
        num_classes = logits.shape[-1]
        scores, flat_indices = logits.float().sigmoid().flatten().topk(min(self._max_num, logits.numel()))
        queries = flat_indices // num_classes
        boxes = decode_boxes(codes[queries].float())
        least, greatest = torch.split(boxes.new_tensor(self._range_m), 3)
        kept = ((boxes[:, :3] >= least) & (boxes[:, :3] <= greatest)).all(dim=1)
        return Detections(
            boxes=boxes[kept],
            scores=scores[kept],
            labels=(flat_indices % num_classes)[kept],
            query_ids=None if query_ids is None else query_ids[queries][kept],
        )
