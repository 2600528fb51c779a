"""Work on many scenes at once: one process a scene, results in order, and a safe file name for each."""

from __future__ import annotations

import multiprocessing
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

_Report = TypeVar("_Report")


def run_jobs(function: Callable[..., _Report], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[_Report]:
    """`function(*job)` for each job, up to `workers` at a time in processes of their own.

    Yields:
        the results in the order of the jobs, each as soon as it and those before it are there. The first error
        ends the work: what has not begun is left undone.
    """
    count = min(workers, len(jobs))
    if count <= 1:
        yield from (function(*job) for job in jobs)
        return
    # Forked children would inherit the threads and locks of OpenCV: start fresh ones.
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            yield from (future.result() for future in futures)
        finally:
            pool.shutdown(cancel_futures=True)


def scene_file_name(scene_name: str) -> str:
    """A scene's name as a file name without suffix, on any system; different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", scene_name).lstrip(".")[:80]
    if safe and safe == scene_name:
        return safe
    return f"{safe}-{zlib.crc32(scene_name.encode('utf-8', 'surrogatepass')):08x}"
