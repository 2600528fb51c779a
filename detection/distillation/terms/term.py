"""`DistillationTerm`: one thing that the student learns from the teacher."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from detection.distillation.record import HeadRecord, levels_read
from detection.distillation.step import TrainingStep
from detection.models.detectors import MultiViewDetector
from detection.registry import MODELS
from scenes import InputError


class DistillationTerm(nn.Module):
    """One thing that the student learns from the teacher, built with `student` and `teacher` beside its config."""

    def begin(self, teacher: Sequence[HeadRecord]) -> None:
        """Told what the teacher saw in a window of frames, before the student sees them."""

    @abstractmethod
    def forward(self, student: HeadRecord, teacher: HeadRecord, step: TrainingStep) -> dict[str, Tensor]:
        """Losses of one frame, by the number of the level or layer; empty for a term that works otherwise."""


class PyramidTerm(DistillationTerm):
    """Compares maps of the feature pyramids, level by level."""

    def __init__(
        self,
        student: MultiViewDetector,
        teacher: MultiViewDetector,
        channels: tuple[int, int],
        loss: dict[str, Any],
        levels: Sequence[int] | None = None,
        teacher_levels: Sequence[int] | None = None,
        level_weights: Sequence[float] | None = None,
    ) -> None:
        """A term.

        Args:
            student, teacher: whose maps are compared.
            channels: of the student's maps and of the teacher's, as they are compared.
            loss: config of a `MapLoss`.
            levels: which of the student's maps; by default all that its head reads.
            teacher_levels: which of the teacher's they are compared with; by default the same, or without `levels` all
                that its head reads.
            level_weights: factor for each of the levels; by default 1.

        Raises:
            InputError: a level that a head does not read, or not as many of one as of the other.
        """
        super().__init__()
        self.levels = _known_levels(self, "student", student, levels)
        teacher_levels = levels if teacher_levels is None else teacher_levels
        self.teacher_levels = _known_levels(self, "teacher", teacher, teacher_levels)
        if len(self.levels) != len(self.teacher_levels):
            raise InputError(
                f"{type(self).__name__}: the student has levels {self.levels}, the teacher {self.teacher_levels}; say "
                "which belong together by levels and teacher_levels"
            )
        self.level_weights = tuple(level_weights or [1.0] * len(self.levels))
        if len(self.level_weights) != len(self.levels):
            raise InputError(
                f"{type(self).__name__}: has {len(self.level_weights)} level_weights for {len(self.levels)} levels"
            )
        given = dict(student_channels=channels[0], teacher_channels=channels[1])
        self.losses = nn.ModuleList(MODELS.build({**loss, **given}) for _ in self.levels)

    @abstractmethod
    def maps(self, student: HeadRecord, teacher: HeadRecord) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor]]:
        """Maps (B, N, C, h, w) by level, of all levels that the heads read: the student's and the teacher's."""

    def forward(self, student: HeadRecord, teacher: HeadRecord, step: TrainingStep) -> dict[str, Tensor]:
        """See `DistillationTerm`."""
        of_student, of_teacher = self.maps(student, teacher)
        losses = {}
        for loss, weight, level, teacher_level in zip(
            self.losses, self.level_weights, self.levels, self.teacher_levels, strict=True
        ):
            pair = of_student[level].flatten(0, 1), of_teacher[teacher_level].flatten(0, 1)
            losses[str(level)] = weight * loss(*pair, step)
        return losses


def _known_levels(
    term: nn.Module, whose: str, detector: MultiViewDetector, levels: Sequence[int] | None
) -> tuple[int, ...]:
    known = levels_read(detector.pts_bbox_head)
    if levels is None:
        return known
    if unknown := set(levels) - set(known):
        raise InputError(f"{type(term).__name__}: the {whose}'s head reads levels {known}, not {min(unknown)}")
    return tuple(levels)
