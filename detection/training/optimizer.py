"""The optimizer of a training: parameter groups, mixed precision, and a stop at gradients that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from scenes import InputError

AMP_DTYPES: Final[Mapping[str, torch.dtype]] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_UNCLIPPED: Final[Mapping[str, Any]] = {"max_norm": math.inf}
_PARAMWISE: Final = frozenset({"custom_keys", "flat_decay_mult"})
_SETTINGS: Final = frozenset({"lr_mult", "decay_mult"})


class NonFiniteGradientError(ArithmeticError):
    """The gradient has become infinite or not a number; the parameters are still those before it."""


class GuardedOptimWrapper(OptimWrapper):  # type: ignore[misc]  # mmengine is untyped
    """Clips the gradient, refuses one that is not finite, and runs the forward pass in a lower precision if asked.

    Args:
        optimizer: over the parameter groups.
        autocast_dtype: precision of the forward pass, None for that of the parameters. bfloat16 needs no scaling of
            the loss; for float16 there is `ScalingOptimWrapper`.
        clip_grad: arguments of `torch.nn.utils.clip_grad_norm_`; None clips nothing.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        autocast_dtype: torch.dtype | None = None,
        clip_grad: Mapping[str, Any] | None = None,
    ) -> None:
        # The norm is needed in any case: it tells whether the gradient is finite.
        super().__init__(optimizer, clip_grad=dict(_UNCLIPPED if clip_grad is None else clip_grad))
        self._autocast_dtype = autocast_dtype

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of a forward pass in training."""
        device_type = next(model.parameters()).device.type
        autocast = torch.autocast(device_type, self._autocast_dtype, enabled=self._autocast_dtype is not None)
        with super().optim_context(model), autocast:
            yield

    def _clip_grad(self) -> None:
        super()._clip_grad()
        norm = self.message_hub.get_scalar("train/grad_norm").current()
        if not math.isfinite(norm):
            raise NonFiniteGradientError(f"the norm of the gradient is {norm}")


class ScalingOptimWrapper(AmpOptimWrapper):  # type: ignore[misc]
    """float16 on a GPU: steps whose scaled gradient overflows are left out, and the scale of the loss is halved.

    A gradient that is not finite even at a scale of 1 did not overflow by scaling, and is refused.

    Args:
        optimizer, clip_grad: see `GuardedOptimWrapper`.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, clip_grad: Mapping[str, Any] | None = None) -> None:
        # The norm is needed in any case, see above.
        clip_grad = dict(_UNCLIPPED if clip_grad is None else clip_grad)
        super().__init__(optimizer=optimizer, dtype="float16", clip_grad=clip_grad)

    def _clip_grad(self) -> None:
        super()._clip_grad()
        norm, scale = self.message_hub.get_scalar("train/grad_norm").current(), self.loss_scaler.get_scale()
        if not math.isfinite(norm) and scale <= 1:
            raise NonFiniteGradientError(f"the norm of the gradient is {norm}, with a loss that is scaled by {scale:g}")


def amp_of_this_machine() -> str:
    """The mixed precision that suits it: bfloat16, but float16 on a GPU that would only emulate it."""
    emulated = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
    return "float16" if emulated else "bfloat16"


def build_optim_wrapper(model: nn.Module, config: Mapping[str, Any], peak_lr: float, amp: str | None) -> OptimWrapper:
    """The optimizer of a model and what surrounds it.

    Args:
        model: the detector, not yet distributed.
        config: `optimizer`, such as `dict(type='AdamW', weight_decay=0.01)`; `paramwise_cfg` with `custom_keys`, which
            multiply learning rate (`lr_mult`) and weight decay (`decay_mult`) of the parameters whose name contains a
            key, the longest key first; `clip_grad`. The learning rate follows from the schedule.
        peak_lr: of the parameters that no key names.
        amp: `bfloat16`, `float16` or None.

    Raises:
        InputError: a setting that does not exist, or that the schedule makes.
    """
    if "lr" in config["optimizer"]:
        raise InputError("optim_wrapper.optimizer.lr: the learning rate follows from schedule.reference_lr")
    if amp is not None and amp not in AMP_DTYPES:
        raise InputError(f"amp is {amp!r}, expected {' or '.join(AMP_DTYPES)}")
    optimizer_config = {**config["optimizer"], "lr": peak_lr}
    groups = _parameter_groups(model, config.get("paramwise_cfg") or {}, optimizer_config)
    optimizer = OPTIMIZERS.build({**optimizer_config, "params": groups})
    clip_grad = config.get("clip_grad")
    if amp == "float16":
        if not torch.cuda.is_available():
            raise InputError("amp is 'float16', which needs a GPU; the CPU has 'bfloat16'")
        return ScalingOptimWrapper(optimizer, clip_grad)
    return GuardedOptimWrapper(optimizer, AMP_DTYPES[amp] if amp else None, clip_grad)


def _parameter_groups(
    model: nn.Module, paramwise: Mapping[str, Any], optimizer: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One group for each pair of multipliers, those of the plain parameters first, so that logs show their rate."""
    if unknown := set(paramwise) - _PARAMWISE:
        raise InputError(
            f"optim_wrapper.paramwise_cfg has no '{min(unknown)}'; there are {', '.join(sorted(_PARAMWISE))}"
        )
    custom_keys: Mapping[str, Mapping[str, float]] = paramwise.get("custom_keys", {})
    for key, settings in custom_keys.items():
        if unknown := set(settings) - _SETTINGS:
            raise InputError(
                f"optim_wrapper.paramwise_cfg.custom_keys.{key} has no '{min(unknown)}'; there are lr_mult, decay_mult"
            )
    longest_first = sorted(custom_keys, key=len, reverse=True)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, 1.0): []}
    used = set()
    for name, parameter in model.named_parameters():
        matching = [key for key in longest_first if key in name]
        settings = custom_keys[matching[0]] if matching else {}
        used.update(matching)
        if parameter.requires_grad:
            flat = paramwise.get("flat_decay_mult", 1.0) if parameter.dim() == 1 else 1.0
            multipliers = settings.get("lr_mult", 1.0), flat * settings.get("decay_mult", 1.0)
            groups.setdefault(multipliers, []).append(parameter)
    if unused := set(custom_keys) - used:
        raise InputError(f"optim_wrapper.paramwise_cfg.custom_keys: no parameter has '{min(unused)}' in its name")
    return [
        {"params": parameters, "lr": optimizer["lr"] * lr_mult, **_decay(optimizer, decay_mult)}
        for (lr_mult, decay_mult), parameters in groups.items()
        if parameters
    ]


def _decay(optimizer: Mapping[str, Any], multiplier: float) -> dict[str, float]:
    return {"weight_decay": optimizer["weight_decay"] * multiplier} if "weight_decay" in optimizer else {}
