"""Compiled code never goes on with the arithmetic of sources that have changed."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from numba.core.dispatcher import Dispatcher

import scenes.compiled
from scenes.compiled import compiled, compiled_sources, source_digest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("scenes", "evaluation")

INNER = """
from scenes.compiled import compiled

FACTOR = 2.0

@compiled(nogil=True)
def scaled(x):
    return FACTOR * x
"""
OUTER = """
from room.inner import scaled
from scenes.compiled import compiled

@compiled(nogil=True)
def twice(x):
    return scaled(scaled(x))
"""
SHOW = """
from room.outer import twice
print(twice(1.0), sum(twice.stats.cache_hits.values()))
"""


def test_a_change_in_a_called_function_of_another_file_is_noticed(tmp_path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "inner.py").write_text(INNER)
    (room / "outer.py").write_text(OUTER)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    environment.pop("NUMBA_CACHE_DIR", None)

    def run() -> str:
        command = [sys.executable, "-c", SHOW]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert run() == "4.0 0"
    assert run() == "4.0 1"
    (room / "inner.py").write_text(INNER.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    assert run() == "9.0 0"


def test_without_a_folder_to_keep_it_code_is_compiled_all_the_same(monkeypatch) -> None:
    def refuse(_cache: object, function: FunctionType) -> None:
        raise RuntimeError(f"cannot cache function {function.__name__}: no locator available")

    monkeypatch.setattr(scenes.compiled._RoomCache, "__init__", refuse)
    add = compiled(nogil=True)(lambda first, second: first + second)
    assert add(1, 2) == 3


def modules_with_compiled_code() -> Iterator[ModuleType]:
    for room in ROOMS:
        for path in compiled_sources(room):
            yield importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def test_every_compiled_function_is_kept_under_the_digest_of_its_room() -> None:
    for module in modules_with_compiled_code():
        own = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
        for dispatcher in own:
            room = dispatcher.py_func.__module__.partition(".")[0]
            assert dispatcher._cache._cache_file._source_stamp == source_digest(room)
    sources = {path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "njit" in path.read_text()}
    assert sources == {ROOT / "scenes" / "compiled.py"}


@pytest.mark.parametrize("module", list(modules_with_compiled_code()), ids=lambda module: module.__name__)
def test_compiled_code_uses_names_of_digested_sources_only(module) -> None:
    """What a compiled function takes from another file is compiled into it: the digest has to hold that file."""
    digested = {path for room in ROOMS for path in compiled_sources(room)}
    origin = {
        alias.asname or alias.name: node.module
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ROOMS
        for alias in node.names
    }
    for function in vars(module).values():
        if not isinstance(function, Dispatcher) or function.py_func.__module__ != module.__name__:
            continue
        for name in function.py_func.__code__.co_names:
            if name in origin:
                path = ROOT.joinpath(*origin[name].split(".")).with_suffix(".py")
                assert path in digested, f"{function.py_func.__name__} uses {name} of {origin[name]}"
                assert origin[name].partition(".")[0] == module.__name__.partition(".")[0]
