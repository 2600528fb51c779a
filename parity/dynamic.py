"""Recordings of DynamicDet: its router, the loss of the router, thresholds, the fusion of two backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from detection.models.routing import (
    AdaptiveOffset,
    Router,
    SplitConvolution,
    percentile_thresholds,
    routing_losses,
    sum_resized,
    takes_easy_path,
)
from parity.comparison import Array, Comparison
from parity.methods_rule import MethodsRule
from parity.tolerances import EXACT_FLOAT

_MODELS: Final = ("dy-yolov7", "dy-yolov7x", "dy-yolov7-w6")
_LOSS: Final = 2e-6  # relative: of sums and products in float32
_GRADIENT_NORM: Final = 1e-5  # relative
_THRESHOLD_CASES: Final = ("n7", "n50", "n1")
_LATE_ITERATIONS: Final = (9997, 9998, 9999, 10_000, 10_998, 10_999)
_LATE_SCORE: Final = 0.4


def compare_methods(
    comparison: Comparison, rule: MethodsRule, content: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Compare all that does not depend on the 2D detectors of the recording `dynamicdet`."""
    compare_small_router(comparison, rule, content["router_small"], arrays)
    for model in _MODELS:
        compare_router(comparison, rule, model, content[f"forward_{model}-step2"], arrays)
        compare_offsets_of_training(comparison, model, content[f"forward_{model}-step2"]["train"])
    compare_adaptive_offset(comparison, rule, content)
    for case in _THRESHOLD_CASES:
        recorded = [float(threshold) for threshold in content["thresholds"][case]]
        thresholds = percentile_thresholds(rule.module.thres_scores(case))
        comparison.within(f"thresholds {case}", thresholds, recorded, EXACT_FLOAT)
    compare_fusion(comparison, rule, arrays)


def load_dynamic_weights(module: nn.Module, rule: MethodsRule, tag: str, prefix: str = "") -> None:
    """Give a module the weights that the rule makes for a model.

    Args:
        module: of the model.
        rule: of the recordings.
        tag: of the model.
        prefix: of the module's names in the model.
    """
    own = module.state_dict()
    made = {name: rule.module.dy_weight(prefix + name, tuple(value.shape), tag) for name, value in own.items()}
    weights = {name: torch.from_numpy(np.asarray(value)) for name, value in made.items() if value is not None}
    module.load_state_dict({**own, **weights})


