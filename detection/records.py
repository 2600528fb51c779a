"""Dataclasses of tensors: on their way to a device, and several of them as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

_Record = TypeVar("_Record", bound=Any)


def moved(record: _Record, device: torch.device | str) -> _Record:
    """A copy of a record whose tensor fields lie on a device. The CPU does not wait for a GPU that takes them from
    pinned memory."""
    on_gpu = torch.device(device).type == "cuda"  # the way back has to be waited for
    return _of_each_tensor(record, lambda tensor: tensor.to(device, non_blocking=on_gpu))


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, which the CPU does not wait for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def pinned(record: _Record) -> _Record:
    """A copy of a record whose tensor fields lie in pinned memory."""
    return _of_each_tensor(record, Tensor.pin_memory)


def joined(records: Sequence[_Record]) -> _Record:
    """One record with the rows of several, at least one, whose fields are all tensors."""
    columns = (torch.cat([getattr(record, field.name) for record in records]) for field in fields(records[0]))
    whole: _Record = type(records[0])(*columns)
    return whole


def _of_each_tensor(record: _Record, changed: Callable[[Tensor], Tensor]) -> _Record:
    tensors = {field.name: getattr(record, field.name) for field in fields(record)}
    copy: _Record = replace(
        record, **{name: changed(value) for name, value in tensors.items() if isinstance(value, Tensor)}
    )
    return copy
