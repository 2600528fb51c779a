"""Recordings of the losses between feature maps, each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from detection.distillation.bev_map import summed_bev_map
from detection.distillation.losses import (
    BalancedKL,
    ChannelWiseKL,
    FeatureL2,
    FocalGlobalLoss,
    MaskedGenerativeLoss,
)
from detection.distillation.losses.map_loss import MapLoss
from detection.distillation.step import TrainingStep
from detection.distillation.terms.bev_receptive_field import smoothed, summing_convolution
from detection.frames import CameraTargets, FrameBatch, FrameTargets
from parity import tolerances
from parity.comparison import Array, Comparison
from parity.methods_rule import MethodsRule
from parity.models import Workshop
from parity.recording import read_arrays, read_json

_EQUAL_CHANNELS: Final = dict(student_channels=8, teacher_channels=8, published=True)
_OTHER_CHANNELS: Final = dict(student_channels=4, teacher_channels=8, published=True)
WITHOUT_PROGRESS: Final = dict(weight=0.2, balance=0.5, reverse_weight=7.0)
"""Of a `BalancedKL`: without progress the published code adds both divergences and multiplies the reversed one by 7,
which is twice the weight at an even balance."""

_CASES: Final[Mapping[str, tuple[Callable[..., MapLoss], dict[str, Any]]]] = {
    **{f"bkl_alpha{alpha}": (BalancedKL, dict(balance=alpha)) for alpha in (1.0, 0.9, 0.75, 0.5, 0.25, 0.1, 0.0)},
    **{f"bkl_sharp_alpha{alpha}": (BalancedKL, dict(balance=alpha)) for alpha in (1.0, 0.75, 0.5, 0.25, 0.0)},
    "bkl_sharp_list": (BalancedKL, WITHOUT_PROGRESS),
    "bkl_list": (BalancedKL, WITHOUT_PROGRESS),
    "bkl_int1": (BalancedKL, WITHOUT_PROGRESS),
    "bkl_list_temp2": (BalancedKL, dict(temperature=2.0, **WITHOUT_PROGRESS)),
    "bkl_alpha0.5_temp_stu4_tea2": (BalancedKL, dict(balance=0.5, temperature=4.0, reverse_temperature=2.0)),
    "bkl_alpha0.5_temp_stu2_tea4": (BalancedKL, dict(balance=0.5, temperature=2.0, reverse_temperature=4.0)),
    "bkl_alpha0.5_reverse0": (BalancedKL, dict(balance=0.5, weight=0.0)),
    "bkl_list_reverse0": (BalancedKL, {**WITHOUT_PROGRESS, "reverse_weight": 0.0}),
    "bkl_alpha0.5_resize": (BalancedKL, dict(balance=0.5)),
    "bkl_alpha0.5_align": (BalancedKL, dict(balance=0.5, **_OTHER_CHANNELS)),
    "bkl_alpha0.5_align_eval": (BalancedKL, dict(balance=0.5, **_OTHER_CHANNELS)),
    "cwd": (ChannelWiseKL, {}),
    "cwd_tau1_w1": (ChannelWiseKL, dict(temperature=1.0, weight=1.0)),
    "cwd_resize": (ChannelWiseKL, {}),
    "cwd_align": (ChannelWiseKL, _OTHER_CHANNELS),
    "l2": (FeatureL2, {}),
    "l2_w0.1": (FeatureL2, dict(weight=0.1)),
    "l2_adapter": (FeatureL2, dict(adapter=True)),
    "l2_align": (FeatureL2, _OTHER_CHANNELS),
    "mgd": (MaskedGenerativeLoss, {}),
}
_NO_PART: Final = dict(object_weight=0.0, background_weight=0.0, attention_weight=0.0, context_weight=0.0)
_FOCAL_GLOBAL_CASES: Final[Mapping[str, dict[str, Any]]] = {
    "fgd": {},
    "fgd_fg_only": {**_NO_PART, "object_weight": 1.0},
    "fgd_bg_only": {**_NO_PART, "background_weight": 1.0},
    "fgd_mask_only": {**_NO_PART, "attention_weight": 1.0},
    "fgd_relation_only": {**_NO_PART, "context_weight": 1.0},
    "fgd_align": dict(student_channels=8),
}
_BEV_CASE: Final = "bkl_list_bev"
_TAGS: Final = {"bkl_alpha0.5_align": "bkl_align", "bkl_alpha0.5_align_eval": "bkl_align"}
_LAYER_NAMES: Final = {  # beginning of a name here -> recorded
    "context.attention": "conv_mask_s",
    "context.transform": "channel_add_conv_s",
    "teacher_context.attention": "conv_mask_t",
    "teacher_context.transform": "channel_add_conv_t",
}
_RANGE: Final = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
_BEV_CELLS: Final = 128
_HIDDEN_SEED: Final = 94004


def check_distillation_losses(path: Path, workshop: Workshop) -> Comparison:
    """Compare every loss: its value, the gradient of the student's maps, the norms of the gradients of its layers.

    Args:
        path: `harmo_losses.json`, with the arrays in the `.npz` beside it.
        workshop: for the rule.
    """
    rule = MethodsRule(path.parent, workshop.rule)
    recorded, arrays = read_json(path), read_arrays(path.with_suffix(".npz"))
    comparison = Comparison()
    for case, (kind, settings) in _CASES.items():
        loss = kind(**{**_EQUAL_CHANNELS, **settings})
        rule.load_layer_weights(loss, _TAGS.get(case, case))
        loss.train(not case.endswith("_eval"))
        with patch.object(torch, "rand", _hidden_cells):
            _compare(comparison, case, loss.to(workshop.device), rule, recorded, arrays)
    for case, settings in _FOCAL_GLOBAL_CASES.items():
        loss = FocalGlobalLoss(**{"student_channels": 16, "teacher_channels": 16, "published": True, **settings})
        rule.load_layer_weights(loss, "fgd", _recorded_name)
        _compare(comparison, case, loss.to(workshop.device), rule, recorded, arrays)
    bev = _BEVMaps()
    rule.load_layer_weights(bev, "bkl_bev")
    bev.let_layers_sum()
    _compare(comparison, _BEV_CASE, bev.to(workshop.device), rule, recorded, arrays)
    _compare_bev_cells(comparison, rule, arrays, workshop.device)
    checked = {*_CASES, *_FOCAL_GLOBAL_CASES, _BEV_CASE}
    comparison.not_compared += [case for case, entry in recorded.items() if _has_value(entry) and case not in checked]
    return comparison


class _BEVMaps(nn.Module):
    """The published loss of maps seen from above, which has its layers on both sides under these names."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter_layer_s = nn.Sequential(nn.Identity(), summing_convolution(4))
        self.adapter_layer_t = nn.Sequential(nn.Identity(), summing_convolution(4))
        self.loss = BalancedKL(4, 4, published=True, **WITHOUT_PROGRESS)

    def let_layers_sum(self) -> None:
        """Give the weights back what the rule, which is for the biases only, has taken."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.ones_(parameter)

    def forward(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        maps = self.adapter_layer_s(smoothed(student)), self.adapter_layer_t(smoothed(teacher))
        loss: Tensor = self.loss(*maps, step)
        return loss


def _compare(
    comparison: Comparison,
    case: str,
    loss: nn.Module,
    rule: MethodsRule,
    recorded: Mapping[str, Any],
    arrays: Mapping[str, Array],
) -> None:
    """Compare one case."""
    entry = recorded[case]
    device = next(loss.parameters(), torch.zeros(0)).device
    student, teacher = (maps.to(device) for maps in rule.maps(entry["feats"]))
    student.requires_grad_()
    value = loss(student, teacher, _step(rule, device))
    torch.autograd.backward(value)
    comparison.within(case, value.item(), entry["value"], tolerances.MAP_LOSS * abs(entry["value"]))
    wanted = arrays[f"{case}_grad"]
    assert student.grad is not None, "the loss depends on the student"
    comparison.within(f"{case}_grad", student.grad, wanted, tolerances.MAP_GRADIENT * float(abs(wanted).max()))
    norms: Mapping[str, float] = entry.get("layer_grad_norms", {})
    floor = tolerances.GRADIENT_FLOOR * max(norms.values(), default=0.0)
    gradients = {_recorded_name(name): parameter.grad for name, parameter in loss.named_parameters()}
    for name, norm in norms.items():
        gradient = gradients.get(name)
        if gradient is None:
            comparison.lacks(f"{case} gradient of {name}", "is missing")
            continue
        tolerance = tolerances.GRADIENT_NORM * norm if norm > floor else floor
        comparison.within(f"{case} gradient of {name}", gradient.norm().item(), norm, tolerance)


def _compare_bev_cells(
    comparison: Comparison, rule: MethodsRule, arrays: Mapping[str, Array], device: torch.device
) -> None:
    """Compare which cells of a map from above are filled, and with what."""
    for kind in ("distinct", "collide"):
        points_m, features = (torch.from_numpy(array).to(device) for array in rule.module.attn_points(kind))
        bev = summed_bev_map(points_m, features, torch.tensor(_RANGE, device=device), _BEV_CELLS)[0]
        cells, values = (arrays[f"attnmap_sum_{kind}_{name}"] for name in ("cells", "values"))
        comparison.equal(f"attnmap_sum_{kind}_cells", bev.abs().sum(0).nonzero(), cells)
        found = bev[:, cells[:, 0], cells[:, 1]]
        comparison.within(
            f"attnmap_sum_{kind}_values", found, values, tolerances.EXACT_FLOAT * float(abs(values).max())
        )


def _hidden_cells(*shape: int, device: torch.device | None = None) -> Tensor:
    """What replaces `torch.rand` where cells are hidden."""
    hidden = np.random.RandomState(_HIDDEN_SEED).uniform(0, 1, shape).astype(np.float32)
    return torch.from_numpy(hidden).to(device)


def _recorded_name(name: str) -> str:
    for beginning, published in _LAYER_NAMES.items():
        if name.startswith(beginning):
            return published + name[len(beginning) :]
    return name


def _has_value(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry


def _step(rule: MethodsRule, device: torch.device) -> TrainingStep:
    """A frame of six cameras of 64 x 176 pixels with 2D boxes."""
    matrices, empty = torch.eye(4).expand(1, 6, 4, 4), torch.zeros(0)
    cameras = tuple(CameraTargets(torch.from_numpy(boxes), empty, empty, empty) for boxes in rule.module.fgd_boxes())
    frame = FrameBatch(
        images=torch.zeros(1, 6, 3, 64, 176),
        image_from_lidar=matrices,
        image_from_camera=matrices,
        camera_from_lidar=matrices,
        global_from_lidar=matrices[:, 0],
        timestamp_s=torch.zeros(1, dtype=torch.float64),
        continues_scene=torch.zeros(1, dtype=torch.bool),
        scene_tokens=("",),
        sample_tokens=("",),
        targets=(FrameTargets(torch.zeros(0, 9), empty, cameras),),
    )
    return TrainingStep(0.0, frame.to(device))
