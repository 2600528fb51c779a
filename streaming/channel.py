"""`Channel`: a bounded queue between two stages, which lets go of the oldest or makes the sender wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class Channel(Generic[ItemT]):
    """A queue of one reader.

    Args:
        size: items that wait in it at most.
        waits: whether `put` waits for a place; otherwise the oldest item makes one.
    """

    def __init__(self, size: int, waits: bool) -> None:
        self._items: deque[ItemT] = deque()
        self._size = size
        self._waits = waits
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, item: ItemT) -> ItemT | None:
        """Add an item; returns the one that had to go for it. Nothing is added to a channel that is closed."""
        with self._changed:
            while self._waits and len(self._items) >= self._size and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return None
            oldest = self._items.popleft() if len(self._items) >= self._size else None
            self._items.append(item)
            self._changed.notify_all()
            return oldest

    def take(self, timeout_s: float) -> ItemT | None:
        """The oldest item; None where none comes within a time, or any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout_s)
            return self._next()

    def close(self) -> None:
        """Nothing more comes; what waits is still read."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Close, and forget what waits."""
        with self._changed:
            self._items.clear()
        self.close()

    def __iter__(self) -> Iterator[ItemT]:
        """The items, until the channel is closed and empty."""
        while True:
            with self._changed:
                while not self._items and not self._is_closed:
                    self._changed.wait()
                item = self._next()
            if item is None:
                return
            yield item

    def _next(self) -> ItemT | None:
        if not self._items:
            return None
        self._changed.notify_all()
        return self._items.popleft()
