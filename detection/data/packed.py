"""Many small objects in one array."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np

_Item = TypeVar("_Item")


class PackedList(Generic[_Item]):
    """A list that keeps its items pickled, end to end in one array.

    The workers of a data loader share the memory of their parent until they touch it, and reading a Python object
    writes its reference count. With plain lists every worker ends up with a copy of the whole info file.
    """

    def __init__(self, items: Iterable[_Item]) -> None:
        pickled = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = np.fromiter(accumulate(map(len, pickled)), dtype=np.int64, count=len(pickled))
        self._content = np.frombuffer(b"".join(pickled), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> _Item:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        start = 0 if index == 0 else int(self._ends[index - 1])
        item: _Item = pickle.loads(self._content[start : int(self._ends[index])].data)
        return item
