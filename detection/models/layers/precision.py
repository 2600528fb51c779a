"""Half precision by autocast: float32 islands for arithmetic that it would spoil, and weights that are rounded once."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from detection.models.layers.attention import MultiheadAttention

_ROUNDED: Final = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, MultiheadAttention)


def full_precision(like: Tensor) -> torch.autocast:
    """A context without autocast on the device of `like`: pose arithmetic, frustum geometry, predictions, losses."""
    device = "cpu" if like.is_meta else like.device.type  # there is no autocast of shapes alone
    return torch.autocast(device, enabled=False)


def round_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights that autocast would round to a precision in every frame in that precision: the same numbers.

    Weights of norms, embeddings and whatever else autocast leaves alone stay as they are, and so do those of the parts
    that compute in `full_precision`: a module names them in its `full_precision_parts`.

    Args:
        model: is changed in place; it has to run under autocast with this precision from now on.
        dtype: bfloat16 or float16.
    """
    named = [part.get_submodule(name) for part in model.modules() for name in getattr(part, "full_precision_parts", ())]
    whole = {id(module) for part in named for module in part.modules()}
    for module in model.modules():
        if isinstance(module, _ROUNDED) and id(module) not in whole:
            for name, parameter in list(module.named_parameters(recurse=False)):
                rounded = nn.Parameter(parameter.detach().to(dtype), parameter.requires_grad)
                module.register_parameter(name, rounded)
