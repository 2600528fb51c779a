"""The commands for thresholds and speeds, as a user runs them."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"
STEP_2 = """
_base_ = {base!r}
model = dict(trains="router", threshold=0.5)
"""

Run = Callable[..., int]


@pytest.fixture
def step_2(tiny_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file of the second step."""
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))
    path = tmp_path / "step2.py"
    path.write_text(STEP_2.format(base=str(Path(__file__).parents[1] / "city_tiny_dynamic.py")))
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a tool in this process; returns its exit code."""

    def run(tool: str, *arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOLS / tool), run_name="__main__")
        return int(ended.value.code or 0)

    return run


def test_from_thresholds_to_detections(
    run: Run, step_2: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Path(shutil.copy(trained, tmp_path))
    assert run("dynamic_thresholds.py", step_2, checkpoint) == 0
    printed = capsys.readouterr().out
    assert "  0% hard: 0.0000" in printed and "100% hard: 1.0000" in printed
    assert f"12 frames -> {tmp_path / 'dynamic.thresholds.json'}" in printed
    for speed in (("--hard-fraction", 0.3), ("--dynamic-threshold", 0.5)):
        out = tmp_path / "out" / f"{speed[0]}.json"
        assert run("test.py", step_2, checkpoint, "--out", out, *speed) == 0
        assert len(json.loads(out.read_text())["results"]) == 12


@pytest.mark.parametrize(
    ("speed", "message"),
    [
        (("--hard-fraction", 1.2), "hard fraction 1.2: expected a number from 0"),
        (("--hard-fraction", 0.2), "dynamic.thresholds.json: no such file"),
        (("--dynamic-threshold", -1), "threshold -1: expected a number from 0"),
    ],
)
def test_bad_speed_ends_in_one_line(
    run: Run,
    step_2: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    speed: tuple[str, float],
    message: str,
) -> None:
    checkpoint = Path(shutil.copy(trained, tmp_path))
    assert run("test.py", step_2, checkpoint, "--out", tmp_path / "out.json", *speed) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_benchmark_measures_every_share(
    run: Run, step_2: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = Path(shutil.copy(trained, tmp_path)), tmp_path / "out"
    command = ("benchmark.py", "dynamic", "--config", step_2, "--checkpoint", checkpoint, "--out", out)
    assert run(*command) == 2 and "no such file" in capsys.readouterr().err
    assert run("dynamic_thresholds.py", step_2, checkpoint) == 0
    assert run(*command, "--shares", 2) == 2 and "--shares 2: expected numbers" in capsys.readouterr().err
    assert run(*command, "--shares", 0, 0.5, 1, "--random-seeds", 1) == 0
    content = json.loads((out / "dynamic.json").read_text())
    easy, routed, spent, by_chance, spread, hard = content["runs"]
    assert [one["routing"] for one in content["runs"]] == [
        "router",
        "router",
        "budget",
        "random 0",
        "random 0, budget",
        "router",
    ]
    assert spread["hard_share"] == pytest.approx(0.5, abs=0.2)
    assert spent["hard_share"] == pytest.approx(0.5, abs=0.2)
    assert (easy["hard_share"], hard["hard_share"]) == (0, 1)
    assert 0 < routed["hard_share"] < 1 and 0 < by_chance["hard_share"] < 1
    cost = content["arithmetic"]
    assert easy["gflops"] == cost["easy"] < cost["hard"] == hard["gflops"]
    mixed = cost["easy"] + routed["hard_share"] * (cost["hard"] - cost["easy"]) + cost["router"]
    assert routed["gflops"] == pytest.approx(mixed)
    assert (out / "dynamic.png").stat().st_size > 10_000
