"""Compiled code never goes on with the arithmetic of sources that have changed."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numba
import pytest
from numba.core.dispatcher import Dispatcher

from scenes.compiled import compiled_sources, source_digest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("scenes", "evaluation")
NOBODY = 65534

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


def test_where_nothing_can_be_written_code_is_compiled_all_the_same() -> None:
    """By an ordinary user, neither beside the source nor in the folder of caches."""
    numba.njit(lambda x: x)(1.0)  # numba imports what it needs, which another user may not read
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder, "closed_room")
        room.mkdir()
        (room / "__init__.py").touch()
        (room / "inner.py").write_text(INNER)
        room.chmod(0o555)
        Path(folder).chmod(0o555)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if os.geteuid() == 0:
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = str(room)
                sys.path.insert(0, folder)
                scaled = importlib.import_module("closed_room.inner").scaled
                code = 0 if scaled(1.0) == 2.0 and scaled.stats.cache_path is None else 2
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        Path(folder).chmod(0o755)
        room.chmod(0o755)
        assert os.waitstatus_to_exitcode(status) == 0
        assert sorted(path.name for path in room.iterdir()) == ["__init__.py", "inner.py"]


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
