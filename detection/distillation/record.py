"""What passes through a head while it works on frames, so that a student's can be compared with a teacher's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.detectors import MultiViewDetector
from detection.models.heads import PETRHead
from detection.models.heads.query_head import QueryHead, predict_from_every_layer
from detection.models.layers.deformable_aggregation import DeformableAggregation
from detection.models.predictions import HeadOutputs
from scenes import InputError


@dataclass(frozen=True, eq=False)
class HeadRecord:
    """One frame's way through a head. Queries are the ordinary ones, without those of denoising.

    Attributes:
        frame: what the head was shown.
        features: (B, N, C, h, w) feature maps by level, as they come from the neck.
        encoded: (B, N, C, h, w) feature maps by level, of those that the head reads, told where their cameras stand.
        decoded: (layers, B, Q, C) queries after each decoder layer.
        sampled_points_m: (B, Q, P, 3) for each decoder layer that samples the images at points, where these lie in the
            lidar frame.
        outputs: of the head, with the predictions of every decoder layer, also in inference.
    """

    frame: FrameBatch
    features: dict[int, Tensor]
    encoded: dict[int, Tensor]
    decoded: Tensor
    sampled_points_m: tuple[Tensor, ...]
    outputs: HeadOutputs


@contextmanager
def recorded(detector: MultiViewDetector) -> Iterator[list[HeadRecord]]:
    """Inside the block, every frame that the detector's head works on leaves a record in the list."""
    head: QueryHead = detector.pts_bbox_head
    records: list[HeadRecord] = []
    contexts: list[Any] = []
    decoded: list[Tensor] = []
    offsets: list[Tensor] = []

    def keep_decoder(_: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        contexts.append(arguments[2])
        decoded.append(output)

    def keep_offsets(_: nn.Module, __: Any, output: Tensor) -> None:
        offsets.append(output)

    def keep_record(_: nn.Module, arguments: tuple[Any, ...], outputs: HeadOutputs) -> None:
        features, frame = arguments[:2]
        slots = 0 if outputs.denoising is None else outputs.denoising.reference_points.shape[1]
        context = contexts.pop()
        records.append(
            HeadRecord(
                frame=frame,
                features=dict(enumerate(features)),
                encoded=_encoded_maps(head, features, context),
                decoded=decoded.pop()[:, :, slots:],
                sampled_points_m=tuple(_points_m(layer, context.reference_points_m, slots) for layer in offsets),
                outputs=outputs,
            )
        )
        offsets.clear()

    with ExitStack() as stack:
        stack.callback(predict_from_every_layer(head).remove)
        stack.callback(head.register_forward_hook(keep_record).remove)
        stack.callback(head.transformer["decoder"].register_forward_hook(keep_decoder).remove)
        for sampling in sampling_layers(head):
            stack.callback(sampling.learnable_fc.register_forward_hook(keep_offsets).remove)
        yield records


def sampling_layers(head: QueryHead) -> list[DeformableAggregation]:
    """The layers of a head's decoder that sample the images at points; none in a head that attends to all of them."""
    return [module for module in head.transformer.modules() if isinstance(module, DeformableAggregation)]


def levels_read(head: QueryHead) -> tuple[int, ...]:
    """Which levels of the neck's maps a head reads."""
    if isinstance(head, PETRHead):
        return (head.position_level,)
    return tuple(range(sampling_layers(head)[0].num_levels))


def map_channels(head: QueryHead) -> int:
    """Channels of the maps that a head reads from the neck."""
    first = head.memory_embed[0] if isinstance(head, PETRHead) else None
    return first.in_features if isinstance(first, nn.Linear) else head.embed_dims


def num_queries(head: QueryHead) -> int:
    """Ordinary queries of a head: new ones and those that its memory carries."""
    return head.num_new + (0 if head.memory is None else head.memory.num_propagated)


def _encoded_maps(head: QueryHead, features: Sequence[Tensor], context: Any) -> dict[int, Tensor]:
    """(B, N, C, h, w) of each level that the head reads."""
    if not isinstance(head, PETRHead):
        return dict(enumerate(context.features))
    keys, _ = context
    cameras, _, rows, columns = features[head.position_level].shape[1:]
    if keys.shape[1] != cameras * rows * columns:
        raise InputError(
            f"distillation: the head looks at {keys.shape[1]} of {cameras * rows * columns} image tokens; terms that "
            "compare maps need all of them (train_ratio=1.0 and infer_ratio=1.0 of the 2D head)"
        )
    return {head.position_level: keys.reshape(len(keys), cameras, rows, columns, -1).movedim(-1, 2)}


def _points_m(offsets: Tensor, reference_points_m: Tensor, slots: int) -> Tensor:
    """(B, Q, P, 3) points of the ordinary queries from offsets (B, slots + Q, 3 P)."""
    offsets_m = offsets.detach().float()[:, slots:]
    return reference_points_m.detach().float()[:, slots:, None] + offsets_m.reshape(*offsets_m.shape[:2], -1, 3)
