"""`DistilledDetector`: a student that trains beside a frozen teacher, frame by frame through the same streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from detection.checkpoints import load_weights
from detection.config import read_config
from detection.distillation.images import ImageSettings, adapters, masked_alike
from detection.distillation.memory import PairedMemory
from detection.distillation.record import HeadRecord, recorded
from detection.distillation.step import TrainingStep
from detection.distillation.terms import DistillationTerm
from detection.frames import FrameBatch
from detection.models.box_coder import Detections
from detection.models.detectors import MultiViewDetector
from detection.registry import MODELS
from scenes import DETECTION_CLASSES, InputError


@MODELS.register_module()
class DistilledDetector(BaseModel):  # type: ignore[misc]  # mmengine has no types
    """Losses of the student as without a teacher, and those of the terms beside them; predictions are the student's.

    Teacher and student see the same frames: the same augmentation and the same GridMask, each in its own image size and
    normalisation. The data is loaded at the larger of both sizes, normalised for the student. The teacher goes through
    every frame in evaluation, so that its memory is always in step with the student's.

    The teacher is no part of the module tree: no optimizer sees it, no checkpoint holds it, several processes need not
    exchange it. Terms may have layers of their own, which train and are saved beside the student.

    Source: HarmoDistill-BEV.

    Attributes:
        student: the detector that trains.
        progress: share of the training that is done, in [0, 1]; `DistillationProgressHook` sets it.
    """

    def __init__(
        self,
        student: str,
        teacher: str,
        teacher_checkpoint: str,
        terms: Mapping[str, dict[str, Any]],
        mask_images: bool = True,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        """A student and its teacher.

        Args:
            student, teacher: config files of detectors.
            teacher_checkpoint: weights of the teacher, loaded by `init_weights`.
            terms: what the student learns from the teacher: configs of `DistillationTerm` by a name for the logs.
            mask_images: apply the student's GridMask, to what both see. The published code leaves it out.
            data_preprocessor: config of the preprocessor; by default a `FramePreprocessor`.

        Raises:
            InputError: a config that cannot be read, other classes, image sizes that do not divide, or a term that
                does not fit the detectors.
        """
        super().__init__(data_preprocessor=data_preprocessor or dict(type="streamtrack.FramePreprocessor"))
        configs = read_config(student), read_config(teacher)
        _check_classes(*configs)
        self._student_view, self._teacher_view = adapters(*map(ImageSettings.of_config, configs))
        self.student: MultiViewDetector = MODELS.build(configs[0].model)
        self._unregistered = (_frozen(MODELS.build(configs[1].model)),)
        self._teacher_checkpoint = teacher_checkpoint
        self.terms = nn.ModuleDict({name: self._built(term) for name, term in terms.items()})
        self.grid_mask = self.student.grid_mask if mask_images else None
        self.student.grid_mask = None
        self.progress = 0.0
        self._last_mode: str | None = None

    @property
    def teacher(self) -> MultiViewDetector:
        """The frozen teacher."""
        return self._unregistered[0]

    @property
    def memory(self) -> PairedMemory | None:
        """What student and teacher remember of the streams; None if neither has a memory."""
        memories = {"student": self.student.memory, "teacher": self.teacher.memory}
        present = {name: memory for name, memory in memories.items() if memory is not None}
        return PairedMemory(present) if present else None

    def init_weights(self) -> None:
        """Initialise the student, and load the teacher.

        Raises:
            InputError: the checkpoint cannot be read, or is of another model than the teacher's config describes.
        """
        super().init_weights()
        load_weights(self.teacher, self._teacher_checkpoint)

    def forward(self, frames: Sequence[FrameBatch], mode: str = "predict") -> dict[str, Tensor] | list[Detections]:
        """Losses of a window or detections of a frame; see `MultiViewDetector`.

        Losses of the terms are called `loss_<name of the term>_<level>`, and are sums over the frames with losses.
        """
        if self._last_mode not in (None, mode) and self.memory is not None:
            self.memory.reset()
        self._last_mode = mode
        if mode != "loss":
            detections: list[Detections] = self.student(frames, mode)
            return detections
        return self._loss(self._masked(frames))

    def _loss(self, frames: Sequence[FrameBatch]) -> dict[str, Tensor]:
        """Losses of a window of frames as they were loaded."""
        seen_by_teacher = self._taught(frames)
        for term in self._terms():
            term.begin(seen_by_teacher)
        with recorded(self.student) as seen_by_student:
            losses: dict[str, Tensor] = self.student([_viewed(frame, self._student_view) for frame in frames], "loss")
        first_with_loss = len(frames) - self.student.num_frame_losses
        for of_student, of_teacher in list(zip(seen_by_student, seen_by_teacher, strict=True))[first_with_loss:]:
            for name, loss in self.distilled(of_student, of_teacher).items():
                losses[name] = losses[name] + loss if name in losses else loss
        return losses

    def _taught(self, frames: Sequence[FrameBatch]) -> list[HeadRecord]:
        """What the teacher sees in a window."""
        with torch.no_grad(), recorded(self.teacher) as records:
            for frame in frames:
                self.teacher([_viewed(frame, self._teacher_view)], "predict")
        return records

    def distilled(self, student: HeadRecord, teacher: HeadRecord) -> dict[str, Tensor]:
        """The losses of all terms in one frame, by name, from what student and teacher saw in it."""
        step = TrainingStep(self.progress, student.frame)
        return {
            f"loss_{name}_{part}": loss
            for name, term in self.terms.items()
            for part, loss in term(student, teacher, step).items()
        }

    def _masked(self, frames: Sequence[FrameBatch]) -> list[FrameBatch]:
        """The frames under GridMask, those ahead of the gradients without, as in the student's ordinary training."""
        if self.grid_mask is None:
            return list(frames)
        first = max(len(frames) - self.student.num_frame_backbone_grads, 0)
        return [*frames[:first], *masked_alike(frames[first:], self.grid_mask)]

    def _built(self, term: dict[str, Any]) -> nn.Module:
        built: nn.Module = MODELS.build({**term, "student": self.student, "teacher": self.teacher})
        return built

    def _terms(self) -> list[DistillationTerm]:
        return [term for term in self.terms.values() if isinstance(term, DistillationTerm)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DistilledDetector:
        """Moves the teacher along, to another device or precision."""
        self.teacher._apply(fn, recurse)
        moved: DistilledDetector = super()._apply(fn, recurse)
        return moved


def _frozen(detector: MultiViewDetector) -> MultiViewDetector:
    """The detector in evaluation, without gradients."""
    frozen: MultiViewDetector = detector.requires_grad_(False).eval()
    return frozen


def _viewed(frame: FrameBatch, adapter: Callable[[FrameBatch], FrameBatch] | None) -> FrameBatch:
    return frame if adapter is None else adapter(frame)


def _check_classes(student: Config, teacher: Config) -> None:
    """Refuse a teacher whose class numbers mean something else."""
    lists = [
        list(config.get("train_dataloader", {}).get("dataset", {}).get("classes", DETECTION_CLASSES))
        for config in (student, teacher)
    ]
    if any(config.model.get("pts_bbox_head") is None for config in (student, teacher)):
        raise InputError("distillation: student and teacher need a pts_bbox_head, whose queries are compared")
    counts = [config.model.pts_bbox_head.num_classes for config in (student, teacher)]
    if lists[0] != lists[1]:
        raise InputError(
            f"distillation: the student has the classes {', '.join(lists[0])}, the teacher {', '.join(lists[1])}"
        )
    if counts[0] != counts[1]:
        raise InputError(f"distillation: the student has {counts[0]} classes, the teacher {counts[1]}")
