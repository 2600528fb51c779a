"""Which queries and tokens learn which boxes, beside the recorded matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from detection.models.detectors import MultiViewDetector
from detection.models.heads import FocalHead
from detection.models.heads.query_head import QueryHead
from parity.comparison import Comparison
from parity.tracing import FrameTrace

Pairs = list[list[int]]


def compare_matches(
    comparison: Comparison,
    prefix: str,
    detector: MultiViewDetector,
    traces: Sequence[FrameTrace],
    recorded: Mapping[str, Any],
) -> None:
    """Compare the matches of frames with losses with those recorded as `hungarian_3d` and `hungarian_2d`.

    Args:
        comparison: where to.
        prefix: of the recorded names.
        detector: that left the traces.
        traces: of the frames with losses.
        recorded: lists of [query, box] for each matching, in the order of the matchings.
    """
    made = {
        "hungarian_3d": [pairs for trace in traces for pairs in _matches_in_space(detector.pts_bbox_head, trace)],
        "hungarian_2d": [pairs for trace in traces for pairs in _matches_in_images(detector.img_roi_head, trace)],
    }
    for name, mine in made.items():
        theirs: list[Pairs] = recorded.get(name, [])
        if not any(theirs) and not any(mine):  # the published code matches once more where there are no boxes
            continue
        if len(mine) != len(theirs):
            comparison.lacks(f"{prefix}{name}", f"has {len(mine)} matchings, recorded {len(theirs)}")
            continue
        for number, (pairs, wanted) in enumerate(zip(mine, theirs, strict=True)):
            shape = (-1, 2)
            comparison.equal(f"{prefix}{name}[{number}]", np.reshape(pairs, shape), np.reshape(wanted, shape))


def _matches_in_space(head: QueryHead, trace: FrameTrace) -> Iterator[Pairs]:
    """Of every decoder layer, stream by stream within a layer."""
    assert trace.frame.targets is not None, "frames of training are annotated"
    logits, codes = trace.outputs.predictions.logits, trace.outputs.predictions.codes
    for layer in range(len(logits)):
        for stream, targets in enumerate(trace.frame.targets):
            alone = slice(layer, layer + 1), slice(stream, stream + 1)
            matches = head.criterion.matcher.match(logits[alone], codes[alone], (targets,), head.match_costs)
            yield torch.stack((matches.queries, matches.boxes), dim=1).tolist()


def _matches_in_images(head: nn.Module | None, trace: FrameTrace) -> Iterator[Pairs]:
    """Of every image; those of a focal head, no others are recorded."""
    if not isinstance(head, FocalHead) or trace.image_predictions is None:
        return
    assert trace.frame.targets is not None, "frames of training are annotated"
    cameras = [camera for targets in trace.frame.targets for camera in targets.cameras]
    for index, camera in enumerate(cameras):
        (match,) = head.matcher.match([trace.image_predictions.image(index)], [camera], trace.frame.image_size_px)
        yield torch.stack(match, dim=1).tolist()
