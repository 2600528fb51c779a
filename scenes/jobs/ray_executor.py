"""Jobs on a Ray cluster: tasks on its processors, or actors that hold what is loaded once, such as a network on a GPU.

Ray is the extra `ray`. Every node needs the same version of StreamTrack, and sees the same files under the same paths.
"""

from __future__ import annotations

import importlib.metadata
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar

from scenes.errors import InputError
from scenes.jobs.executors import Executor, Job, Outcome, Setup, SetupError, Ticket, Tickets, Worker, unless_unusable

_QUEUED: Final = 2
"""Tasks on their way for each processor, so that none waits for the next."""
_RECOUNT_S: Final = 5.0
"""After how long the processors are counted anew: nodes come and go."""
_ANSWER_S: Final = 5.0
"""How long an address has to answer."""
_CLIENT_SCHEME: Final = "ray://"
_CLIENT_PORT: Final = 10001
_LOCAL_STORE_BYTES: Final = 200_000_000
"""Of the object store on this machine alone: jobs are descriptions and results are counts, boxes go through files."""

_Result = TypeVar("_Result")


class RayExecutor(Executor):
    """Jobs run on a Ray cluster. A job whose node dies is run on another one.

    Args:
        address: of the cluster: `auto`, `HOST:PORT`, `ray://HOST:PORT`; None starts Ray on this machine, for this run.
        workers: the most jobs at a time; None for as many as the cluster has processors.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._address = address
        self.workers = workers
        self._depth = 0
        self._connected = False

    def __enter__(self) -> RayExecutor:
        """Connect.

        Raises:
            InputError: no cluster answers at the address, or one with another version of Ray or Python.
            ModuleNotFoundError: Ray is not installed.
        """
        import ray

        self._depth += 1
        if ray.is_initialized():  # by whoever calls this, who also ends it
            return self
        try:
            self._connect()
        except BaseException:
            self._depth -= 1
            raise
        return self

    def _connect(self) -> None:
        import ray

        quiet: dict[str, Any] = dict(log_to_driver=False, logging_level="error")
        if self._address is None:
            quiet |= dict(num_cpus=self.workers, include_dashboard=False, object_store_memory=_LOCAL_STORE_BYTES)
        else:
            _check_answers(self._address)
        try:
            # A cluster that happens to run here is used only when it is asked for.
            ray.init("local" if self._address is None else self._address, **quiet)
        except Exception as error:  # what Ray raises where it does not come up has no type of its own
            raise InputError(f"Ray at {self._address or 'this machine'}: {_one_line(error)}") from error
        self._connected = True

    def described(self) -> str:
        """See `Executor`."""
        import ray

        if not ray.is_initialized():
            return "Ray"
        nodes = sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]
        return f"{nodes} node{'s' if nodes != 1 else ''}"

    def __exit__(self, *_: object) -> None:
        """Leave the cluster; one that was started here ends."""
        self._depth -= 1
        if self._connected and not self._depth:
            import ray

            ray.shutdown()
            self._connected = False

    def outcomes(
        self, function: Callable[..., _Result], jobs: Iterable[Job], setup: Setup | None = None, gpus: float = 0.0
    ) -> Iterator[Outcome[_Result]]:
        """See `Executor`."""
        with self:
            calls: _Calls = _TaskCalls(gpus) if setup is None else _ActorCalls(gpus)
            yield from self._outcomes(calls, (function, setup), jobs)

    def _outcomes(self, calls: _Calls, work: Any, jobs: Iterable[Job]) -> Iterator[Outcome[Any]]:
        import ray

        work_reference = ray.put((*work, _versions()))
        tickets = Tickets(jobs)
        running: dict[Any, Ticket] = {}
        counted_s, room = -_RECOUNT_S, 0
        try:
            while True:
                if time.monotonic() - counted_s >= _RECOUNT_S:
                    counted_s, room = time.monotonic(), calls.room()
                    room = room if self.workers is None else min(room, self.workers)
                while len(running) < room and (ticket := tickets.take()) is not None:
                    running[calls.begin(work_reference, ticket)] = ticket
                if not running:
                    return
                done, others = ray.wait(list(running), num_returns=1, timeout=_RECOUNT_S)
                if done and others:  # whatever has ended meanwhile, too: waiting costs as much for one as for all
                    done += ray.wait(others, num_returns=len(others), timeout=0)[0]
                for reference in done:
                    ticket = running.pop(reference)
                    outcome = _outcome(reference) or tickets.lost(ticket)
                    calls.ended(reference, is_lost=outcome is None or isinstance(outcome.error, ChildProcessError))
                    if outcome is not None:
                        yield unless_unusable(outcome)
        finally:
            for reference in running:
                with suppress(ray.exceptions.RayError, ValueError):
                    ray.cancel(reference, force=isinstance(calls, _TaskCalls))
            calls.close()


class _Calls:
    """How jobs get to the workers."""

    def __init__(self, gpus: float) -> None:
        self._gpus = gpus

    def room(self) -> int:
        """How many jobs can be on their way."""
        raise NotImplementedError

    def begin(self, work: Any, ticket: Ticket) -> Any:
        """Send a job; a reference to its outcome."""
        raise NotImplementedError

    def ended(self, reference: Any, is_lost: bool) -> None:
        """Note that a job has ended, or that its worker is gone."""

    def close(self) -> None:
        """End the workers that only this work needs."""

    def _places(self) -> int:
        """How many jobs the cluster can run at a time.

        Raises:
            InputError: none, for want of GPUs.
        """
        import ray

        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        places = int(resources.get("CPU", 0))
        if self._gpus:
            places = min(places, int(resources.get("GPU", 0) / self._gpus))
            if not places:
                raise InputError(f"a worker needs {self._gpus:g} GPUs, and the Ray cluster has none that are free")
        return max(1, places)


class _TaskCalls(_Calls):
    """Each job is a task of one processor."""

    def __init__(self, gpus: float) -> None:
        import ray

        super().__init__(gpus)
        # Whether a job is tried again is decided here, for every executor in the same way.
        self._remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_answer)

    def room(self) -> int:
        return _QUEUED * self._places()

    def begin(self, work: Any, ticket: Ticket) -> Any:
        return self._remote.remote(work, ticket.number, ticket.job)


class _ActorCalls(_Calls):
    """Each job goes to an actor, which has its processor, and GPUs, until the end."""

    def __init__(self, gpus: float) -> None:
        import ray

        super().__init__(gpus)
        self._remote: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Actor)
        self._idle: list[Any] = []
        self._busy: dict[Any, Any] = {}

    def room(self) -> int:
        return self._places()

    def begin(self, work: Any, ticket: Ticket) -> Any:
        actor = self._idle.pop() if self._idle else self._remote.remote(work)
        reference = actor.answer.remote(ticket.number, ticket.job)
        self._busy[reference] = actor
        return reference

    def ended(self, reference: Any, is_lost: bool) -> None:
        actor = self._busy.pop(reference)
        if not is_lost:
            self._idle.append(actor)

    def close(self) -> None:
        import ray

        for actor in (*self._idle, *self._busy.values()):
            with suppress(ray.exceptions.RayError):
                ray.kill(actor)


def _outcome(reference: Any) -> Outcome[Any] | None:
    """How a job ended; None if that is not known, since its worker or node was killed."""
    import ray
    from ray import exceptions

    try:
        outcome: Outcome[Any] = ray.get(reference)
    except (
        exceptions.WorkerCrashedError,
        exceptions.RayActorError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
        exceptions.OutOfMemoryError,
    ):
        return None
    except exceptions.RayError as error:
        raise InputError(f"Ray: {_one_line(error)}") from error
    return outcome


def _answer(work: Any, number: int, job: Job) -> Outcome[Any]:
    """Do a job in a worker of the cluster."""
    function, setup, versions = work
    wrong = _wrong_version(versions)
    if wrong is not None:
        return Outcome(number, error=wrong, node=socket.gethostname())
    return Worker(function, setup).answer(number, job)


class _Actor:
    """A worker that keeps what was set up."""

    def __init__(self, work: Any) -> None:
        function, setup, versions = work
        self._wrong = _wrong_version(versions)
        self._worker = Worker(function, setup)

    def answer(self, number: int, job: Job) -> Outcome[Any]:
        """How a job ends."""
        if self._wrong is not None:
            return Outcome(number, error=self._wrong, node=socket.gethostname())
        return self._worker.answer(number, job)


def _versions() -> dict[str, str]:
    """What has to be the same on all nodes for the same results. Ray compares its own version and Python's."""
    return {name: importlib.metadata.version(name) for name in ("streamtrack", "numpy", "scipy")}


def _wrong_version(expected: dict[str, str]) -> SetupError | None:
    for name, own in _versions().items():
        if own != expected[name]:
            where = f"node {socket.gethostname()}"
            return SetupError(f"{where}: {name} {own}, where the run was started with {expected[name]}")
    return None


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there.

    Raises:
        InputError: nobody answers, or the address is none.
    """
    if address in ("auto", "local"):
        return
    host, separator, port = address.removeprefix(_CLIENT_SCHEME).rpartition(":")
    if not separator and address.startswith(_CLIENT_SCHEME):
        host, port = port, str(_CLIENT_PORT)
    if not host or not port.isdigit():
        raise InputError(f"--address {address}: expected auto, HOST:PORT or {_CLIENT_SCHEME}HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--address {address}: no Ray cluster answers there ({reason})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
