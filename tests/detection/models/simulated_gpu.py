"""A GPU for machines without one: tensors that say they lie on `cuda:0` and compute on the CPU.

Whatever a GPU refuses is refused: operations of tensors on both devices, and what autocast forbids on it. Whatever
makes the CPU wait for it is written down with its place in the code: results that the CPU reads (`Log.waits`), and
copies to the device that block (`Log.copies`). Kernels, their speed and their precision are those of the CPU, and
nothing is known of the backward pass. The device has to be called `cuda:0`.

    with simulated_gpu() as log:
        model.to("cuda:0")
        log.clear()
        model(frames)
    assert not log.waits
"""

from __future__ import annotations

import ctypes
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

_CUDA_NUMBER, _META_NUMBER = 1, 14  # of c10::DeviceType
_GPU = torch.device("cuda:0")
_ROOT = str(Path(__file__).resolve().parents[3])
_READS_RESULTS = frozenset(
    {
        "_linalg_check_errors",
        "_local_scalar_dense",
        "_unique2",
        "bincount",
        "equal",
        "is_nonzero",
        "masked_select",
        "nonzero",
        "repeat_interleave",
        "unique_consecutive",
        "unique_dim",
    }
)
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})


_present: list[_Device] = []


class Log:
    """What made the CPU and the device wait for each other, by operation and place.

    Attributes:
        waits: reads of results on the CPU, for which the device has to finish.
        copies: copies to the device that block, since their memory is pageable.
    """

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()

    def clear(self) -> None:
        """Forgets everything."""
        self.waits.clear()
        self.copies.clear()


class GpuTensor(Tensor):
    """A tensor that says it lies on the GPU; `on_cpu` holds its numbers."""

    on_cpu: Tensor

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> GpuTensor:
        made: GpuTensor = Tensor._make_wrapper_subclass(
            cls,
            on_cpu.size(),
            strides=on_cpu.stride(),
            storage_offset=on_cpu.storage_offset(),
            dtype=on_cpu.dtype,
            layout=on_cpu.layout,
            device=_GPU,
            requires_grad=False,
        )
        made.on_cpu = on_cpu.detach()
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"GpuTensor({self.on_cpu})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert _present, "a tensor of the simulated GPU is used outside of it"
        return _present[-1].run(func, args, kwargs or {})


class _Device(TorchDispatchMode):
    """Runs every operation on the CPU, as the device would."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # in such a mode torch does not look for a driver
    # What others ask of such a mode.
    static_shapes, shape_env, allow_non_fake_inputs, in_kernel_invocation, epoch = True, None, True, False, 0

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An operation of tensors on any of the two devices."""
        name = func._schema.name.split("::")[1]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_gpu = any(isinstance(tensor, GpuTensor) for tensor in tensors)
        asked = kwargs.get("device")
        target = None if asked is None else torch.device(asked).type
        if not on_gpu and target != "cuda":
            return func(*args, **kwargs)
        self._note(name, args, kwargs, target)
        if name not in ("_to_copy", "copy_"):
            _refuse_mix(name, args, tensors)
        cpu_args, cpu_kwargs = tree_map_only(GpuTensor, lambda tensor: tensor.on_cpu, (args, kwargs))
        if target is not None:
            cpu_kwargs = {**cpu_kwargs, "device": "cpu", **({"pin_memory": False} if "pin_memory" in kwargs else {})}
        if name in ("_softmax", "_log_softmax") and cpu_args[2]:  # from half precision to float32, which CPUs lack
            cpu_args = (cpu_args[0].float(), cpu_args[1], False)
        found = func(*cpu_args, **cpu_kwargs)
        if target == "cpu" or (name == "copy_" and not isinstance(args[0], GpuTensor)):
            return found
        same = {id(tensor.on_cpu): tensor for tensor in tensors if isinstance(tensor, GpuTensor)}
        return tree_map_only(
            Tensor, lambda tensor: same[id(tensor)] if id(tensor) in same else GpuTensor(tensor), found
        )

    def _note(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], target: str | None) -> None:
        """Write down what makes the two wait for each other."""
        if name == "_to_copy" and target is not None:
            if target == "cpu":
                self._log.waits[f"copy to the CPU, {_place()}"] += 1
            elif not isinstance(args[0], GpuTensor) and not (kwargs.get("non_blocking") and _is_pinned(args[0])):
                self._log.copies[f"copy to the GPU, {_place()}"] += 1
        elif name == "copy_" and isinstance(args[0], GpuTensor) != isinstance(args[1], GpuTensor):
            noted = self._log.copies if isinstance(args[0], GpuTensor) else self._log.waits
            noted[f"copy_, {_place()}"] += 1
        elif name == "repeat_interleave" and kwargs.get("output_size") is not None:
            return
        elif name in _READS_RESULTS:
            self._log.waits[f"{name}, {_place()}"] += 1
        elif name in _INDEXING:
            indices = [index for index in args[1] if isinstance(index, Tensor)]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self._log.waits[f"boolean index, {_place()}"] += 1
            if not all(isinstance(index, GpuTensor) for index in indices):
                self._log.copies[f"index from the CPU, {_place()}"] += 1


