"""Boxes that the teacher sees as further targets of the student's denoising queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from detection.distillation.record import HeadRecord
from detection.distillation.step import TrainingStep
from detection.distillation.terms.term import DistillationTerm
from detection.frames import FrameBatch, FrameTargets
from detection.models.box_coder import decode_boxes
from detection.models.denoising.queries import DenoisingQueries
from detection.models.detectors import MultiViewDetector
from detection.registry import MODELS
from scenes import InputError


@MODELS.register_module()
class TeacherBoxes(DistillationTerm):
    """As many of the teacher's best boxes as a stream has annotations join these as targets of the denoising queries.

    The other losses are of the annotations alone.

    Source: HarmoDistill-BEV, distill_on_DN.
    """

    def __init__(self, student: MultiViewDetector, teacher: MultiViewDetector, published: bool = False) -> None:
        """A term, which from now on changes the frames that the student's denoising sees.

        Args:
            student, teacher: who learns from whom.
            published: take the best scores over all decoder layers and classes, as the published code does, by which
                one object may come several times; else each query of the last layer counts with its best class.

        Raises:
            InputError: the student has no denoising.
        """
        super().__init__()
        head = student.pts_bbox_head
        if head.denoising is None:
            raise InputError("TeacherBoxes: the student's head has no denoising to which boxes could be added")
        self.published = published
        self._denoising = head.denoising
        self._found: dict[tuple[str, ...], list[tuple[Tensor, Tensor]]] = {}
        head.denoising = self._denoise_more

    def begin(self, teacher: Sequence[HeadRecord]) -> None:
        """See `DistillationTerm`."""
        self._found = {record.frame.sample_tokens: self._boxes(record) for record in teacher}

    def forward(self, student: HeadRecord, teacher: HeadRecord, step: TrainingStep) -> dict[str, Tensor]:
        """No loss: the student's denoising losses hold what comes of it."""
        return {}

    def _denoise_more(self, frame: FrameBatch, detection_range: Tensor, num_classes: int) -> DenoisingQueries | None:
        """See `DenoisingStrategy`."""
        assert frame.targets is not None, "denoising needs annotated frames"
        pairs = zip(frame.targets, self._found[frame.sample_tokens], strict=True)
        more = replace(frame, targets=tuple(_joined(target, *found) for target, found in pairs))
        queries: DenoisingQueries | None = self._denoising(more, detection_range, num_classes)
        return queries

    def _boxes(self, record: HeadRecord) -> list[tuple[Tensor, Tensor]]:
        """The teacher's boxes and labels in each stream."""
        predictions, targets = record.outputs.predictions, record.frame.targets
        assert targets is not None, "distillation needs annotated frames"
        streams = zip(predictions.logits.unbind(1), predictions.codes.unbind(1), targets, strict=True)
        return [best_boxes(logits, codes, len(target.labels), self.published) for logits, codes, target in streams]


def _joined(target: FrameTargets, boxes: Tensor, labels: Tensor) -> FrameTargets:
    """Annotations followed by other boxes."""
    return replace(target, boxes=torch.cat((target.boxes, boxes)), labels=torch.cat((target.labels, labels)))


def best_boxes(logits: Tensor, codes: Tensor, count: int, published: bool = False) -> tuple[Tensor, Tensor]:
    """The boxes with the best scores, best first.

    Args:
        logits: (layers, Q, classes).
        codes: (layers, Q, 10).
        count: how many; all queries if there are fewer.
        published: see `TeacherBoxes`.

    Returns:
        boxes (n, 9) and labels (n,).
    """
    if published:
        best = logits.flatten().topk(count).indices
        labels = best % logits.shape[-1]
        return decode_boxes(codes.flatten(0, 1)[best // logits.shape[-1]].float()), labels
    scores, labels = logits[-1].max(dim=-1)
    best = scores.topk(min(count, len(scores))).indices
    return decode_boxes(codes[-1, best].float()), labels[best]
