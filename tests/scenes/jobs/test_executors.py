"""Executors: every job has an outcome, and what happens to one concerns no other."""

import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scenes import InputError
from scenes.jobs.executors import RETRIES, Executor, InProcess, LocalProcesses, SetupError, run_jobs
from scenes.jobs.processes import worker_pool


def _squared(number: int) -> int:
    return number * number


def _refuse_odd(number: int) -> int:
    if number % 2:
        raise InputError(f"{number} is odd")
    return number


def _killed_once(folder: Path, number: int) -> int:
    mark = folder / str(number)
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _killed_if_odd(folder: Path, number: int) -> int:
    if number % 2:
        with (folder / str(number)).open("a") as tries:
            tries.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _process(_: int) -> int:
    return os.getpid()


def _begin_counting() -> Iterator[int]:
    return itertools.count()


def _counted(counter: Iterator[int], number: int) -> tuple[int, int]:
    return number, next(counter)


def _refuse_to_begin() -> None:
    raise InputError("no such checkpoint")


@pytest.fixture(params=["in process", "local"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return InProcess() if request.param == "in process" else LocalProcesses(2)


def test_every_job_has_an_outcome(executor: Executor) -> None:
    found = {outcome.number: outcome.result for outcome in executor.outcomes(_squared, [(n,) for n in range(7)])}
    assert found == {number: number * number for number in range(7)}


def test_a_job_that_fails_concerns_no_other(executor: Executor) -> None:
    outcomes = sorted(executor.outcomes(_refuse_odd, [(n,) for n in range(5)]), key=lambda outcome: outcome.number)
    assert [outcome.result for outcome in outcomes] == [0, None, 2, None, 4]
    assert [str(outcome.error) for outcome in outcomes if outcome.error] == ["1 is odd", "3 is odd"]
    with pytest.raises(InputError, match="1 is odd"):
        outcomes[1].value()


def test_jobs_are_taken_as_they_are_needed(executor: Executor) -> None:
    with closing(executor.outcomes(_squared, ((n,) for n in itertools.count()))) as outcomes:  # type: ignore[type-var]
        assert len(list(itertools.islice(outcomes, 5))) == 5


def test_what_is_set_up_serves_all_jobs_of_a_worker(executor: Executor) -> None:
    counted = [outcome.value() for outcome in executor.outcomes(_counted, [(n,) for n in range(6)], _begin_counting)]
    assert sorted(number for number, _ in counted) == list(range(6))
    # At most two workers: the second to sixth job of one of them find what it has counted.
    assert max(count for _, count in counted) >= 2


def test_a_worker_that_cannot_begin_ends_the_work(executor: Executor) -> None:
    with pytest.raises(SetupError, match="no such checkpoint"):
        list(executor.outcomes(_counted, [(n,) for n in range(3)], _refuse_to_begin))


def test_a_killed_worker_loses_its_own_job_alone(tmp_path: Path) -> None:
    jobs = [(number,) for number in range(5)]
    assert list(run_jobs(partial(_killed_once, tmp_path), jobs, LocalProcesses(2))) == list(range(5))


def test_a_job_that_kills_its_workers_fails_and_the_others_do_not(tmp_path: Path) -> None:
    function = partial(_killed_if_odd, tmp_path)
    outcomes = {outcome.number: outcome for outcome in LocalProcesses(2).outcomes(function, [(n,) for n in range(4)])}
    assert [outcomes[number].result for number in range(4)] == [0, None, 2, None]
    assert isinstance(outcomes[1].error, ChildProcessError)
    assert len((tmp_path / "1").read_text()) == RETRIES + 1


def test_a_worker_that_is_killed_while_it_is_idle_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[ProcessPoolExecutor] = []

    @contextmanager
    def kept_pool(*arguments: Any, **how: Any) -> Iterator[ProcessPoolExecutor]:
        with worker_pool(*arguments, **how) as pool:
            pools.append(pool)
            yield pool

    monkeypatch.setattr("scenes.jobs.executors.worker_pool", kept_pool)
    outcomes = LocalProcesses(1).outcomes(_process, [(n,) for n in range(3)])
    first = next(outcomes)
    os.kill(first.value(), signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):  # the pool has noticed
        pools[0].submit(os.getpid).result()
    second, third = outcomes
    assert [second.number, third.number] == [1, 2]
    assert second.value() == third.value() != first.value() and len(pools) == 2
