"""Worker processes: started one way everywhere, and never longer alive than the process that they work for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from types import ModuleType
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")

_LIBRARIES: Final = (
    "numpy",
    "scipy.optimize",
    "scipy.spatial.transform",
    "mmengine",
    "cv2",
    "numba",
    "matplotlib.pyplot",
    "torch",
)
"""What takes long to import."""


def worker_context() -> BaseContext:
    """How every worker process of the project is started: by a fork server, or afresh where there is none.

    A plain fork inherits the locks of the threads of OpenCV, numba and torch without the threads, and can wait for them
    for ever. The fork server is a clean process; it imports once what this process has imported of the large
    libraries, so that a worker starts in a fraction of a second and shares the memory of them. A script that starts
    workers needs the usual `if __name__ == "__main__":`, unless they come from a `worker_pool` that does without it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in _LIBRARIES if name in sys.modules])
    with _one_thread_of_blas():
        forkserver.ensure_running()
    return context


@contextmanager
def _one_thread_of_blas() -> Iterator[None]:
    """Processes that begin here multiply matrices in one thread, unless the environment says otherwise.

    There is a worker for each core; threads beside them would only wait for one another, at full speed.
    """
    name = "OPENBLAS_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _without_script() -> Iterator[None]:
    """Processes that begin here do not import the script that this one runs, which then needs no guard."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin_worker() -> None:
    """What a worker process does first: it leaves interrupts to its parent, and ends when the parent does."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # called in a worker
    _begin(parent.join)


@contextmanager
def worker_pool(
    workers: int, initializer: Callable[[], object] | None = None, *, imports_script: bool = False
) -> Iterator[ProcessPoolExecutor]:
    """A pool of worker processes.

    At the end of the block the work that was submitted is waited for; when the block ends by an exception, the workers
    end at once, whatever they are doing.

    Args:
        workers: the most processes that there may be.
        initializer: called in each of them, without arguments; can be pickled.
        imports_script: whether they import the script that this process runs. Else they can be given nothing that it
            defines, and it needs no `if __name__ == "__main__":`.

    Raises:
        ChildProcessError: a worker was killed.
    """
    context = worker_context()
    held, lifeline = context.Pipe(duplex=False)
    started = nullcontext if imports_script else _without_script
    with held, lifeline, _Pool(workers, context, partial(_begin_in_pool, held, initializer), started) as pool:
        try:
            yield pool
        except BaseException as error:
            lifeline.close()
            pool.let_go_of_results()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                message = "a worker process was killed in the middle of its work; out of memory?"
                raise ChildProcessError(message) from None
            raise


class _Pool(ProcessPoolExecutor):
    """A pool that a worker may leave in the middle of sending a result, whether it is killed or ends itself.

    Who receives the result would wait for the rest for ever if this process held the sending end too, as it does until
    all workers have been given theirs; there is no public way to let go of it.

    Args:
        workers, context, initializer: see `ProcessPoolExecutor`. started: inside it workers begin.
    """

    def __init__(
        self,
        workers: int,
        context: BaseContext,
        initializer: Callable[[], object],
        started: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(workers, context, initializer)
        self._started = started

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> Future[_Result]:
        """See `Executor.submit`."""
        with self._started():
            future = super().submit(fn, *args, **kwargs)
        if len(self._processes) == self._max_workers:  # type: ignore[attr-defined]
            self.let_go_of_results()
        return future

    def let_go_of_results(self) -> None:
        """From now on the workers alone can send results, which they can no longer be given the means for."""
        self._result_queue._writer.close()  # type: ignore[attr-defined]


def _begin_in_pool(held: Connection, initializer: Callable[[], object] | None) -> None:
    _begin(partial(held.poll, None))
    if initializer is not None:
        initializer()


def _begin(wait_for_end: Callable[[], object]) -> None:
    """Leave interrupts to the parent, which says once what the keyboard says to all; end as soon as a wait does.

    A parent that is killed can tell nobody, but the pipes that it held are closed. Linux could send a signal instead,
    but sends it when the *thread* that started the worker ends, and a fork server is not whom the work is for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(wait_for_end,), daemon=True).start()


def _end_after(wait: Callable[[], object]) -> None:
    wait()
    os._exit(1)
