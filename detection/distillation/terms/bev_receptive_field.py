"""Where queries look, seen from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from detection.distillation.bev_map import overwritten_bev_map, summed_bev_map
from detection.distillation.record import HeadRecord, sampling_layers
from detection.distillation.step import TrainingStep
from detection.distillation.terms.term import DistillationTerm
from detection.models.detectors import MultiViewDetector
from detection.models.layers.filled import filled
from detection.registry import MODELS
from scenes import InputError


@MODELS.register_module()
class BEVReceptiveField(DistillationTerm):
    """A map of the ground with the features of each query at the points at which it samples the images.

    Source: HarmoDistill-BEV, BEVATTN.
    """

    def __init__(
        self,
        student: MultiViewDetector,
        teacher: MultiViewDetector,
        loss: dict[str, Any],
        layers: Sequence[int] = (0, 1),
        num_cells: int = 128,
        published: bool = False,
    ) -> None:
        """A term.

        Args:
            student, teacher: whose queries are compared.
            loss: config of a `MapLoss`.
            layers: decoder layers that are compared.
            num_cells: of the map along each axis.
            published: as the published code does: of the queries that look into one cell only the last counts (there
                it is the last with one thread only); and learned convolutions stand behind both maps, so that the
                teacher's may drift.

        Raises:
            InputError: a head without sampled points, or without one of the layers.
        """
        super().__init__()
        for whose, detector in (("student", student), ("teacher", teacher)):
            available = len(sampling_layers(detector.pts_bbox_head))
            if not available:
                raise InputError(
                    f"BEVReceptiveField: the {whose}'s {type(detector.pts_bbox_head).__name__} attends to whole "
                    "images; the term needs queries that sample points (RepDETR3DHead)"
                )
            if not all(0 <= layer < available for layer in layers):
                raise InputError(f"BEVReceptiveField: layers {tuple(layers)}, but the {whose} has {available}")
        self.layers = tuple(layers)
        self.num_cells = num_cells
        self.published = published
        channels = student.pts_bbox_head.embed_dims, teacher.pts_bbox_head.embed_dims
        self.detection_range = tuple(student.pts_bbox_head.pc_range.tolist())
        self.student_adapters, self.teacher_adapters = (
            nn.ModuleList(summing_convolution(of_one) if published else nn.Identity() for _ in layers)
            for of_one in channels
        )
        given = dict(student_channels=channels[0], teacher_channels=channels[1])
        self.losses = nn.ModuleList(MODELS.build({**loss, **given}) for _ in layers)

    def forward(self, student: HeadRecord, teacher: HeadRecord, step: TrainingStep) -> dict[str, Tensor]:
        """See `DistillationTerm`."""
        losses = {}
        for index, layer in enumerate(self.layers):
            of_student = self.student_adapters[index](self._map(student, layer))
            of_teacher = self.teacher_adapters[index](self._map(teacher, layer))
            losses[str(layer)] = self.losses[index](of_student, of_teacher, step)
        return losses

    def _map(self, record: HeadRecord, layer: int) -> Tensor:
        """(B, C, cells, cells), smoothed, since points that differ by little may lie in different cells."""
        features = record.decoded[layer].float()
        project = overwritten_bev_map if self.published else summed_bev_map
        points_m = record.sampled_points_m[layer]
        return smoothed(project(points_m, features, filled(features, *self.detection_range), self.num_cells))


def smoothed(maps: Tensor) -> Tensor:
    """Means of 3 x 3 cells; (B, C, n, n) -> (B, C, n - 2, n - 2)."""
    return avg_pool2d(maps, kernel_size=3, stride=1)


def summing_convolution(channels: int) -> nn.Conv2d:
    """A 3 x 3 convolution that at first sums everything it sees."""
    convolution = nn.Conv2d(channels, channels, kernel_size=3)
    nn.init.ones_(convolution.weight)
    return convolution
