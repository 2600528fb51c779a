"""Boxes as the network regresses them, and their way back: ten numbers a query to scored boxes in the lidar frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.records import on_device
from detection.registry import MODELS

CODE_SIZE = 10
BOX_SIZE = 9
_SCORE, _LABEL, _VALID, _NAME = range(BOX_SIZE, BOX_SIZE + 4)  # columns behind those of the box


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one frame of one stream, the best first; of a detector in use, on the CPU.

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


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a detector found in one frame of B streams, K boxes each, of which some are no detections.

    Attributes:
        boxes, scores, labels, query_ids: (B, K, ...) as in `Detections`, the best first.
        valid: (B, K) bool, which are detections.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    query_ids: Tensor | None
    valid: Tensor

    def detections(self) -> list[Detections]:
        """The detections of each stream on the CPU, in one copy: the only moment at which it waits for the device."""
        names = [] if self.query_ids is None else [self.query_ids]
        columns = [self.boxes, *(each.unsqueeze(-1) for each in (self.scores, self.labels, self.valid, *names))]
        together = torch.cat([column.double() for column in columns], dim=-1).cpu()  # holds all of them exactly
        found = [stream[stream[:, _VALID].bool()] for stream in together]
        return [
            Detections(
                boxes=rows[:, :BOX_SIZE].to(self.boxes.dtype),
                scores=rows[:, _SCORE].to(self.scores.dtype),
                labels=rows[:, _LABEL].long(),
                query_ids=rows[:, _NAME].long() if names else None,
            )
            for rows in found
        ]


def in_order(parts: Sequence[Candidates], order: Sequence[int]) -> Candidates:
    """The candidates of several groups of streams as those of one.

    Args:
        parts: of each group, which may have other numbers of boxes.
        order: which streams these are, group after group.
    """
    if len(parts) == 1:
        return parts[0]
    most = max(part.valid.shape[1] for part in parts)
    index = on_device(torch.tensor(order).argsort(), parts[0].valid.device)

    def joined(column: str) -> Tensor:
        values = [getattr(part, column) for part in parts]
        sides = (0, 0) * (values[0].dim() - 2)
        return torch.cat([functional.pad(value, (*sides, 0, most - value.shape[1])) for value in values])[index]

    names = None if parts[0].query_ids is None else joined("query_ids")
    return Candidates(joined("boxes"), joined("scores"), joined("labels"), names, joined("valid"))


def encode_boxes(boxes: Tensor) -> Tensor:
    """(..., 9) boxes -> (..., 10): centre x, y, z, log of length, width, height, sin and cos of yaw, velocity x, y."""
    centers, sizes, yaws, velocities = torch.split(boxes, [3, 3, 1, 2], dim=-1)
    return torch.cat((centers, sizes.log(), yaws.sin(), yaws.cos(), velocities), dim=-1)


def decode_boxes(codes: Tensor) -> Tensor:
    """(..., 10) codes -> (..., 9) boxes; the inverse of `encode_boxes`, yaw in (-pi, pi]."""
    centers, log_sizes, sines, cosines, velocities = torch.split(codes, [3, 3, 1, 1, 2], dim=-1)
    return torch.cat((centers, log_sizes.exp(), torch.atan2(sines, cosines), velocities), dim=-1)


@MODELS.register_module()
class NMSFreeCoder(nn.Module):
    """Picks the best scores over all queries and classes; a set predictor needs no suppression of neighbours.

    Source: Wang et al., DETR3D, 2021.
    """

    _least_m: Tensor
    _greatest_m: Tensor

    def __init__(self, post_center_range: Sequence[float], max_num: int = 300) -> None:
        """A coder.

        Args:
            post_center_range: least x, y, z and greatest x, y, z in metres of a centre that is kept, inclusive.
            max_num: scores considered a frame.
        """
        super().__init__()
        least, greatest = torch.tensor(tuple(post_center_range), dtype=torch.float32).chunk(2)
        self.register_buffer("_least_m", least.clone(), persistent=False)
        self.register_buffer("_greatest_m", greatest.clone(), persistent=False)
        self.max_num = max_num

    @property
    def center_range_m(self) -> list[float]:
        """Least x, y, z and greatest x, y, z of a centre that is kept."""
        return [*self._least_m.tolist(), *self._greatest_m.tolist()]

    def decode(self, logits: Tensor, codes: Tensor, query_ids: Tensor | None) -> Candidates:
        """The best boxes of every stream.

        Args:
            logits: (B, Q, classes).
            codes: (B, Q, 10) with centres in metres.
            query_ids: (B, Q) int64 or None.
        """
        num_classes = logits.shape[-1]
        flat = logits.float().sigmoid().flatten(1)
        scores, places = flat.topk(min(self.max_num, flat.shape[1]), dim=1)
        queries = places // num_classes
        boxes = decode_boxes(codes.gather(1, queries.unsqueeze(-1).expand(-1, -1, codes.shape[-1])).float())
        centers_m = boxes[..., :3]
        return Candidates(
            boxes=boxes,
            scores=scores,
            labels=places % num_classes,
            query_ids=None if query_ids is None else query_ids.gather(1, queries),
            valid=((centers_m >= self._least_m) & (centers_m <= self._greatest_m)).all(dim=-1),
        )
