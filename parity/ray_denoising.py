"""Recordings of RayDN with ResNet-50: its denoising queries, iterations of training, inference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.detectors import MultiViewDetector
from parity import tolerances
from parity.comparison import Array, Comparison, array_of
from parity.frame_arrays import frame_arrays
from parity.matches import compare_matches
from parity.methods_rule import MethodsRule
from parity.models import RecordedModel, Workshop
from parity.ranking import compare_remembered, recorded_ranking, remembered_as_recorded
from parity.ray_queries import compare_ray_queries, ray_cases
from parity.recording import read_arrays, read_json
from parity.tracing import FrameTrace, traced
from parity.training import compare_gradients, compare_losses

_MODEL: Final = RecordedModel("raydn_r50_704_bs2_seq_428q_nui_60e", {"model.pts_bbox_head.denoising.published": True})
_SEQUENCE: Final = "A"
_OF_AN_ITERATION: Final = re.compile(r"all_|dn_(cls|bbox|known)_|cost3d_|memory_")
_COST: Final = "cost3d_layer5"
_COST_CALL: Final = 5  # of the matchings, which are done layer by layer and within a layer stream by stream
_THINNED: Final = ("img_feats_level0", "img_feats_level1")
_KEPT_CHANNELS: Final = slice(None, None, 8)

# Ten times the rounding noise that is stated with these recordings, which is less than that of the others.
_LOSS: Final = 2e-5  # relative
_GRADIENT_NORM: Final = 2.5e-3  # relative
_LOGITS: Final = 5e-5
_BOXES: Final = 6e-4
_TOLERANCES: Final = {
    **tolerances.ABSOLUTE,
    **{f"img_feats_level{level}": tolerances.FEATURES for level in range(4)},
    **dict.fromkeys(("all_cls_scores", "all_cls_scores_last", "dn_cls_scores"), _LOGITS),
    **dict.fromkeys(("all_bbox_preds", "all_bbox_preds_last", "dn_bbox_preds", "memory_reference_point"), _BOXES),
    _COST: _BOXES / 2,
}


def check_ray_denoising(path: Path, workshop: Workshop) -> Comparison:
    """Compare queries, masks, losses, gradients, matches, memory and predictions.

    Args:
        path: `raydn_r50.json`, with the arrays in the `.npz` beside it.
        workshop: for config and rule.
    """
    content, arrays = read_json(path), read_arrays(path.with_suffix(".npz"))
    methods = MethodsRule(path.parent, workshop.rule)
    cases = ray_cases(workshop, methods)
    detector = workshop.recorded(_MODEL).train()
    frames = [workshop.frame(_SEQUENCE, number) for number in range(2)]
    comparison = Comparison()
    for name, case in cases.items():
        recorded = {key: array for key, array in _of(name, cases, arrays).items() if not _OF_AN_ITERATION.match(key)}
        compare_ray_queries(comparison, name, case, detector.pts_bbox_head, methods, recorded)
    with methods.recorded_numbers():
        for name, frame in zip(("frame0", "frame1"), frames, strict=True):
            losses = _compare_iteration(comparison, name, detector, frame, content[name], _of(name, cases, arrays))
            detector.zero_grad()
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            compare_gradients(comparison, f"{name} ", detector, content[name], _GRADIENT_NORM)
    _forget(detector)
    with torch.no_grad(), methods.recorded_numbers():
        name = "batch2"
        recorded = {key: array for key, array in _of(name, cases, arrays).items() if _OF_AN_ITERATION.match(key)}
        _compare_iteration(comparison, name, detector, cases[name].frame, content[name], recorded)
    _compare_without_boxes(comparison, detector, workshop.frame(_SEQUENCE, 0, boxes=False), content)
    for name, frame in zip(("eval0", "eval1"), frames, strict=True):
        _compare_inference(comparison, name, detector.eval(), frame, _of(name, cases, arrays))
    return comparison


def _of(name: str, cases: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What was recorded under a name, which other names may begin with."""
    longer = tuple(f"{case}_" for case in cases if case.startswith(f"{name}_"))
    return {
        key.removeprefix(f"{name}_"): array
        for key, array in arrays.items()
        if key.startswith(f"{name}_") and not key.startswith(longer)
    }


def _compare_iteration(
    comparison: Comparison,
    name: str,
    detector: MultiViewDetector,
    frame: FrameBatch,
    recorded: Mapping[str, Any],
    arrays: Mapping[str, Array],
) -> dict[str, Tensor]:
    """Compare one iteration of training; its losses."""
    logits = arrays.get("all_cls_scores")
    ranking = _remembered(detector, None if logits is None else logits[-1])
    with remembered_as_recorded(detector.memory, ranking), traced(detector) as traces:
        losses: dict[str, Tensor] = detector([frame], mode="loss")
    compare_losses(comparison, f"{name} ", losses, recorded, _LOSS)
    compare_matches(comparison, f"{name} ", detector, traces, recorded)
    made = {**frame_arrays(traces[0]), _COST: _recorded_cost(detector, traces[0])}
    compare_remembered(comparison, f"{name} ranking", traces[0].outputs, ranking)
    _compare_arrays(comparison, name, made, arrays)
    return losses


def _recorded_cost(detector: MultiViewDetector, trace: FrameTrace) -> Array:
    """Of the matching whose cost was recorded."""
    assert trace.frame.targets is not None, "frames of training are annotated"
    layer, stream = divmod(_COST_CALL, len(trace.frame.targets))
    head, predictions = detector.pts_bbox_head, trace.outputs.predictions
    cost: Tensor = head.criterion.matcher.cost(
        predictions.logits[layer, stream],
        predictions.codes[layer, stream],
        trace.frame.targets[stream],
        head.match_costs,
    )
    return array_of(cost)


def _remembered(detector: MultiViewDetector, logits: Array | None) -> Array | None:
    """Which queries the recorded logits (B, Q, classes) have put into memory; None where they were not recorded."""
    assert detector.memory is not None, "RayDN remembers"
    return None if logits is None else recorded_ranking(logits, detector.memory.topk)


def _compare_without_boxes(
    comparison: Comparison, detector: MultiViewDetector, frame: FrameBatch, content: Mapping[str, Any]
) -> None:
    """Compare the losses of an iteration without annotations."""
    name = "iteration_without_boxes"
    _forget(detector)
    with torch.no_grad():
        losses = detector([frame], mode="loss")
    compare_losses(comparison, f"{name} ", losses, {"losses": content[name]}, _LOSS)


def _compare_inference(
    comparison: Comparison, name: str, detector: MultiViewDetector, frame: FrameBatch, arrays: Mapping[str, Array]
) -> None:
    """Compare one frame of inference, with what came before it in memory."""
    ranking = _remembered(detector, arrays.get("all_cls_scores_last"))
    with torch.no_grad(), remembered_as_recorded(detector.memory, ranking), traced(detector) as traces:
        detector([frame], mode="predict")
    compare_remembered(comparison, f"{name} ranking", traces[0].outputs, ranking)
    made = frame_arrays(traces[0])
    made |= {level: made[level][:, :, _KEPT_CHANNELS] for level in _THINNED}
    _compare_arrays(comparison, name, made, arrays)


def _compare_arrays(comparison: Comparison, name: str, made: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    for key, recorded in arrays.items():
        comparison.within(f"{name}_{key}", made[key], recorded, _TOLERANCES[key])


def _forget(detector: MultiViewDetector) -> None:
    assert detector.memory is not None, "RayDN remembers"
    detector.memory.reset()
