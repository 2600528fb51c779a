"""How a network runs in inference: its form, in which precision, and whether compiled. Nothing else fuses, autocasts,
compiles, or says how a GPU computes.

`for_inference` makes a copy of another form that finds the same up to rounding: batch norms are parts of their
convolutions, channels lie innermost where that is faster, and in half precision the weights are rounded once.

What is compiled are the network's functions of tensors, see `tensor_functions` of each detector: most have one for the
whole of a frame. What is remembered between frames is copied, so that a CUDA graph, which writes its results to the
same place again and again, never overwrites what a later frame still reads.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from detection.models.fusing import fused
from detection.models.layers.precision import round_weights
from detection.running.speed_options import DTYPE_NAMES
from scenes import InputError

_ModelT = TypeVar("_ModelT", bound=nn.Module)

DTYPES: Final = {name: getattr(torch, name) for name in DTYPE_NAMES}
"""Precisions of a network by name; the lower ones where they keep the results, by autocast."""

_logger = logging.getLogger(__name__)


def speed_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options of `detection.running.speed_options` say, as a `TrainedDetector` takes it."""
    return dict(
        dtype=DTYPES[arguments.dtype],
        compile=arguments.compile,
        tf32=arguments.tf32,
        cudnn_benchmark=arguments.cudnn_benchmark,
    )


def set_gpu_arithmetic(tf32: bool, cudnn_benchmark: bool) -> None:
    """How GPUs compute in this process, which torch keeps for all networks alike; nothing on a CPU.

    Args:
        tf32: whether products and convolutions of float32 round their factors to TF32. By itself torch does so in
            convolutions alone.
        cudnn_benchmark: whether cuDNN tries algorithms for each convolution of a new size.
    """
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = cudnn_benchmark


def for_inference(model: _ModelT, device: torch.device, dtype: torch.dtype, compiled: bool = False) -> _ModelT:
    """A copy on a device in evaluation mode that finds the same up to rounding, sooner, with other weights by name.

    Args:
        model: is not changed.
        device: where it will run.
        dtype: in which it will run, under `inference_precision`.
        compiled: whether it will be compiled: what a compiler makes of float32 is faster where it lays out the maps.
    """
    copy = fused(model).to(device)
    if dtype is not torch.float32 or (device.type == "cpu" and not compiled):
        copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts: Iterable[Any] = copy.modules()
        for part in parts:
            if hasattr(part, "image_format"):
                part.image_format = torch.channels_last
    if dtype is not torch.float32:
        round_weights(copy, dtype)
    return copy


def inference_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which a network computes in a precision.

    Raises:
        InputError: the precision is none of `DTYPES`.
    """
    if dtype not in DTYPES.values():
        raise InputError(f"dtype {dtype}: expected {', '.join(f'torch.{name}' for name in DTYPES)}")
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def compile_for_inference(model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile a detector in place; its weights and their names stay as they are.

    The first frames are slow, since each part is compiled when it is first called, and again for a new size of input.
    Where that fails the detector stays as it was, with a warning that says why. On a GPU the parts run as CUDA graphs.
    Call it after the model is on its device and holds its weights, and call the model under `torch.no_grad()`: the
    weights become constants of the compiled code.

    Args:
        model: in evaluation mode.
        backend: of `torch.compile`.

    Raises:
        InputError: a network that names no functions of tensors.
    """
    if not hasattr(model, "tensor_functions"):
        raise InputError(f"a {type(model).__name__} cannot be compiled, only a detector")
    on_gpu = next(model.parameters()).is_cuda
    options = {"freezing": True, "triton.cudagraphs": on_gpu} if backend == "inductor" else None
    compiled = partial(torch.compile, dynamic=False, backend=backend, options=options)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch._inductor")  # of torch's own use of torch
    _logger.info("compiling: the first frames of each size are slow")
    compilation = _Compilation()
    functions: list[tuple[nn.Module, str]] = model.tensor_functions()  # type: ignore[operator]
    for owner, name in functions:
        eager = getattr(owner, name)
        setattr(owner, name, compilation.of(eager, compiled(eager)))
    # Results of the last frame's graphs have been copied by now: this frame's may take their place.
    model.register_forward_pre_hook(lambda *_: torch.compiler.cudagraph_mark_step_begin())  # type: ignore[no-untyped-call]


class _Compilation:
    """The compiled functions of a network, or the functions themselves once compiling one of them has failed."""

    def __init__(self) -> None:
        self._failed = False

    def of(self, eager: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is the compiled one as long as there is one."""

        def run(*args: Any, **kwargs: Any) -> Any:
            if not self._failed:
                try:
                    return compiled(*args, **kwargs)
                except TorchDynamoException as error:
                    self._failed = True
                    _logger.warning("goes on without compilation: %s", _reason(error))
            return eager(*args, **kwargs)

        return run


def _reason(error: BaseException) -> str:
    """The first line of the error at the bottom of a failure."""
    inner = getattr(error, "inner_exception", None) or error.__cause__
    if inner is not None:
        return _reason(inner)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
