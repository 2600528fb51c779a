"""What every denoising strategy hands to the head: extra training queries that start near annotated boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detection.frames import FrameBatch, FrameTargets
from detection.models.layers.position import to_shares


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


class Annotations(NamedTuple):
    """The n annotations of a batch, one stream after the other: boxes (n, 9), labels (n,), stream of each and its
    number within the stream, both (n,) int64."""

    boxes: Tensor
    labels: Tensor
    streams: Tensor
    numbers: Tensor


def batched_annotations(targets: tuple[FrameTargets, ...]) -> Annotations:
    """The annotations of all streams."""
    labels = torch.cat([target.labels for target in targets])
    return Annotations(
        boxes=torch.cat([target.boxes for target in targets]),
        labels=labels,
        streams=torch.cat([torch.full_like(target.labels, stream) for stream, target in enumerate(targets)]),
        numbers=torch.cat([torch.arange(len(target.labels), device=labels.device) for target in targets]),
    )


class Copies(NamedTuple):
    """C disturbed copies of n annotations.

    Attributes:
        centers_m: (C, n, 3) disturbed centres.
        labels: (C, n) int64, the number of classes where a copy should be called background.
        groups: (C,) int64, copies of one group see each other.
        used: (C, n) bool, False where an annotation has no such copy.
    """

    centers_m: Tensor
    labels: Tensor
    groups: Tensor
    used: Tensor


def arranged_in_slots(
    copies: Copies, annotations: Annotations, frame: FrameBatch, detection_range: Tensor, positive_share: float
) -> DenoisingQueries:
    """Gives each copy as many slots as the stream with most annotations needs, and fills them.

    Args:
        copies: of the annotations.
        annotations: of the batch.
        frame: the batch.
        detection_range: see `DenoisingStrategy`.
        positive_share: see `DenoisingQueries`.
    """
    num_copies = len(copies.groups)
    assert frame.targets is not None
    slots_a_copy = max(len(target.labels) for target in frame.targets)
    first_slot = slots_a_copy * torch.arange(num_copies, device=annotations.numbers.device)
    used = copies.used.nonzero(as_tuple=True)  # one wait for the device; an index of booleans waits each time
    slots = (first_slot.unsqueeze(1) + annotations.numbers)[used]
    streams = annotations.streams.expand(num_copies, -1)[used]
    shares = to_shares(copies.centers_m[used], detection_range).clamp(0, 1)
    reference_points = shares.new_zeros(len(frame.images), num_copies * slots_a_copy, 3)
    reference_points[streams, slots] = shares
    return DenoisingQueries(
        reference_points=reference_points,
        groups=copies.groups.repeat_interleave(slots_a_copy),
        streams=streams,
        slots=slots,
        labels=copies.labels[used],
        boxes=annotations.boxes.expand(num_copies, -1, -1)[used],
        positive_share=positive_share,
    )
