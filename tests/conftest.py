"""Fixtures that every room's tests use."""

import contextlib
import importlib
import io
import logging
import os
import runpy
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings

from scenes import Taxonomy

# The first example of a test compiles, decodes or imports: a time limit an example would fail at random.
settings.register_profile("project", deadline=None)
# `make mutants`: the same examples for every mutant, no time for the smallest one that fails, and no doubts about how
# long they take to make: in hours beside other work some will.
settings.register_profile(
    "mutants",
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# Programs that tests start run the code of this checkout, not of whichever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

# The tests run in several processes, and start more: threads of networks would only wait for each other. Said before
# torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests that compare with the official kit skip where it is absent (`pytest.importorskip`), unless it must be there.
if os.environ.get("REQUIRE_DEVKIT") == "1":
    for _package in ("nuscenes", "motmetrics"):
        importlib.import_module(_package)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not importlib.import_module("torch").cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


class Ran(NamedTuple):
    """What a tool that has run ended with, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def run() -> Callable[..., Ran]:
    """Runs a tool as its user does, but in this process: imports take most of a run."""

    def run_tool(name: str, *arguments: object) -> Ran:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(sys, "argv", [name, *map(str, arguments)])
            patch.setattr(logging.getLogger(), "handlers", [])  # those of pytest: the tool sets its own
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            ended = stack.enter_context(pytest.raises(SystemExit))
            runpy.run_path(str(ROOT / "tools" / name), run_name="__main__")
        printed, complaints = (stream.detach().getvalue().decode() for stream in (out, err))
        return Ran(int(ended.value.code or 0), printed, complaints)

    return run_tool


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames, real detections and recorded numbers; skips where it is absent."""
    if not SHARED.is_dir():
        message = f"needs the recorded data in {SHARED}"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture(scope="session")
def spelled_out() -> Callable[[Taxonomy], list[dict[str, Any]]]:
    """The content of a `classes.json` that says all that some classes are."""

    def entries(taxonomy: Taxonomy) -> list[dict[str, Any]]:
        rows = [asdict(class_) for class_ in taxonomy.classes]
        return [{key: value for key, value in row.items() if value is not None} for row in rows]

    return entries


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of what published implementations gave, in `golden` and `golden_methods`: a sliver comes along."""
    whole = SHARED if (SHARED / "golden").is_dir() else ROOT / "tests" / "recordings"
    if whole != SHARED and os.environ.get("REQUIRE_SHARED") == "1":
        pytest.fail(f"needs the recorded data in {SHARED}")
    return whole


@pytest.fixture(scope="session")
def mini_val(shared: Path) -> Path:
    """A devkit-readable data root: version v1.0-mini, split mini_val, two real scenes."""
    return shared / "nuscenes_mini_val"
