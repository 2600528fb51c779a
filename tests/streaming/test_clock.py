"""Times go on steadily whatever a camera's clock does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.clock import JUMP_US, StreamClock
from streaming.journal import Journal

STEP_US = 100_000


def steady(stamps_us: list[int], arrivals_us: list[int]) -> tuple[list[int | None], Journal]:
    journal = Journal()
    clock = StreamClock("CAM", journal)
    return [clock.at(stamp, arrival) for stamp, arrival in zip(stamps_us, arrivals_us, strict=True)], journal


def test_a_clock_that_is_right_is_left_alone() -> None:
    stamps = [STEP_US * index for index in range(20)]
    times, journal = steady(stamps, [stamp + 20_000 + 7_000 * (index % 3) for index, stamp in enumerate(stamps)])
    assert times == stamps
    assert not journal.counts


@pytest.mark.parametrize("jump_us", [3_600_000_000, 1_500_000])
def test_forward_and_back_again(jump_us: int) -> None:
    true = [STEP_US * index for index in range(30)]
    stamps = [time + (jump_us if 10 <= index < 20 else 0) for index, time in enumerate(true)]
    times, journal = steady(stamps, [time + 20_000 for time in true])
    assert times == [*true[:20], None, *true[21:]]  # the first after a step back might have been late
    assert journal.counts == {"clock jump": 2}
    assert "CAM: the clock jumps by +" in journal.lines[0]


def test_back_for_good() -> None:
    true = [STEP_US * index for index in range(30)]
    stamps = [time - (60_000_000 if index >= 10 else 0) for index, time in enumerate(true)]
    times, journal = steady(stamps, [time + 20_000 for time in true])
    assert times == [*true[:10], None, *true[11:]]
    assert journal.counts == {"clock jump": 1}


def test_an_image_that_is_very_late_is_no_jump() -> None:
    times, journal = steady(
        [0, 100_000, 200_000, 5_000_000, 300_000, 5_100_000],
        [20_000, 120_000, 220_000, 5_020_000, 5_050_000, 5_120_000],
    )
    assert times == [0, 100_000, 200_000, 5_000_000, None, 5_100_000]
    assert not journal.counts


@given(
    jumps=st.lists(st.integers(-5_000_000_000, 5_000_000_000).filter(lambda us: abs(us) > 2 * JUMP_US), max_size=5),
    delays=st.lists(st.integers(0, 80_000), min_size=12, max_size=12),
)
def test_times_never_go_back_and_keep_pace(jumps: list[int], delays: list[int]) -> None:
    offset, stamps, arrivals = 0, [], []
    for number in range(12 * (len(jumps) + 1)):
        if number and number % 12 == 0:
            offset += jumps[number // 12 - 1]
        true = 10**15 + STEP_US * number
        stamps.append(true + offset)
        arrivals.append(true + delays[number % 12])
    times, _ = steady(stamps, arrivals)
    used = [(time, number) for number, time in enumerate(times) if time is not None]
    assert len(used) >= len(times) - len(jumps)
    assert all(before[0] < after[0] for before, after in pairwise(used))
    # What is wrong is no more than what delays vary by, for each jump.
    spread = (max(delays) - min(delays)) * len(jumps)
    assert all(abs(time - (10**15 + STEP_US * number)) <= spread for time, number in used)
