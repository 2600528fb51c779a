"""The check of a machine: parts that fail, hang or cannot be done lose themselves alone, and the report says so."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpu_check import command, packages
from gpu_check.outcome import FAILED, OK, SKIPPED, Outcome
from gpu_check.parts import PARTS, Part, chosen_parts, limit_s
from gpu_check.record import Check, Findings
from gpu_check.report import markdown
from scenes import InputError

ROOT = Path(__file__).resolve().parents[2]
_LONG_S = f"600.{os.getpid()}"  # by which what is left over is found, beside other runs of these tests
BEGINNING = """
from gpu_check.record import SkippedError
def run(settings, record, subject):
    record.row(subject=subject, device=settings.device, quick=settings.quick)
    record.check("the first", True)
"""
WAYS = {
    "good": "record.note('well')",
    "failing": "record.check('the second', False, '3 of 4')",
    "broken": "raise RuntimeError('CUDA error: an illegal memory access')",
    "hanging": f"import subprocess, time; subprocess.Popen(['sleep', '{_LONG_S}']); time.sleep(600)",
    "impossible": "raise SkippedError('needs a GPU')",
    "lacking": "import no_such_package",
    "wrong": "import gpu_check.nothing",
    "killed": "import os; os.kill(os.getpid(), 9)",
}


@pytest.fixture
def outcome_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """What comes of a part that goes a way of `WAYS`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def outcome(way: str, longest_s: float = 60.0, decides: bool = True) -> Outcome:
        (tmp_path / f"part_{way}.py").write_text(f"{BEGINNING}    {WAYS[way]}\n")
        part = Part(way, f"Part {way}", f"part_{way}", longest_s, longest_s, decides, "its subject")
        return command._outcome(part, longest_s, "cpu", True, tmp_path)

    return outcome


@pytest.mark.parametrize(
    ("way", "status", "reason"),
    [
        ("good", OK, ""),
        ("failing", FAILED, "1 of 2 checks: the second"),
        ("broken", FAILED, "RuntimeError: CUDA error: an illegal memory access"),
        ("impossible", SKIPPED, "needs a GPU"),
        ("lacking", SKIPPED, "needs the package no_such_package"),
        ("wrong", FAILED, "ModuleNotFoundError: No module named 'gpu_check.nothing'"),
        ("killed", FAILED, "ended with -9"),
    ],
)
def test_whatever_comes_of_a_part_is_said(
    outcome_of: Callable[..., Outcome], way: str, status: str, reason: str
) -> None:
    outcome = outcome_of(way)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert outcome.findings.rows == [{"subject": "its subject", "device": "cpu", "quick": True}]
    assert outcome.findings.checks[0] == Check("the first", True)
    assert ("Traceback" in outcome.log) == (way in ("broken", "wrong"))


