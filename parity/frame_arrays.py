"""What passed through a detector, under the names and in the layout of the recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import Tensor

from detection.models.denoising.queries import DenoisingQueries
from detection.models.heads.focal_head import token_centers
from detection.models.matching.hungarian_2d import Predictions2D
from detection.models.predictions import HeadOutputs
from parity import tolerances
from parity.comparison import Array, array_of
from parity.tracing import FrameTrace

_STRIDE_PX = 16  # of the recorded `location`


def frame_arrays(trace: FrameTrace) -> dict[str, Array]:
    """Everything of one frame, by recorded name."""
    return {name: array_of(value) for name, value in _frame_values(trace)}


def image_arrays(predictions: Predictions2D, prefix: str = "") -> dict[str, Array]:
    """Predictions of the 2D head, by recorded name."""
    values = {
        "enc_cls_scores": predictions.class_logits,
        "enc_bbox_preds": predictions.boxes,
        "pred_centers2d": predictions.centers,
        "centerness": predictions.centerness_logits[..., None],
    }
    return {f"{prefix}{name}": array_of(value) for name, value in values.items()}


def tolerance_of(name: str) -> float:
    """The absolute tolerance of a recorded array by its name without prefix."""
    return tolerances.ABSOLUTE[re.sub(r"^roi_|_(level|layer|call)\d+$", "", name)]


def location(features: Tensor, image_size_px: tuple[int, int]) -> Tensor:
    """(B N, rows, columns, 2) centres of the tokens as shares of the image."""
    centers = token_centers(features.shape[-2:], _STRIDE_PX, image_size_px, features.device)
    return centers.expand(features.shape[0] * features.shape[1], -1, -1, -1)


def _frame_values(trace: FrameTrace) -> Iterator[tuple[str, Tensor]]:
    yield "img_feats", trace.features[0]
    for level, features in enumerate(trace.features):
        yield f"img_feats_level{level}", features
    yield "location", location(trace.features[0], trace.frame.image_size_px)
    yield "prev_exists", trace.frame.continues_scene
    yield "ta_tgt", trace.queries.content
    yield "ta_query_pos", trace.queries.position
    yield "ta_reference_points", trace.queries.reference_points
    if trace.position_features is not None:
        yield "pos_embed", trace.position_features
    if trace.cones is not None:
        yield "cone", trace.cones
    yield from _predicted(trace.outputs)
    yield from _memory(trace)
    if trace.outputs.denoising is not None:
        yield from _denoising(trace.outputs, trace.outputs.denoising, trace)


def _predicted(outputs: HeadOutputs) -> Iterator[tuple[str, Tensor]]:
    yield "all_cls_scores", outputs.predictions.logits
    yield "all_bbox_preds", outputs.predictions.codes
    yield "all_cls_scores_last", outputs.predictions.logits[-1]
    yield "all_bbox_preds_last", outputs.predictions.codes[-1]


def _memory(trace: FrameTrace) -> Iterator[tuple[str, Tensor]]:
    if trace.memory_read is None or trace.ages_s is None:
        return
    yield "pre_memory_reference_point", trace.memory_read.reference_points_m
    yield "pre_memory_timestamp", trace.ages_s[..., None]
    yield "pre_memory_egopose", trace.memory_read.poses
    yield "pre_memory_velo", trace.memory_read.velocities_mps
    yield "memory_embedding", trace.memory_after["embeddings"]
    yield "memory_reference_point", trace.memory_after["reference_points_m"]
    yield "memory_timestamp", -trace.memory_after["timestamps_s"][..., None]
    yield "memory_egopose", trace.memory_after["poses"]
    yield "memory_velo", trace.memory_after["velocities_mps"]


def _denoising(outputs: HeadOutputs, denoising: DenoisingQueries, trace: FrameTrace) -> Iterator[tuple[str, Tensor]]:
    assert outputs.denoising_predictions is not None, "denoising queries have predictions"
    yield "dn_cls_scores", outputs.denoising_predictions.logits
    yield "dn_bbox_preds", outputs.denoising_predictions.codes
    yield "dn_known_labels", denoising.labels
    yield "dn_known_bboxs", denoising.boxes
    yield "dn_map_known_indice", denoising.slots
    new = trace.queries.reference_points.shape[1] - trace.num_carried
    yield "dn_reference_points", trace.queries.reference_points[:, :new]
    assert trace.blocked is not None, "denoising queries are hidden from the others"
    yield "attn_mask", trace.blocked
