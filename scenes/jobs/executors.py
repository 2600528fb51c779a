"""Where independent jobs run: in this process, in worker processes beside it, or on a Ray cluster.

The three give the same results. A job that fails, or whose worker is killed, concerns no other job.
"""

from __future__ import annotations

import socket
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from scenes.errors import InputError
from scenes.jobs.processes import worker_pool

Job = tuple[Any, ...]
"""The arguments of a call."""

Setup = Callable[[], Any]
"""Makes what a worker needs for all of its jobs, such as a loaded network."""

RETRIES: Final = 2
"""How often a job is tried again whose worker was killed."""

_Result = TypeVar("_Result")


class SetupError(InputError):
    """A worker cannot do any job at all: the next one would end likewise."""


@dataclass(frozen=True)
class Outcome(Generic[_Result]):
    """How a job ended.

    Attributes:
        number: of the job, from 0 on.
        result: what it gave; None if it failed.
        error: why it failed; None if it did not.
        node: the name of the machine that it ran on.
        trace: where in the worker the error came from.
    """

    number: int
    result: _Result | None = None
    error: Exception | None = None
    node: str = ""
    trace: str = ""

    def value(self) -> _Result:
        """The result.

        Raises:
            Exception: the job's own.
        """
        if self.error is not None:
            raise self.error from _WorkerError(self.trace)
        return self.result  # type: ignore[return-value]  # None only if the function gave it


class _WorkerError(Exception):
    """Shows, as the cause of an error, where in a worker it came from."""


class Executor(ABC):
    """Runs jobs, several at a time.

    Attributes:
        workers: the most jobs at a time; None for as many as there are processors.
    """

    workers: int | None

    @abstractmethod
    def outcomes(
        self, function: Callable[..., _Result], jobs: Iterable[Job], setup: Setup | None = None, gpus: float = 0.0
    ) -> Iterator[Outcome[_Result]]:
        """Run `function(*job)` for each job.

        Closing the iterator ends the work. A job may be run twice, if its worker is killed.

        Args:
            function: of a module, or a `partial` of one.
            jobs: taken as they are needed, so that there may be any number.
            setup: called once in each worker; the function then gets what it gave as its first argument.
            gpus: that a job needs; only a cluster counts them.

        Yields:
            how each job ended, in the order in which they do.

        Raises:
            SetupError: `setup` failed, or a worker cannot be used.
        """

    def described(self) -> str:
        """Where jobs run, in words."""
        return f"{self.workers} process{'es' if self.workers != 1 else ''}"

    def __enter__(self) -> Executor:
        """Get ready; the first jobs do it otherwise."""
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027  # only a cluster has something to let go of
        """Let go of what was started."""


class InProcess(Executor):
    """Jobs run one after the other in this process."""

    workers = 1

    def outcomes(
        self, function: Callable[..., _Result], jobs: Iterable[Job], setup: Setup | None = None, gpus: float = 0.0
    ) -> Iterator[Outcome[_Result]]:
        """See `Executor`."""
        worker = Worker(function, setup)
        for number, job in enumerate(jobs):
            yield unless_unusable(worker.answer(number, job))


