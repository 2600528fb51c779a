"""Reading, the network and what is made of its findings go on side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from detection.data.loading import batches
from detection.running.trained import TrainedDetector, found_by_all
from scenes import InputError


class _Detector(TrainedDetector):
    """Finds a batch's name; naming it waits until the network is at work on the next one."""

    def __init__(self, last: str) -> None:
        self._began = {name: threading.Event() for name in "abcd"}
        self._last = last

    @classmethod
    def _of(cls, config: Any, checkpoint: Any, **how: Any) -> _Detector:
        raise NotImplementedError

    def predicted(self, batch: Mapping[str, Any]) -> Sequence[Any]:
        self._began[batch["name"]].set()
        return [batch["name"]]

    def named(self, predictions: Sequence[Any], batch: Mapping[str, Any]) -> Mapping[Any, Any]:
        (name,) = predictions
        if name != self._last:
            assert self._began[chr(ord(name) + 1)].wait(10)
        return {name: name.upper()}


def test_the_network_does_not_wait_for_results(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[int, int]] = []
    with caplog.at_level(logging.INFO, "detection.running.trained"):
        data = ({"name": name} for name in "abcd")
        found = found_by_all(_Detector("d"), data, 4, "dcba", lambda done, total: seen.append((done, total)))
    assert list((found or {}).items()) == [("d", "D"), ("c", "C"), ("b", "B"), ("a", "A")]
    assert seen == [(done, 4) for done in range(5)]
    (line,) = caplog.messages
    assert line.startswith("4 in ") and ", of which the network took " in line


def test_an_error_in_the_results_is_not_lost() -> None:
    class Broken(_Detector):
        def named(self, predictions: Sequence[Any], batch: Mapping[str, Any]) -> Mapping[Any, Any]:
            raise InputError("no such class")

    with pytest.raises(InputError, match="no such class"):
        found_by_all(Broken("b"), ({"name": name} for name in "ab"), 2, "ab")


def test_nothing_to_do_is_nothing_found() -> None:
    assert found_by_all(_Detector("a"), iter(()), 0, ()) == {}


def test_reading_begins_before_the_first_batch_is_asked_for() -> None:
    class Loader:
        began = False

        def __iter__(self) -> Iterator[Any]:
            self.began = True
            return iter("ab")

    loader: Any = Loader()
    data = batches(loader)
    assert loader.began and list(data) == ["a", "b"]
