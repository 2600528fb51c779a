"""Parameter groups, mixed precision and clipping."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from detection.training.optimizer import NonFiniteGradientError, amp_of_this_machine, build_optim_wrapper
from scenes import InputError

ADAMW = dict(type="AdamW", weight_decay=0.01)


@pytest.fixture
def model() -> nn.Module:
    parts = nn.ModuleDict({"img_backbone": nn.Linear(2, 3), "head": nn.Linear(3, 1), "frozen": nn.Linear(1, 1)})
    parts["frozen"].requires_grad_(False)
    return parts


def test_groups_by_name(model: nn.Module) -> None:
    keys = {"img_backbone": dict(lr_mult=0.25), "img_backbone.bias": dict(lr_mult=0.5, decay_mult=0.0)}
    wrapper = build_optim_wrapper(model, dict(optimizer=ADAMW, paramwise_cfg=dict(custom_keys=keys)), 1e-3, None)
    groups = wrapper.optimizer.param_groups
    found = [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups]
    assert found == [(1e-3, 0.01, 2), (0.25e-3, 0.01, 1), (0.5e-3, 0.0, 1)]
    assert wrapper.get_lr()["lr"][0] == 1e-3


def test_biases_and_normalizations_without_decay(model: nn.Module) -> None:
    config = dict(optimizer=ADAMW, paramwise_cfg=dict(flat_decay_mult=0.0))
    groups = build_optim_wrapper(model, config, 1e-3, None).optimizer.param_groups
    found = {group["weight_decay"]: [parameter.dim() for parameter in group["params"]] for group in groups}
    assert found == {0.01: [2, 2], 0.0: [1, 1]}


@pytest.mark.parametrize(("amp", "dtype"), [(None, torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_of_the_forward_pass(model: nn.Module, amp: str | None, dtype: torch.dtype) -> None:
    wrapper = build_optim_wrapper(model, dict(optimizer=ADAMW), 1e-3, amp)
    with wrapper.optim_context(model):
        assert model["img_backbone"](torch.zeros(1, 2)).dtype == dtype


def test_gradient_is_clipped_and_logged(model: nn.Module) -> None:
    wrapper = build_optim_wrapper(model, dict(optimizer=ADAMW, clip_grad=dict(max_norm=1.0)), 1e-3, None)
    parameters = list(model["head"].parameters())
    (100 * sum(parameter.sum() for parameter in parameters)).backward()
    wrapper._clip_grad()
    norm = torch.stack([parameter.grad.norm() for parameter in parameters]).norm()
    assert norm == pytest.approx(1.0, rel=1e-4)
    logged = MessageHub.get_current_instance().get_scalar("train/grad_norm").current()
    assert logged == pytest.approx(200.0)


def test_gradient_is_left_as_it_is_without_clip_grad(model: nn.Module) -> None:
    wrapper = build_optim_wrapper(model, dict(optimizer=ADAMW), 1e-3, None)
    (1e6 * model["head"].weight.sum()).backward()
    wrapper._clip_grad()
    assert (model["head"].weight.grad == 1e6).all()


@pytest.mark.parametrize("clip_grad", [dict(max_norm=1.0), None], ids=["clipped", "not clipped"])
def test_gradient_that_is_no_number_changes_nothing(model: nn.Module, clip_grad: dict[str, float] | None) -> None:
    wrapper = build_optim_wrapper(model, dict(optimizer=ADAMW, clip_grad=clip_grad), 1e-3, None)
    before = model["head"].weight.detach().clone()
    with pytest.raises(NonFiniteGradientError, match="the norm of the gradient is nan"):
        wrapper.update_params((model["head"].weight * float("nan")).sum())
    assert torch.equal(model["head"].weight, before)


def float16_on_the_cpu(model: nn.Module, **settings: Any) -> OptimWrapper:
    """Built as on a GPU, which only building asks for; its scaler of losses is the real one."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)
        monkeypatch.setattr(amp_optimizer_wrapper, "GradScaler", partial(torch.amp.GradScaler, "cpu"))
        return build_optim_wrapper(model, dict(optimizer=ADAMW, **settings), 1e-3, "float16")


@pytest.mark.parametrize("clip_grad", [dict(max_norm=1.0), None], ids=["clipped", "not clipped"])
def test_float16_stops_when_no_scale_makes_the_gradient_finite(
    model: nn.Module, clip_grad: dict[str, float] | None
) -> None:
    wrapper = float16_on_the_cpu(model, clip_grad=clip_grad)
    before = model["head"].weight.detach().clone()
    with pytest.raises(NonFiniteGradientError, match="gradient is nan, with a loss that is scaled by 1"):
        for _ in range(30):
            wrapper.update_params((model["head"].weight * float("nan")).sum())
    assert torch.equal(model["head"].weight, before)


def test_float16_goes_on_at_a_lower_scale(model: nn.Module) -> None:
    wrapper = float16_on_the_cpu(model)
    before = model["head"].weight.detach().clone()
    for _ in range(20):
        wrapper.update_params(1e36 * model["head"].weight.sum())  # overflows at the scale of 65536 that it begins with
    assert not torch.equal(model["head"].weight, before)


@pytest.mark.parametrize(
    ("on_gpu", "native", "expected"),
    [(False, False, "bfloat16"), (True, True, "bfloat16"), (True, False, "float16")],
)
def test_mixed_precision_of_a_gpu_that_only_emulates_bfloat16(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool, native: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert amp_of_this_machine() == expected


@pytest.mark.parametrize(
    ("config", "amp", "message"),
    [
        (dict(optimizer=dict(type="AdamW", lr=1e-3)), None, r"optimizer\.lr: the learning rate follows from schedule"),
        (dict(optimizer=ADAMW), "float8", "amp is 'float8', expected bfloat16 or float16"),
        (
            dict(optimizer=ADAMW, paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr=1)))),
            None,
            r"custom_keys\.backbone has no 'lr'; there are lr_mult, decay_mult",
        ),
        (
            dict(optimizer=ADAMW, paramwise_cfg=dict(bias_decay_mult=0.0)),
            None,
            "paramwise_cfg has no 'bias_decay_mult'; there are custom_keys, flat_decay_mult",
        ),
        (
            dict(optimizer=ADAMW, paramwise_cfg=dict(custom_keys=dict(img_neck=dict(lr_mult=1)))),
            None,
            "no parameter has 'img_neck' in its name",
        ),
    ],
)
def test_wrong_settings_are_named(model: nn.Module, config: dict[str, object], amp: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_optim_wrapper(model, config, 1e-3, amp)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_float16_needs_a_gpu(model: nn.Module) -> None:
    with pytest.raises(InputError, match="needs a GPU; the CPU has 'bfloat16'"):
        build_optim_wrapper(model, dict(optimizer=ADAMW), 1e-3, "float16")
