"""Recordings of training: losses, gradients, matches and predictions of consecutive iterations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor, nn

from detection.models.detectors import MultiViewDetector
from parity import tolerances
from parity.comparison import Array, Comparison, array_of
from parity.matches import compare_matches
from parity.models import Workshop, model_of
from parity.ranking import compare_remembered, recorded_ranking, remembered_as_recorded
from parity.recording import read_arrays, read_json
from parity.rule import Rule
from parity.tracing import traced
from parity.training_arrays import compare_arrays
from scenes import InputError

_NAME: Final = re.compile(
    r"c_(?P<model>\w+?)(_stream|_(?P<empty>nogt)|_window(?P<frames>\d+)_(?P<with_gradient>\d+)grad)?"
)
_SEQUENCE: Final = "A"
_NEVER_TRAINED: Final = "pseudo_reference_points.weight"  # some recordings have forgotten to freeze them


def check_training(path: Path, workshop: Workshop) -> Comparison:
    """Compare every iteration of a training recording, and the arrays beside it.

    Weights stay as they are and memory goes on from iteration to iteration.

    Args:
        path: such as `c_r50_428q_stream.json`; arrays lie in the `.npz` of the same name, if there are any.
        workshop: makes the model.
    """
    named = _NAME.fullmatch(path.stem)
    if named is None:
        raise InputError(f"{path}: its name does not say which model was trained")
    detector = workshop.recorded(model_of(path, named["model"])).train()
    window = int(named["frames"] or 1)
    if named["with_gradient"]:
        with_gradient = int(named["with_gradient"])
        detector.num_frame_losses = with_gradient
        detector.num_frame_backbone_grads = with_gradient
        detector.num_frame_head_grads = with_gradient
    iterations = _iterations(path)
    beside = path.with_suffix(".npz")
    arrays = read_arrays(beside) if beside.is_file() else {}
    comparison = Comparison()
    with _recorded_noise(workshop.rule):
        for number, (key, recorded) in enumerate(iterations.items()):
            numbers = range(number * window, (number + 1) * window)
            frames = [workshop.frame(_SEQUENCE, index, boxes=not named["empty"]) for index in numbers]
            own = arrays if len(iterations) == 1 else _of_iteration(key, arrays)
            ranking = _remembered(detector, own) if window == 1 else None
            with remembered_as_recorded(detector.memory, ranking), traced(detector) as traces:
                losses = detector(frames, mode="loss")
            detector.zero_grad()
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            compare_losses(comparison, f"{key} ", losses, recorded)
            compare_gradients(comparison, f"{key} ", detector, recorded)
            compare_matches(comparison, f"{key} ", detector, traces[-detector.num_frame_losses :], recorded)
            compare_remembered(comparison, f"{key} ranking", traces[-1].outputs, ranking)
            compare_arrays(comparison, detector, traces, own)
    return comparison


def _iterations(path: Path) -> dict[str, dict[str, Any]]:
    """What a file holds of each iteration, in their order."""
    content = read_json(path)
    entries = {key: entry for key, entry in content.items() if isinstance(entry, dict) and "losses" in entry}
    if not entries and "losses" in content:
        return {"iteration": content}
    if not entries:
        raise InputError(f"{path}: holds no losses")
    return entries


def _of_iteration(key: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if name.startswith(f"{key}_")}


def _remembered(detector: MultiViewDetector, arrays: Mapping[str, Array]) -> Array | None:
    """Which queries the logits of an iteration have put into memory; None where there is none, or no logits."""
    logits = next((array for name, array in arrays.items() if name.endswith("_all_cls_scores")), None)
    if detector.memory is None or logits is None:
        return None
    return recorded_ranking(logits[-1], detector.memory.topk)


@contextmanager
def _recorded_noise(rule: Rule) -> Iterator[None]:
    """Inside the block, `torch.rand_like` gives the noise of the rule, call by call."""
    calls = 0

    def noise(like: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return rule.denoising_noise(like.shape, calls - 1).to(like.device)

    with patch.object(torch, "rand_like", noise):
        yield


def compare_losses(
    comparison: Comparison,
    prefix: str,
    losses: Mapping[str, Tensor],
    recorded: Mapping[str, Any],
    tolerance: float = tolerances.LOSS,
) -> None:
    """Compare the losses by name, and their sum.

    Args:
        comparison: where to.
        prefix: of the recorded names.
        losses: by name.
        recorded: `losses`, and `loss_sum` if it was recorded.
        tolerance: relative.
    """
    wanted: dict[str, float] = dict(recorded["losses"])
    made = dict(losses)
    if "loss_sum" in recorded:
        wanted["loss_sum"] = recorded["loss_sum"]
        made["loss_sum"] = torch.stack(list(losses.values())).sum()
    for name in sorted(wanted.keys() ^ made.keys()):
        comparison.lacks(f"{prefix}{name}", "is only in one of both")
    for name in sorted(wanted.keys() & made.keys()):
        comparison.within(f"{prefix}{name}", array_of(made[name]), wanted[name], tolerance * abs(wanted[name]))


def compare_gradients(
    comparison: Comparison,
    prefix: str,
    detector: nn.Module,
    recorded: Mapping[str, Any],
    tolerance: float = tolerances.GRADIENT_NORM,
) -> None:
    """Compare the norms of the gradients; of those that are tiny beside the largest only that they are.

    Args:
        comparison: where to.
        prefix: of the recorded names.
        detector: after the backward pass.
        recorded: `grad_norms`, and in `no_grad` the names of what has none.
        tolerance: relative.
    """
    norms: Mapping[str, float] = recorded.get("grad_norms", {})
    floor = tolerances.GRADIENT_FLOOR * max(norms.values(), default=0.0)
    comparison.not_compared += [f"{prefix}gradient of {name}" for name in norms if name.endswith(_NEVER_TRAINED)]
    gradients = {name: parameter.grad for name, parameter in detector.named_parameters()}
    for name, norm in norms.items():
        if name.endswith(_NEVER_TRAINED):
            continue
        gradient = gradients.get(name)
        if gradient is None:
            comparison.lacks(f"{prefix}gradient of {name}", "is missing")
            continue
        tolerated = tolerance * norm if norm > floor else floor
        comparison.within(f"{prefix}gradient of {name}", gradient.norm().item(), norm, tolerated)
    for name in recorded.get("no_grad", ()):
        if gradients.get(name) is not None:
            comparison.lacks(f"{prefix}gradient of {name}", "is there and should not be")
