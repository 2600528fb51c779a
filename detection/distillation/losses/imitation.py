"""Losses that compare the values of maps themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from detection.distillation.losses.map_loss import MapLoss, Setting
from detection.distillation.step import TrainingStep
from detection.registry import MODELS


@MODELS.register_module()
class FeatureL2(MapLoss):
    """Mean squared difference of two maps."""

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        weight: Setting = 1.0,
        adapter: bool = False,
        published: bool = False,
    ) -> None:
        """A loss.

        Args:
            student_channels, teacher_channels: of the maps; where they differ, a learned layer brings the student's to
                the number of the teacher's.
            weight: see `MapLoss`.
            adapter: put two more learned convolutions behind the student's maps.
            published: see `MapLoss`; also divides the mean by the number of images once more, and puts the adapter
                behind the teacher's maps, which it may then bend towards the student's.
        """
        super().__init__(weight, published)
        self.align = pointwise_projection(student_channels, teacher_channels)
        self.generation = _generation(teacher_channels) if adapter else nn.Identity()

    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """See `MapLoss`."""
        if self.published:
            return mse_loss(self.align(student), self.generation(teacher)) / len(student)
        return mse_loss(self.generation(self.align(student)), teacher)


@MODELS.register_module()
class MaskedGenerativeLoss(MapLoss):
    """Squared differences between the teacher's maps and what learned layers restore from the student's, cells of which
    are hidden at random; their sum for each image.

    Source: Yang et al., Masked Generative Distillation, 2022, equations 2 to 5.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        weight: Setting = 2e-5,
        hidden: float = 0.65,
        published: bool = False,
    ) -> None:
        """A loss.

        Args:
            student_channels, teacher_channels: see `FeatureL2`.
            weight: see `MapLoss`.
            hidden: share of the cells that are hidden.
            published: see `MapLoss`.
        """
        super().__init__(weight, published)
        self.align = pointwise_projection(student_channels, teacher_channels)
        self.generation = _generation(teacher_channels)
        self.hidden = hidden

    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """See `MapLoss`."""
        visible = torch.rand(len(student), 1, *student.shape[-2:], device=student.device) <= 1 - self.hidden
        restored = self.generation(self.align(student) * visible)
        return mse_loss(restored, teacher, reduction="sum") / len(student)


def pointwise_projection(student_channels: int, teacher_channels: int) -> nn.Module:
    """A learned layer from the student's number of channels to the teacher's; none where they are the same."""
    if student_channels == teacher_channels:
        return nn.Identity()
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)


def _generation(channels: int) -> nn.Sequential:
    """Two convolutions that may restore a cell from its neighbours."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size=3, padding=1),
    )
