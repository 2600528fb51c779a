"""What the losses between feature maps share: their weight, their precision and the teacher's map at their size."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn.functional import interpolate

from detection.distillation.step import LinearSchedule, TrainingStep, schedule
from detection.models.layers.precision import full_precision

Setting = float | dict[str, float | str]


class MapLoss(nn.Module):
    """How far a student's feature maps are from a teacher's, which come without gradient.

    Args:
        weight: of the loss; a number or the config of a schedule.
        published: compute as the published HarmoDistill-BEV does, faults included. Each loss says what else that
            changes; here it enlarges and shrinks maps with their corner cells' centres aligned, which shifts them.
    """

    def __init__(self, weight: Setting, published: bool) -> None:
        super().__init__()
        self.weight: LinearSchedule = schedule(weight)
        self.published = published

    def forward(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """The weighted loss of maps (M, C, h, w) and (M, C', h', w')."""
        with full_precision(student):
            student, teacher = student.float(), teacher.float()
            loss = self.compare(student, self._resized(teacher, student), step)
            return self.weight.at(step.progress) * loss

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """The loss without its weight, of maps (M, C, h, w) and (M, C', h, w)."""

    def _resized(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The teacher's maps at the student's size."""
        size = student.shape[-2:]
        if teacher.shape[-2:] == size:
            return teacher
        if self.published:
            return interpolate(teacher, size, mode="bilinear", align_corners=True)
        return interpolate(teacher, size, mode="bilinear", antialias=True)