@pytest.mark.parametrize(("decides", "status"), [(True, FAILED), (False, OK)])
def test_a_part_that_hangs_is_stopped_with_its_processes(
    outcome_of: Callable[..., Outcome], decides: bool, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LEAST_S", 0.0)
    started_s = time.monotonic()
    outcome = outcome_of("hanging", 4.0, decides)
    assert time.monotonic() - started_s < 20
    assert (outcome.status, outcome.reason) == (status, "stopped after 4 s")
    assert len(outcome.findings.rows) == 1
    left = subprocess.run(["pgrep", "-f", f"^sleep {_LONG_S}$"], capture_output=True, text=True, check=False)
    assert not left.stdout


def test_a_part_is_not_begun_without_time(outcome_of: Callable[..., Outcome]) -> None:
    outcome = outcome_of("good", 3.0)
    assert (outcome.status, outcome.reason, outcome.findings.rows) == (SKIPPED, "no time is left", [])


def test_the_exit_code_says_whether_a_check_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for statuses, code in (([OK, SKIPPED], 0), ([OK, FAILED, OK], 1)):
        parts = [(Part(str(number), "A part", "", 1, 1, True), 1.0) for number in range(len(statuses))]
        outcomes = iter([Outcome("a part", "A part", status, "", 1.0, Findings()) for status in statuses])
        monkeypatch.setattr(command, "chosen_parts", lambda *_, parts=parts: iter(parts))
        monkeypatch.setattr(command, "_outcome", lambda *_, outcomes=outcomes: next(outcomes))
        assert command.check("cpu", True, False, tmp_path) == code
        assert len(json.loads((tmp_path / "gpu_check.json").read_bytes())["parts"]) == len(statuses)
        assert (tmp_path / "gpu_check.md").read_text().startswith("`tools/gpu_check.sh --quick --device cpu`, ")


def test_a_check_that_is_ended_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def outcome(part: Part, *_: object) -> Outcome:
        if part.name == "parity":
            raise KeyboardInterrupt
        return Outcome(part.name, part.title, OK, "", 1.0, Findings())

    monkeypatch.setattr(command, "_outcome", outcome)
    with pytest.raises(KeyboardInterrupt):
        command.check("cpu", True, False, tmp_path)
    assert [part["part"] for part in json.loads((tmp_path / "gpu_check.json").read_bytes())["parts"]] == ["machine"]


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device 'meta': expected cuda or cpu"):
        command.check("meta", True, False, tmp_path)
    if torch.cuda.is_available():
        pytest.skip("has a GPU")
    with pytest.raises(InputError, match="this torch sees no GPU; --device cpu tries the check"):
        command.check("cuda", True, False, tmp_path)


def test_the_quick_check_has_the_same_parts_in_less_time() -> None:
    full, quick = dict(chosen_parts("cuda", False, False)), dict(chosen_parts("cuda", True, True))
    assert list(full) == list(PARTS)
    assert {part.name for part in quick} >= {"parity", "tests", "city", "training", "speed-r50-428q", "kernels"}
    assert (limit_s("cuda", False), limit_s("cuda", True)) == (570, 170)


def test_report() -> None:
    findings = Findings(
        rows=[{"way": "eager | float32", "ms": 2.5}, {"way": "compiled", "ms": None, "ratio": 4}],
        checks=[Check("mAP", False, "+0.0100, tolerated 0.002"), Check("numbers", True)],
        notes=["wanted 400"],
    )
    outcomes = [
        Outcome("speed", "Speed", FAILED, "1 of 2 checks: mAP", 12.3, findings),
        Outcome("attention", "Attention", SKIPPED, "flash-attn is not installed", 0.1, Findings()),
    ]
    page = markdown({"command": "tools/gpu_check.sh", "when": "today", "commit": "abc", "device": "cuda"}, outcomes)
    assert page == (
        "`tools/gpu_check.sh`, today, commit abc.\n\n"
        "| part |  | checks | seconds | reason |\n"
        "|---|---|---|---:|---|\n"
        "| Speed | failed | 1 of 2 | 12 | 1 of 2 checks: mAP |\n"
        "| Attention | skipped |  | 0 | flash-attn is not installed |\n\n"
        "### Speed\n\n"
        "| way | ms | ratio |\n"
        "|---|---:|---:|\n"
        "| eager \\| float32 | 2.5 |  |\n"
        "| compiled |  | 4 |\n\n"
        "- wanted 400\n"
        "- failed: mAP: +0.0100, tolerated 0.002\n"
    )


def test_what_is_missing_is_named_in_one_line(tmp_path: Path) -> None:
    """In an interpreter without any package."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "gpu_check", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: missing: addict hypothesis imageio-ffmpeg mmengine msgspec ")
    assert "`pip download --no-deps -d wheels" in line and "export PYTHONPATH=wheels/site" in line


def test_everything_that_is_asked_for_is_here() -> None:
    assert packages.missing() == packages.Missing([], [])


@pytest.mark.slow
def test_the_whole_check_on_a_cpu(tmp_path: Path) -> None:
    done = subprocess.run(
        ["tools/gpu_check.sh", "--device", "cpu", "--quick", "--out", tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "gpu_check.json").read_bytes())
    parts = {part["part"]: part for part in content["parts"]}
    assert {name for name, part in parts.items() if part["status"] == SKIPPED} == {"tests", "attention"}
    assert all(parts[name]["findings"]["rows"] for name in ("machine", "parity", "city", "training", "speed-r50-428q"))
    page = (tmp_path / "gpu_check.md").read_text()
    for title in ("Parity with the published implementations", "Detections of the city", "eager float32", "bfloat16"):
        assert title in page
