"""Every loss between maps equals the published code: values, gradients of maps, gradients of layers."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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

_NOISE = 2e-7  # stated with the recordings, relative; ten times of it are tolerated
_MAPS = dict(student_channels=8, teacher_channels=8, published=True)
_NARROW = dict(student_channels=4, teacher_channels=8, published=True)

# The published code's third argument is a float (alpha), or anything else, when both divergences are summed and only
# the reversed one is multiplied by 7: twice the weight at an even balance.
_WITHOUT_PROGRESS = dict(weight=0.2, balance=0.5, reverse_weight=7.0)
CASES: dict[str, tuple[Callable[..., MapLoss], dict[str, Any]]] = {
    **{f"bkl_alpha{alpha}": (BalancedKL, dict(balance=alpha)) for alpha in (1.0, 0.9, 0.75, 0.5, 0.25, 0.1, 0.0)},
    **{f"bkl_sharp_alpha{alpha}": (BalancedKL, dict(balance=alpha)) for alpha in (1.0, 0.75, 0.5, 0.25, 0.0)},
    "bkl_sharp_list": (BalancedKL, _WITHOUT_PROGRESS),
    "bkl_list": (BalancedKL, _WITHOUT_PROGRESS),
    "bkl_int1": (BalancedKL, _WITHOUT_PROGRESS),
    "bkl_list_temp2": (BalancedKL, dict(temperature=2.0, **_WITHOUT_PROGRESS)),
    "bkl_alpha0.5_temp_stu4_tea2": (BalancedKL, dict(balance=0.5, temperature=4.0, reverse_temperature=2.0)),
    "bkl_alpha0.5_temp_stu2_tea4": (BalancedKL, dict(balance=0.5, temperature=2.0, reverse_temperature=4.0)),
    "bkl_alpha0.5_reverse0": (BalancedKL, dict(balance=0.5, weight=0.0)),
    "bkl_list_reverse0": (BalancedKL, dict(weight=0.2, balance=0.5, reverse_weight=0.0)),
    "bkl_alpha0.5_resize": (BalancedKL, dict(balance=0.5)),
    "bkl_alpha0.5_align": (BalancedKL, dict(balance=0.5, **_NARROW)),
    "bkl_alpha0.5_align_eval": (BalancedKL, dict(balance=0.5, **_NARROW)),
    "cwd": (ChannelWiseKL, {}),
    "cwd_tau1_w1": (ChannelWiseKL, dict(temperature=1.0, weight=1.0)),
    "cwd_resize": (ChannelWiseKL, {}),
    "cwd_align": (ChannelWiseKL, _NARROW),
    "l2": (FeatureL2, {}),
    "l2_w0.1": (FeatureL2, dict(weight=0.1)),
    "l2_adapter": (FeatureL2, dict(adapter=True)),
    "l2_align": (FeatureL2, _NARROW),
    "mgd": (MaskedGenerativeLoss, {}),
}
_FGD_ONLY = dict(object_weight=0.0, background_weight=0.0, attention_weight=0.0, context_weight=0.0)
FGD_CASES = {
    "fgd": {},
    "fgd_fg_only": _FGD_ONLY | dict(object_weight=1.0),
    "fgd_bg_only": _FGD_ONLY | dict(background_weight=1.0),
    "fgd_mask_only": _FGD_ONLY | dict(attention_weight=1.0),
    "fgd_relation_only": _FGD_ONLY | dict(context_weight=1.0),
    "fgd_align": dict(student_channels=8),
}
_TAGS = {"bkl_alpha0.5_align": "bkl_align", "bkl_alpha0.5_align_eval": "bkl_align"}  # of weights, where not the case
_FGD_NAMES = {  # the published name of each layer
    "context.attention": "conv_mask_s",
    "context.transform": "channel_add_conv_s",
    "teacher_context.attention": "conv_mask_t",
    "teacher_context.transform": "channel_add_conv_t",
}


@pytest.mark.parametrize("case", CASES)
def test_loss(
    case: str, methods_rule: ModuleType, recorded_losses: tuple[dict[str, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = torch.from_numpy(np.random.RandomState(94004).uniform(0, 1, (6, 1, 4, 11)).astype(np.float32))
    monkeypatch.setattr(torch, "rand", lambda *shape, device: hidden.view(shape))
    kind, settings = CASES[case]
    loss = kind(**{**_MAPS, **settings})
    _set_weights(loss, methods_rule, _TAGS.get(case, case))
    loss.train(not case.endswith("eval"))
    _assert_recorded(case, loss, loss, _step(methods_rule), methods_rule, recorded_losses)


@pytest.mark.parametrize("case", FGD_CASES)
def test_focal_and_global_loss(
    case: str, methods_rule: ModuleType, recorded_losses: tuple[dict[str, Any], Any]
) -> None:
    settings = dict(student_channels=16, teacher_channels=16, published=True) | FGD_CASES[case]
    loss = FocalGlobalLoss(**settings)  # type: ignore[arg-type]
    _set_weights(loss, methods_rule, "fgd")
    _assert_recorded(case, loss, loss, _step(methods_rule), methods_rule, recorded_losses)


def test_bev_maps(methods_rule: ModuleType, recorded_losses: tuple[dict[str, Any], Any]) -> None:
    adapters = nn.ModuleDict({f"adapter_layer_{side}": nn.Sequential(summing_convolution(4)) for side in "st"})
    for side in "st":
        bias = methods_rule.layer_weight(f"adapter_layer_{side}.1.bias", (4,), "bkl_bev")
        adapters[f"adapter_layer_{side}"][0].bias.data = torch.from_numpy(bias)
    loss = BalancedKL(4, 4, published=True, **_WITHOUT_PROGRESS)

    def compare(student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        of_teacher = adapters["adapter_layer_t"](smoothed(teacher))
        value: Tensor = loss(adapters["adapter_layer_s"](smoothed(student)), of_teacher, step)
        return value

    names = {f"adapter_layer_{side}.0": f"adapter_layer_{side}.1" for side in "st"}
    _assert_recorded("bkl_list_bev", compare, adapters, _step(methods_rule), methods_rule, recorded_losses, names)


def _assert_recorded(
    case: str,
    compare: Callable[[Tensor, Tensor, TrainingStep], Tensor],
    layers: nn.Module,
    step: TrainingStep,
    rule: ModuleType,
    recorded: tuple[dict[str, Any], dict[str, Any]],
    names: dict[str, str] = _FGD_NAMES,
) -> None:
    values, gradients = recorded
    student, teacher = (torch.from_numpy(maps) for maps in rule.distill_feats(values[case]["feats"]))
    student.requires_grad_()
    loss = compare(student, teacher, step)
    loss.backward()
    assert loss.item() == pytest.approx(values[case]["value"], rel=10 * _NOISE, abs=0)
    wanted = gradients[f"{case}_grad"]
    np.testing.assert_allclose(student.grad, wanted, rtol=0, atol=1e-5 * abs(wanted).max())
    norms = values[case].get("layer_grad_norms", {})
    found = {_renamed(name, names): float(p.grad.norm()) for name, p in layers.named_parameters() if p.grad is not None}
    assert norms.keys() <= found.keys()
    largest = max(norms.values(), default=0)
    for name, norm in norms.items():
        assert found[name] == pytest.approx(norm, rel=1e-5, abs=1e-6 * largest), name


def _renamed(name: str, names: dict[str, str]) -> str:
    for own, published in names.items():
        if name.startswith(own):
            return published + name[len(own) :]
    return name


def _set_weights(loss: nn.Module, rule: ModuleType, tag: str) -> None:
    state = loss.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            made = rule.layer_weight(_renamed(name, _FGD_NAMES), value.shape, tag)
            state[name] = torch.from_numpy(np.asarray(made))
    loss.load_state_dict(state)


def _step(rule: ModuleType) -> TrainingStep:
    """A frame of six cameras of 64 x 176 pixels with 2D boxes."""
    eye = torch.eye(4).expand(1, 6, 4, 4)
    empty = torch.zeros(0)
    cameras = tuple(CameraTargets(torch.from_numpy(b), empty, empty, empty) for b in rule.fgd_boxes())
    frame = FrameBatch(
        images=torch.zeros(1, 6, 3, 64, 176),
        image_from_lidar=eye,
        image_from_camera=eye,
        camera_from_lidar=eye,
        global_from_lidar=torch.eye(4)[None],
        timestamp_s=torch.zeros(1, dtype=torch.float64),
        continues_scene=torch.zeros(1, dtype=torch.bool),
        scene_tokens=("scene",),
        sample_tokens=("sample",),
        targets=(FrameTargets(torch.zeros(0, 9), empty, cameras),),
    )
    return TrainingStep(0.0, frame)
