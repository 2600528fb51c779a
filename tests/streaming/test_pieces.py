"""Queues, histograms, states and the journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import InputError
from streaming.channel import Channel
from streaming.journal import Journal
from streaming.latency import Durations
from streaming.state import LiveState, read_state, write_state


def test_a_full_queue_lets_go_of_the_oldest() -> None:
    channel: Channel[int] = Channel(2, waits=False)
    assert [channel.put(item) for item in range(4)] == [None, None, 0, 1]
    channel.close()
    assert list(channel) == [2, 3]
    assert channel.put(9) is None and list(channel) == []


def test_or_makes_the_sender_wait() -> None:
    channel: Channel[int] = Channel(2, waits=True)
    sender = threading.Thread(target=lambda: [channel.put(item) for item in range(50)] and channel.close())
    sender.start()
    assert list(channel) == list(range(50))
    sender.join()


def test_a_sender_that_waits_is_freed() -> None:
    channel: Channel[int] = Channel(1, waits=True)
    channel.put(1)
    sender = threading.Thread(target=channel.put, args=(2,))
    sender.start()
    channel.abort()
    sender.join(5)
    assert not sender.is_alive() and list(channel) == []


def test_nothing_comes_in_time() -> None:
    channel: Channel[str] = Channel(1, waits=False)
    assert channel.take(0.01) is None
    channel.put("a")
    assert channel.take(0.01) == "a"


@given(st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=300), st.sampled_from([50, 95, 99]))
def test_percentiles_are_right_to_two_percent(seconds: list[float], percent: int) -> None:
    durations = Durations()
    for duration in seconds:
        durations.add(duration)
    exact = float(np.percentile(seconds, percent, method="inverted_cdf"))
    assert durations.percentile(percent) == pytest.approx(exact, rel=0.02)
    assert len(durations) == len(seconds)


def test_durations_of_nothing() -> None:
    assert np.isnan(Durations().percentile(50))


def test_the_journal_counts_all_and_says_what_is_new(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    journal = Journal()
    with caplog.at_level(logging.WARNING, "streaming"):
        for _ in range(5):
            journal.fault("late image", "CAM", "is late")
        now[0] += 2.0
        journal.fault("late image", "CAM", "is late")
        journal.fault("late image", "OTHER", "is late")
    assert journal.counts == {"late image": 7}
    said = [record.getMessage() for record in caplog.records]
    assert said == ["CAM: is late", "CAM: is late (and 4 more before)", "OTHER: is late"] == list(journal.lines)


STATE = LiveState("scene", "token", 3, 9, {"now_us": np.array(5)}, {"embeddings": np.ones((1, 2, 3), np.float32)})


def test_states_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    write_state(path, STATE)
    again = read_state(path)
    assert (again.scene, again.token, again.numbered, again.highest) == ("scene", "token", 3, 9)
    assert again.tracker["now_us"] == 5
    assert again.memory["embeddings"].dtype == np.float32 and again.memory["embeddings"].shape == (1, 2, 3)


def _pickled(path: Path) -> None:
    np.savez(path, version=np.array(1), scene=np.array({"a": 1}, dtype=object))


def _cut(path: Path) -> None:
    write_state(path, STATE)
    path.write_bytes(path.read_bytes()[:-100])


def _older(path: Path) -> None:
    np.savez(path, version=np.array(0), scene="", token="", numbered=0, highest=0)


@pytest.mark.parametrize(
    "spoil", [_pickled, _cut, _older, lambda path: path.write_bytes(b"text"), lambda path: np.savez(path, a=1)]
)
def test_what_is_no_state_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "state.npz"
    spoil(path)
    with pytest.raises(InputError, match=r"state.npz: no state of a live run"):
        read_state(path)