class LocalProcesses(Executor):
    """Jobs run in processes of this machine, each of which is replaced when it is killed.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers: int = workers

    def outcomes(
        self, function: Callable[..., _Result], jobs: Iterable[Job], setup: Setup | None = None, gpus: float = 0.0
    ) -> Iterator[Outcome[_Result]]:
        """See `Executor`."""
        tickets = Tickets(jobs)
        idle: list[ProcessPoolExecutor] = []
        running: dict[Future[Outcome[_Result]], tuple[ProcessPoolExecutor, Ticket]] = {}
        with ExitStack() as stack:
            begin = partial(_begin_worker, function, setup)
            make_pool = partial(worker_pool, 1, begin, imports_script=_is_of_the_script(function))
            while True:
                while len(running) < self.workers and (ticket := tickets.take()) is not None:
                    # A pool for each process: with a killed one ends no more than what it was doing.
                    future, pool = _begun(ticket, idle, lambda: stack.enter_context(make_pool()))
                    running[future] = (pool, ticket)
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    pool, ticket = running.pop(future)
                    try:
                        outcome = future.result()
                        idle.append(pool)
                    except BrokenProcessPool:
                        lost = tickets.lost(ticket)
                        if lost is None:
                            continue
                        outcome = lost
                    except Exception as error:  # what cannot be pickled
                        idle.append(pool)
                        outcome = Outcome(ticket.number, error=error, node=socket.gethostname())
                    yield unless_unusable(outcome)


def _begun(
    ticket: Ticket, idle: list[ProcessPoolExecutor], make_pool: Callable[[], ProcessPoolExecutor]
) -> tuple[Future[Outcome[Any]], ProcessPoolExecutor]:
    """Begin a job in an idle pool, or a new one: its future, and that pool."""
    while idle:
        pool = idle.pop()
        # A worker can be killed while it has nothing to do, which costs no job a try.
        with suppress(BrokenProcessPool):
            return pool.submit(_answer_in_worker, ticket.number, ticket.job), pool
    pool = make_pool()
    return pool.submit(_answer_in_worker, ticket.number, ticket.job), pool


def _is_of_the_script(function: Callable[..., object]) -> bool:
    """Whether a function is defined in the script that runs, which workers then have to import."""
    while isinstance(function, partial):
        function = function.func
    return function.__module__ == "__main__"


Workers = int | Executor
"""An executor, or how many processes of this machine; 1 is this process."""


def run_jobs(
    function: Callable[..., _Result], jobs: Sequence[Job], workers: Workers, initializer: Setup | None = None
) -> Iterator[_Result]:
    """`function(*job)` for each job, several at a time.

    Args:
        function: of a module, or a `partial` of one.
        jobs: the arguments of each call.
        workers: where. initializer: called in each worker process first.

    Yields:
        the results in the order of the jobs, each as soon as it and those before it are there. The first error
        ends the work, and so does closing the iterator.

    Raises:
        ChildProcessError: the worker of a job was killed, again and again.
    """
    executor = executor_of(workers, len(jobs))
    if isinstance(executor, InProcess):
        yield from (function(*job) for job in jobs)
        return
    finished: dict[int, _Result] = {}
    expected = 0
    begun = function if initializer is None else partial(_without_state, function)
    with closing(executor.outcomes(begun, jobs, initializer)) as outcomes:  # type: ignore[type-var]  # a generator
        for outcome in outcomes:
            finished[outcome.number] = outcome.value()
            while expected in finished:
                yield finished.pop(expected)
                expected += 1


def executor_of(workers: Workers, jobs: int) -> Executor:
    """The executor that `workers` means for a number of jobs."""
    if isinstance(workers, Executor):
        return workers
    count = min(workers, jobs)
    return LocalProcesses(count) if count > 1 else InProcess()


@dataclass(frozen=True)
class Ticket:
    """A job on its way.

    Attributes:
        number: of the job. job: its arguments. tries: how often its worker was killed.
    """

    number: int
    job: Job
    tries: int = 0


class Tickets:
    """The jobs that wait: first those to be tried again, then those that have not been taken yet."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._again: deque[Ticket] = deque()
        self._fresh = (Ticket(number, job) for number, job in enumerate(jobs))

    def take(self) -> Ticket | None:
        """The next one; None where none waits."""
        return self._again.popleft() if self._again else next(self._fresh, None)

    def lost(self, ticket: Ticket, node: str = "") -> Outcome[Any] | None:
        """Note that the worker of a job was killed: None if it is tried again, else how the job ended."""
        tries = ticket.tries + 1
        if tries <= RETRIES:
            self._again.append(Ticket(ticket.number, ticket.job, tries))
            return None
        message = f"a worker process was killed in the middle of its work, {tries} times; out of memory?"
        return Outcome(ticket.number, error=ChildProcessError(message), node=node or socket.gethostname())


class Worker(Generic[_Result]):
    """What does jobs one after the other, wherever it is.

    Args:
        function, setup: see `Executor.outcomes`.
    """

    def __init__(self, function: Callable[..., _Result], setup: Setup | None) -> None:
        self._function = function
        self._setup = setup

    def answer(self, number: int, job: Job) -> Outcome[_Result]:
        """How a job ends."""
        node = socket.gethostname()
        try:
            if self._setup is not None:
                self._function, self._setup = partial(self._function, self._set_up()), None
            return Outcome(number, self._function(*job), node=node)
        except Exception as error:
            return Outcome(number, error=error, node=node, trace=traceback.format_exc())

    def _set_up(self) -> Any:
        assert self._setup is not None
        try:
            return self._setup()
        except (InputError, OSError) as error:
            raise SetupError(str(error)) from error


def unless_unusable(outcome: Outcome[_Result]) -> Outcome[_Result]:
    """The outcome.

    Raises:
        SetupError: no job can be done where this one was.
    """
    if isinstance(outcome.error, SetupError):
        raise outcome.error
    return outcome


_worker: Worker[Any] | None = None
"""Of this process, where it is one of `LocalProcesses`."""


def _begin_worker(function: Callable[..., Any], setup: Setup | None) -> None:
    global _worker
    _worker = Worker(function, setup)


def _answer_in_worker(number: int, job: Job) -> Outcome[Any]:
    assert _worker is not None
    return _worker.answer(number, job)


def _without_state(function: Callable[..., _Result], _: object, *job: Any) -> _Result:
    return function(*job)
