"""What passes through a detector while it works on a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.detectors import MultiViewDetector
from detection.models.heads import FocalHead, PETRHead
from detection.models.heads.query_head import QueryTokens, predict_from_every_layer
from detection.models.matching.hungarian_2d import Predictions2D
from detection.models.memory import MemoryRows
from detection.models.predictions import HeadOutputs


@dataclass(frozen=True, eq=False)
class FrameTrace:
    """One frame's way through a detector.

    Attributes:
        frame: the frame.
        features: feature maps of all levels.
        outputs: of the head, with the predictions of every decoder layer, also in inference.
        queries: what the head begins with.
        blocked: who must not look at whom in self-attention.
        num_carried: how many of the queries come from memory.
        tokens: indices of the image tokens that the head looks at; None for all.
        image_predictions: of the `FocalHead`, where it ran.
        position_features: what a `PETRHead` makes of the rays of the image tokens.
        cones: what a `PETRHead` is told of the camera of each image token.
        memory_read: rows of the memory as the head read them; None without memory.
        ages_s: of these rows.
        memory_after: state of the memory after the frame; empty without memory.
    """

    frame: FrameBatch
    features: tuple[Tensor, ...]
    outputs: HeadOutputs
    queries: QueryTokens
    blocked: Tensor | None
    num_carried: int
    tokens: Tensor | None
    image_predictions: Predictions2D | None
    position_features: Tensor | None
    cones: Tensor | None
    memory_read: MemoryRows | None
    ages_s: Tensor | None
    memory_after: dict[str, Tensor]


@contextmanager
def traced(detector: MultiViewDetector) -> Iterator[list[FrameTrace]]:
    """Inside the block, every frame that the detector works on leaves a trace in the list."""
    head = detector.pts_bbox_head
    traces: list[FrameTrace] = []
    on_the_way: dict[str, Any] = {}

    def keep_trace(_: nn.Module, arguments: tuple[Any, ...], outputs: HeadOutputs) -> None:
        features, frame, *tokens = arguments
        memory = head.memory
        traces.append(
            FrameTrace(
                frame=frame,
                features=tuple(features),
                outputs=outputs,
                queries=on_the_way["queries"],
                blocked=on_the_way.pop("blocked"),
                num_carried=memory.num_propagated if memory else 0,
                tokens=tokens[0] if tokens else None,
                image_predictions=on_the_way.pop("image_predictions", None),
                position_features=on_the_way.pop("position_features", None),
                cones=on_the_way.pop("cones", None),
                memory_read=memory.read() if memory else None,
                ages_s=memory.ages_s() if memory else None,
                memory_after=memory.state() if memory else {},
            )
        )

    make_queries = head.query_tokens

    def keep_queries(points: Tensor, content: Tensor | None = None) -> QueryTokens:
        on_the_way["queries"] = make_queries(points, content)
        queries: QueryTokens = on_the_way["queries"]
        return queries

    with ExitStack() as stack:
        stack.enter_context(patch.object(head, "query_tokens", keep_queries))
        stack.callback(predict_from_every_layer(head).remove)
        stack.callback(head.register_forward_hook(keep_trace).remove)
        for name, module, kept in _inner_parts(detector):

            def keep(_: nn.Module, arguments: Any, output: Any, name: str = name, kept: int | None = kept) -> None:
                on_the_way[name] = output if kept is None else arguments[kept]

            stack.callback(module.register_forward_hook(keep).remove)
        yield traces


def _inner_parts(detector: MultiViewDetector) -> Iterator[tuple[str, nn.Module, int | None]]:
    """Name, module, and which of its arguments is kept (None: its output)."""
    yield "blocked", detector.pts_bbox_head.transformer["decoder"], -1
    if isinstance(detector.img_roi_head, FocalHead):
        yield "image_predictions", detector.img_roi_head, None
    if isinstance(detector.pts_bbox_head, PETRHead):
        yield "position_features", detector.pts_bbox_head.position_encoder, None
        yield "cones", detector.pts_bbox_head.spatial_alignment, 1