def compare_small_router(
    comparison: Comparison, rule: MethodsRule, recorded: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Compare the scores of a router of three maps, and the norms of its gradients."""
    features = [torch.from_numpy(maps) for maps in rule.module.router_feats()]
    router = Router([maps.shape[1] for maps in features])
    load_dynamic_weights(router, rule, "router_small")
    scores = router(features)
    for name in ("router_small_eval", "router_small_train"):
        comparison.within(name, scores.detach()[:, None], arrays[name], EXACT_FLOAT)
    torch.autograd.backward(scores.sum())
    for name, parameter in router.named_parameters():
        norm = recorded["grad_norms"][name]
        assert parameter.grad is not None
        comparison.within(f"router_small {name}", parameter.grad.norm(), norm, _GRADIENT_NORM * norm)


def compare_router(
    comparison: Comparison, rule: MethodsRule, model: str, recorded: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Compare the score that the router of a recorded model gives to its pooled maps, and the path it takes."""
    name = f"{model}-step2_router_pooled"
    means = torch.from_numpy(arrays[name])
    router = Router([means.shape[1]])
    load_dynamic_weights(router, rule, model, "router.")
    comparison.compared.append(name)
    with torch.no_grad():
        comparison.within(f"{model} score", router([means[:, :, None, None]]), recorded["score"], EXACT_FLOAT)
    scores = torch.tensor(recorded["score"])
    for path in ("easy", "hard"):
        threshold = torch.tensor(recorded[path]["dy_thres"])
        comparison.equal(f"{model} {path}", takes_easy_path(scores, threshold), [path == "easy"])


def compare_offsets_of_training(comparison: Comparison, model: str, iterations: Sequence[Mapping[str, Any]]) -> None:
    """Compare the loss of the router in the recorded iterations of a model, from the losses of its detectors."""
    offset = AdaptiveOffset()
    for index, recorded in enumerate(iterations):
        totals = [torch.tensor(recorded[f"{head}_box_obj_cls_total"][-1:]) for head in ("head1", "head2")]
        name = f"{model} train {index}"
        _compare_offset(comparison, name, offset, totals, torch.tensor(recorded["score"]), recorded)


def compare_adaptive_offset(comparison: Comparison, rule: MethodsRule, content: Mapping[str, Any]) -> None:
    """Compare the loss of the router over many iterations, and late in a training."""
    pairs = torch.from_numpy(rule.module.loss_pairs())
    scores = torch.from_numpy(rule.module.loss_scores())
    offset = AdaptiveOffset()
    for index, recorded in enumerate(content["adaptive_offset"]):
        totals = [pairs[index, :1], pairs[index, 1:]]
        _compare_offset(comparison, f"adaptive_offset {index}", offset, totals, scores[index : index + 1], recorded)
    for iteration, recorded in zip(_LATE_ITERATIONS, content["adaptive_offset_late"], strict=True):
        offset.load_state({**offset.state(), "iterations": torch.tensor(iteration)})
        totals = [torch.tensor([recorded[name]]) for name in ("L1", "L2")]
        score = torch.tensor([_LATE_SCORE])
        _compare_offset(comparison, f"adaptive_offset_late {iteration}", offset, totals, score, recorded)


def _compare_offset(
    comparison: Comparison,
    name: str,
    offset: AdaptiveOffset,
    totals: Sequence[Tensor],
    scores: Tensor,
    recorded: Mapping[str, Any],
) -> None:
    """Compare one iteration: the offset after it, the loss, its gradient if that was recorded."""
    easy, hard = totals
    scores = scores.clone().requires_grad_()
    tracked = offset.update(easy - hard)
    # The recorded losses are sums in another order where they come from detectors: their rounding is the tolerance.
    rounding = EXACT_FLOAT * float(easy.abs() + hard.abs())
    comparison.within(f"{name} tracked_diff", tracked, recorded["tracked_diff"], rounding)
    losses = routing_losses(scores, easy, hard, tracked)
    tolerance = _LOSS * float(easy.abs() + hard.abs())
    comparison.within(f"{name} loss", losses.detach()[0], recorded["loss"], tolerance)
    if "dloss_dscore" in recorded:
        (gradient,) = torch.autograd.grad(losses.sum(), scores)
        comparison.within(f"{name} dloss_dscore", gradient[0], recorded["dloss_dscore"], tolerance)


def compare_fusion(comparison: Comparison, rule: MethodsRule, arrays: Mapping[str, Array]) -> None:
    """Compare two split convolutions, and the sums of their pieces with a third map."""
    first, second, *targets = (torch.from_numpy(maps) for maps in rule.module.cb_inputs())
    pieces = []
    for tag, maps, channels in (("cblinear", first, (3, 4, 6)), ("cblinear2", second, (3, 4))):
        convolution = SplitConvolution(maps.shape[1], channels)
        load_dynamic_weights(convolution, rule, tag)
        with torch.no_grad():
            pieces.append(convolution(maps))
        for index, piece in enumerate(pieces[-1]):
            comparison.within(f"{tag}_out{index}", piece, arrays[f"{tag}_out{index}"], EXACT_FLOAT)
    for index, target in enumerate(targets):
        name = f"cbfuse_idx{index}"
        fused = sum_resized([pieces[0][index], pieces[1][index], target])
        comparison.within(name, fused, arrays[name], EXACT_FLOAT)
