"""Reads large result files with a second process, which takes half of their samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from scenes.garbage_collection import without_garbage_collection
from scenes.jobs.processes import worker_pool
from scenes.results import Part, Results
from scenes.taxonomy import Taxonomy

ReadResults = Callable[[Path | str, Taxonomy, Part], Results]
"""`read_detections` or `read_tracks`."""

_LARGE_FILE_BYTES: Final = 50_000_000
"""Above it half of the reading takes longer than a process takes to start."""


@contextmanager
def begun_reading(read: ReadResults, path: Path | str, taxonomy: Taxonomy) -> Iterator[Callable[[], Results]]:
    """A function that returns the content of a result file.

    Of a large file a process of its own reads a half from now on, and the function the other.

    Raises:
        InputError: from the function, see `read_detections`.
    """
    if not Path(path).is_file() or Path(path).stat().st_size < _LARGE_FILE_BYTES:
        yield lambda: read(path, taxonomy, (0, 1))
        return
    with worker_pool(1) as reader:
        first = reader.submit(_read, read, path, taxonomy, (0, 2))

        def content() -> Results:
            second = _read(read, path, taxonomy, (1, 2))
            half = first.result()
            return replace(half, boxes={**half.boxes, **second.boxes})

        yield content


def read_shared(read: ReadResults, path: Path | str, taxonomy: Taxonomy) -> Results:
    """The content of a result file, see `begun_reading`."""
    with begun_reading(read, path, taxonomy) as content:
        return content()


def _read(read: ReadResults, path: Path | str, taxonomy: Taxonomy, part: Part) -> Results:
    with without_garbage_collection():
        return read(path, taxonomy, part)
