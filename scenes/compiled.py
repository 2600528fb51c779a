"""Functions compiled by numba, kept on disk until any compiled source of their room changes.

numba's own cache looks at the file of the function alone: after a change in a function that it calls, or in a constant
that it takes from elsewhere, it goes on with the old arithmetic. Here the key is a digest of all files of the room that
hold compiled functions. So compiled code may call, and take constants from, files with compiled functions of its own
room only; a test holds that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

_logger = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])

_MARK = b"\n@compiled("


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """Decorate a function to be compiled by `numba.njit` with these options and to be kept on disk.

    Where neither the folder of the source nor the user's cache folder can be written, each process compiles anew.
    """

    def decorate(function: _Function) -> _Function:
        dispatcher = numba.njit(**options)(function)
        # numba offers no other way to choose the key of its cache.
        try:
            dispatcher._cache = _RoomCache(function)
        except RuntimeError as error:
            _logger.debug("compiled code is not kept: %s", error)
        decorated: _Function = dispatcher
        return decorated

    return decorate


class _RoomCache(FunctionCache):
    """numba's cache of one function, stale as soon as any compiled source of the function's room is another."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = source_digest(function.__module__.partition(".")[0])
        self._cache_file = IndexDataCacheFile(  # type: ignore[no-untyped-call]
            self._cache_path, self._impl.filename_base, stamp
        )

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        loaded = super().load_overload(signature, target_context)  # type: ignore[no-untyped-call]
        if loaded is None:
            _announce()
        return loaded


@cache
def _announce() -> None:
    _logger.info("compiling for this machine: some seconds, once")


@cache
def source_digest(room: str) -> str:
    """What the compiled code of a package depends on: its sources with compiled functions, numba and numpy."""
    digest = sha256(f"numba {numba.__version__} numpy {np.__version__}".encode())
    for path in compiled_sources(room):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def compiled_sources(room: str) -> list[Path]:
    """The files of a package that hold compiled functions."""
    spec = find_spec(room)
    assert spec is not None and spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    return [path for path in sorted(Path(folder).rglob("*.py")) if _MARK in path.read_bytes()]
