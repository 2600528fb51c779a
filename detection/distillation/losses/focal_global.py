"""FGD: maps compared apart on objects and background, by where a teacher attends, and by their global context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from detection.distillation.losses.imitation import pointwise_projection
from detection.distillation.losses.map_loss import MapLoss, Setting
from detection.distillation.step import TrainingStep
from detection.models.layers.filled import filled
from detection.registry import MODELS


@MODELS.register_module()
class FocalGlobalLoss(MapLoss):
    """Focal and global distillation; sums for each image, a mean over images.

    Source: Yang et al., Focal and Global Knowledge Distillation for Detectors, 2022, equations 2 to 12.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        weight: Setting = 1.0,
        temperature: float = 0.5,
        object_weight: float = 1e-3,
        background_weight: float = 5e-4,
        attention_weight: float = 1e-3,
        context_weight: float = 5e-6,
        published: bool = False,
    ) -> None:
        """A loss.

        Args:
            student_channels, teacher_channels: of the maps; where they differ, a learned layer brings the student's to
                the number of the teacher's.
            weight: see `MapLoss`; of the sum of all parts.
            temperature: of the attention.
            object_weight, background_weight: of the squared differences in cells with and without objects.
            attention_weight: of the differences in attention.
            context_weight: of the squared differences of maps with their global context.
            published: see `MapLoss`; also takes means over all values instead of sums for each image and divides them
                by the number of images once more, and gives the teacher a context block of its own that is trained, by
                which the teacher's maps may drift.
        """
        super().__init__(weight, published)
        self.align = pointwise_projection(student_channels, teacher_channels)
        self.temperature = temperature
        self.object_weight = object_weight
        self.background_weight = background_weight
        self.attention_weight = attention_weight
        self.context_weight = context_weight
        self.context = GlobalContext(teacher_channels)
        self.teacher_context = GlobalContext(teacher_channels) if published else None
        self._reduction = "mean" if published else "sum"

    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """See `MapLoss`; the frame of the step has to have targets, of M cameras in all."""
        student = self.align(student)
        objects = self._object_masks(step, teacher)
        background = (objects == 0).to(objects)
        background = background / background.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        student_cells, student_channels = self._attention(student)
        teacher_cells, teacher_channels = self._attention(teacher)
        focus = teacher_cells[:, None] * teacher_channels[:, :, None, None]
        parts = (
            self.object_weight * self._squared((focus * objects[:, None]).sqrt(), student, teacher),
            self.background_weight * self._squared((focus * background[:, None]).sqrt(), student, teacher),
            self.attention_weight * l1_loss(student_channels, teacher_channels, reduction=self._reduction),
            self.attention_weight * l1_loss(student_cells, teacher_cells, reduction=self._reduction),
            self.context_weight * self._context_difference(student, teacher),
        )
        return torch.stack(parts).sum() / len(student)

    def _attention(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """How much each cell (M, h, w) and each channel (M, C) of maps is attended to, 1 on average."""
        strength = maps.abs()
        cells = (strength.mean(dim=1) / self.temperature).flatten(1).softmax(dim=1)
        channels = (strength.mean(dim=(2, 3)) / self.temperature).softmax(dim=1)
        return (cells * cells.shape[1]).view_as(maps[:, 0]), channels * channels.shape[1]

    def _squared(self, factor: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
        return mse_loss(student * factor, teacher * factor, reduction=self._reduction)

    def _context_difference(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared differences of maps with their context; a block shared with the teacher learns from the student."""
        if self.teacher_context is not None:
            return mse_loss(self.context(student), self.teacher_context(teacher), reduction=self._reduction)
        with torch.no_grad():
            wanted = self.context(teacher)
        return mse_loss(self.context(student), wanted, reduction=self._reduction)

    def _object_masks(self, step: TrainingStep, maps: Tensor) -> Tensor:
        """(M, h, w) for each cell one divided by the number of cells of the smallest object that covers it, else 0."""
        assert step.frame.targets is not None, "this loss needs annotated frames"
        height, width = step.frame.image_size_px
        rows, columns = maps.shape[-2:]
        cells_per_px = filled(maps, columns / width, rows / height, columns / width, rows / height)
        boxes = [camera.boxes_px * cells_per_px for target in step.frame.targets for camera in target.cameras]
        return object_masks(boxes, rows, columns)


class GlobalContext(nn.Module):
    """Adds to every cell of a map what the whole map says.

    Source: Cao et al., GCNet, 2019, section 3.3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(channels, 1, kernel_size=1)
        last = nn.Conv2d(channels // 2, channels, kernel_size=1)
        nn.init.zeros_(last.weight)  # at first nothing is added
        self.transform = nn.Sequential(
            nn.Conv2d(channels, channels // 2, kernel_size=1), nn.LayerNorm((channels // 2, 1, 1)), nn.ReLU(), last
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, C, h, w)."""
        shares = self.attention(maps).flatten(2).softmax(dim=2)
        context = torch.einsum("mcp,mop->mc", maps.flatten(2), shares)
        changed: Tensor = maps + self.transform(context[:, :, None, None])
        return changed


def object_masks(boxes: Sequence[Tensor], rows: int, columns: int) -> Tensor:
    """For each cell of M maps one divided by the number of cells of the smallest box over it; 0 where there is none.

    Args:
        boxes: (K, 4) of each map: left, top, right, bottom in cells. A box covers the cells from the one its left top
            corner is in to the one that begins at or after its right bottom corner.
        rows, columns: of the maps.

    Returns:
        (M, rows, columns)
    """
    device = boxes[0].device
    row, column = (torch.arange(length, device=device) for length in (rows, columns))
    masks = boxes[0].new_zeros(len(boxes), rows, columns)
    for mask, (left, top, right, bottom) in zip(masks, (each.T for each in boxes), strict=True):
        left, top, right, bottom = left.floor(), top.floor(), right.ceil(), bottom.ceil()
        if not len(left):
            continue
        in_row = (row >= top[:, None]) & (row <= bottom[:, None])
        in_column = (column >= left[:, None]) & (column <= right[:, None])
        covered = in_row[:, :, None] & in_column[:, None, :]
        num_cells = (bottom - top + 1) * (right - left + 1)
        mask.copy_((covered / num_cells[:, None, None]).amax(dim=0))
    return masks
