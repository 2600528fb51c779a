"""Many small objects in one piece of memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np
import torch

_Item = TypeVar("_Item")


class PackedList(Generic[_Item]):
    """A list that keeps its items pickled, end to end in one tensor.

    torch hands a tensor to the workers of a data loader as shared memory, however they are started. With plain lists
    every worker has a copy of the whole info file: it is sent one, or makes one by counting references.
    """

    def __init__(self, items: Iterable[_Item]) -> None:
        pickled = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = np.fromiter(accumulate(map(len, pickled)), dtype=np.int64, count=len(pickled))
        self._content = torch.frombuffer(bytearray().join(pickled) or bytearray(1), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> _Item:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        start = 0 if index == 0 else int(self._ends[index - 1])
        item: _Item = pickle.loads(self._content.numpy()[start : int(self._ends[index])].data)
        return item
