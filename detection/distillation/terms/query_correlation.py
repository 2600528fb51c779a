"""What each query has in common with each cell of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from detection.distillation.record import HeadRecord, num_queries
from detection.distillation.terms.term import PyramidTerm
from detection.models.detectors import MultiViewDetector
from detection.registry import MODELS
from scenes import InputError


@MODELS.register_module()
class QueryFeatureCorrelation(PyramidTerm):
    """For every query a map of its product with the position-encoded features, all decoder layers taken together.

    A student's query is compared with the query of the teacher whose predicted centre is nearest: queries of two
    detectors, carried ones above all, have nothing in common by their number, and there may be more of one than of the
    other.

    Source: HarmoDistill-BEV, ATTN.
    """

    def __init__(
        self, student: MultiViewDetector, teacher: MultiViewDetector, published: bool = False, **settings: Any
    ) -> None:
        """A term.

        Args:
            student, teacher: whose queries are compared.
            published: compare queries by their number, as the published code does.
            settings: `loss`, `levels`, `teacher_levels` and `level_weights` of a `PyramidTerm`.

        Raises:
            InputError: `published`, but not as many queries of one as of the other; or see `PyramidTerm`.
        """
        queries, of_teacher = num_queries(student.pts_bbox_head), num_queries(teacher.pts_bbox_head)
        if published and queries != of_teacher:
            raise InputError(
                f"QueryFeatureCorrelation: published=True needs as many queries in both; the student has {queries}, "
                f"the teacher {of_teacher}"
            )
        super().__init__(student, teacher, (queries, queries), **settings)
        self.published = published

    def maps(self, student: HeadRecord, teacher: HeadRecord) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor]]:
        """See `PyramidTerm`; channels are the student's queries."""
        of_teacher = _summed_queries(teacher)
        if not self.published:
            nearest = nearest_queries(student, teacher).unsqueeze(-1)
            of_teacher = of_teacher.gather(1, nearest.expand(-1, -1, of_teacher.shape[-1]))
        return correlations(_summed_queries(student), student.encoded), correlations(of_teacher, teacher.encoded)


def correlations(queries: Tensor, maps: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """(B, N, Q, h, w) of each level: products of maps (B, N, C, h, w) and queries (B, Q, C) as shares of channels."""
    shares = queries.softmax(dim=-1)
    return {level: torch.einsum("bqc,bnchw->bnqhw", shares, one.float()) for level, one in maps.items()}


def nearest_queries(student: HeadRecord, teacher: HeadRecord) -> Tensor:
    """(B, Q) for each query of the student the teacher's query that predicts the nearest centre."""
    centers_m, of_teacher_m = (record.outputs.predictions.codes[-1, ..., :3] for record in (student, teacher))
    return torch.cdist(centers_m, of_teacher_m).argmin(dim=-1)


def _summed_queries(record: HeadRecord) -> Tensor:
    return record.decoded.float().sum(dim=0)
