"""What every denoising strategy hands to the head: extra training queries that start near annotated boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from detection.frames import FrameBatch, FrameTargets


@dataclass(frozen=True, eq=False)
class DenoisingQueries:
    """P slots in front of the ordinary queries of each of B streams, K of which hold a disturbed annotation.

    Attributes:
        reference_points: (B, P, 3) in shares of the detection range; 0 in slots that are not used.
        groups: (P,) int64, slots of one group see each other, slots of different groups do not.
        streams, slots: (K,) int64 each, where the K annotations lie.
        labels: (K,) int64 class each should be given; the number of classes where it should be called background.
        boxes: (K, 9) box each should be regressed to, also when it counts as background.
        positive_share: about how much of the annotations is not background, by which the class loss is normalised.
    """

    reference_points: Tensor
    groups: Tensor
    streams: Tensor
    slots: Tensor
    labels: Tensor
    boxes: Tensor
    positive_share: float

    def attention_mask(self, num_queries: int, num_keys: int) -> Tensor:
        """Who must not look at whom in self-attention, so that no annotation leaks.

        Args:
            num_queries: ordinary queries behind the slots.
            num_keys: ordinary queries and remembered ones behind the slots.

        Returns:
            (P + num_queries, P + num_keys) bool, True where a query must not look.
        """
        num_slots = len(self.groups)
        blocked = torch.zeros(
            num_slots + num_queries, num_slots + num_keys, dtype=torch.bool, device=self.groups.device
        )
        blocked[:num_slots, :num_slots] = self.groups.unsqueeze(1) != self.groups
        blocked[num_slots:, :num_slots] = True
        return blocked


class DenoisingStrategy(Protocol):
    """Makes the denoising queries of a training frame. Random numbers come from functions of `torch` only."""

    def __call__(self, frame: FrameBatch, detection_range: Tensor, num_classes: int) -> DenoisingQueries | None:
        """The queries of an annotated frame, or None where no stream has a box.

        Args:
            frame: with targets.
            detection_range: (6,) least x, y, z and greatest x, y, z in metres, to which reference points relate.
            num_classes: number of classes, which is also the label of the background.
        """
        ...


def batched_annotations(targets: tuple[FrameTargets, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All annotations of a batch, one stream after the other.

    Returns:
        boxes (n, 9), labels (n,), stream of each (n,) and its number within the stream (n,).
    """
    boxes = torch.cat([target.boxes for target in targets])
    labels = torch.cat([target.labels for target in targets])
    streams = torch.cat([torch.full_like(target.labels, stream) for stream, target in enumerate(targets)])
    numbers = torch.cat([torch.arange(len(target.labels), device=labels.device) for target in targets])
    return boxes, labels, streams, numbers
