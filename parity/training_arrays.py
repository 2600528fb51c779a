"""Arrays of frames of training beside the recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from detection.models.detectors import MultiViewDetector
from detection.models.heads import FocalHead
from parity.comparison import Array, Comparison, array_of
from parity.frame_arrays import frame_arrays, image_arrays, tolerance_of
from parity.ranking import compare_ranking
from parity.tracing import FrameTrace

_TOKENS = "roi_topk_indexes"


def compare_arrays(
    comparison: Comparison, detector: MultiViewDetector, traces: Sequence[FrameTrace], recorded: Mapping[str, Array]
) -> None:
    """Compare the arrays of the frames of one iteration.

    The names of a window's arrays do not say for sure which of its frames they are of: each is compared with the
    nearest.

    Args:
        comparison: where to.
        detector: that left the traces.
        traces: of the frames.
        recorded: by full name.
    """
    frames = [_trained_arrays(detector, trace) for trace in traces]
    for full_name, array in recorded.items():
        name = _known_name(full_name, frames)
        if full_name.endswith(_TOKENS):
            _compare_tokens(comparison, full_name, detector, traces, array)
        elif name is None:
            comparison.not_compared.append(full_name)
        else:
            candidates = [frame[name] for frame in frames if name in frame]
            nearest = min(candidates, key=lambda made: _distance(made, array))
            comparison.within(full_name, nearest, array, tolerance_of(name))


def _known_name(full_name: str, frames: Sequence[Mapping[str, Array]]) -> str | None:
    """The longest name of an array made here that a recorded name ends with."""
    known = {name for frame in frames for name in frame if full_name.endswith(f"_{name}")}
    return max(known, key=len, default=None)


def _distance(made: Array, recorded: Array) -> float:
    if made.shape != recorded.shape:
        return float("inf")
    return float(np.abs(made.astype(np.float64) - recorded).max(initial=0.0))


def _compare_tokens(
    comparison: Comparison,
    name: str,
    detector: MultiViewDetector,
    traces: Sequence[FrameTrace],
    recorded: Array,
) -> None:
    """Compare the ranking of the image tokens."""
    head = detector.img_roi_head
    ranked = [(trace, trace.tokens) for trace in traces if trace.tokens is not None]
    if not ranked or not isinstance(head, FocalHead):
        comparison.lacks(name, "no tokens were chosen")
        return
    trace, tokens = max(ranked, key=lambda pair: np.mean(array_of(pair[1]) == recorded))
    assert trace.image_predictions is not None, "the focal head has chosen the tokens"
    scores = head.token_scores(trace.image_predictions, len(trace.frame.images))
    compare_ranking(comparison, name, scores, tokens[..., 0], recorded[..., 0])


def _trained_arrays(detector: MultiViewDetector, trace: FrameTrace) -> dict[str, Array]:
    """What a frame of training made, by recorded name; the costs are those of the first stream."""
    costs = {**dict(_costs_in_space(detector, trace)), **dict(_costs_in_images(detector, trace))}
    images = image_arrays(trace.image_predictions, "roi_") if trace.image_predictions else {}
    return {**frame_arrays(trace), **images, **costs}


def _costs_in_space(detector: MultiViewDetector, trace: FrameTrace) -> Iterator[tuple[str, Array]]:
    assert trace.frame.targets is not None, "frames of training are annotated"
    head, predictions = detector.pts_bbox_head, trace.outputs.predictions
    costs = head.criterion.matcher.cost(
        predictions.logits[:, 0], predictions.codes[:, 0], trace.frame.targets[0], head.match_costs
    )
    for layer, cost in enumerate(costs):
        yield f"cost3d_layer{layer}", array_of(cost)


def _costs_in_images(detector: MultiViewDetector, trace: FrameTrace) -> Iterator[tuple[str, Array]]:
    """Of the images that show a box."""
    head = detector.img_roi_head
    if trace.image_predictions is None or trace.frame.targets is None or not isinstance(head, FocalHead):
        return
    call = 0
    for index, camera in enumerate(trace.frame.targets[0].cameras):
        if len(camera.labels):
            cost = head.matcher.cost(trace.image_predictions.image(index), camera, trace.frame.image_size_px)
            yield f"cost2d_call{call}", array_of(cost)
            call += 1