def _refuse_mix(name: str, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raises what torch raises for tensors on both devices; numbers without dimensions and indices may come along."""
    if name in _INDEXING:
        tensors = [args[0], *(() if len(args) < 3 else args[2:3])]
        tensors = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
        if not isinstance(args[0], GpuTensor):
            raise RuntimeError(f"{name}: indices on cuda:0 for a tensor on the CPU, {_place()}")
    if any(isinstance(tensor, GpuTensor) for tensor in tensors):
        strangers = [tensor for tensor in tensors if not isinstance(tensor, GpuTensor) and tensor.dim()]
        if strangers:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, {_place()}")


def _place() -> str:
    """The innermost line of the project that is being run."""
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_ROOT) and path != __file__ and "site-packages" not in path:
            return f"{path.removeprefix(_ROOT + '/')}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back  # type: ignore[assignment]
    return "?"


@contextmanager
def simulated_gpu() -> Iterator[Log]:
    """A machine with one GPU, and what it has logged."""
    log = Log()
    device = _Device(log)
    only_lift_cpu = torch._C._only_lift_cpu_tensors()  # type: ignore[attr-defined]
    replaced = torch.__future__.get_overwrite_module_params_on_conversion()
    _present.append(device)
    torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    tolist = Tensor.tolist

    def logged_tolist(tensor: Tensor) -> Any:
        if not isinstance(tensor, GpuTensor):
            return tolist(tensor)
        log.waits[f"tolist, {_place()}"] += 1
        return tolist(tensor.on_cpu)

    try:
        with (
            _idle_guard(),
            torch.backends.cudnn.flags(enabled=False),  # whose kernels the CPU does not have
            mock.patch.object(Tensor, "tolist", logged_tolist),
            mock.patch.object(Tensor, "pin_memory", _pinned),
            mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            mock.patch.object(torch.cuda, "is_bf16_supported", lambda *_, **__: True),
            device,
        ):
            yield log
    finally:
        _present.pop()
        torch._C._set_only_lift_cpu_tensors(only_lift_cpu)  # type: ignore[attr-defined]
        torch.__future__.set_overwrite_module_params_on_conversion(replaced)


def _pinned(tensor: Tensor) -> Tensor:
    """A copy from which the device reads by itself."""
    copy: Any = tensor.clone()
    copy.is_simulated_pinned = True
    return copy  # type: ignore[no-any-return]


def _is_pinned(tensor: Tensor) -> bool:
    return getattr(tensor, "is_simulated_pinned", False)


@contextmanager
def _idle_guard() -> Iterator[None]:
    """Inside the block torch switches to the device by the guard of `meta`, which is idle: one that was built without
    CUDA has none, and that of CUDA asks for a driver."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 22).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    replaced, guards[_CUDA_NUMBER] = guards[_CUDA_NUMBER], guards[_META_NUMBER]
    try:
        yield
    finally:
        guards[_CUDA_NUMBER] = replaced
