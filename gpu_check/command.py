"""Runs the parts, each in a process of its own within a time limit, and writes the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from gpu_check.outcome import FAILED, OK, SKIPPED, Outcome
from gpu_check.parts import Part, chosen_parts, limit_s
from gpu_check.record import Findings
from gpu_check.report import markdown
from scenes import InputError
from scenes.files import atomic_paths

_ROOT: Final = Path(__file__).resolve().parents[1]
_LEAST_S: Final = 10.0  # that a part is begun with
_KEPT: Final = 6000  # characters of what a part has said that failed


def check(device: str, quick: bool, profile: bool, out: Path) -> int:
    """Run every part, print a line of each, write `gpu_check.json` and `gpu_check.md`.

    Args:
        device: `cuda` or `cpu`.
        quick: whether to take 3 minutes instead of 10.
        profile: whether to add a table of kernels.
        out: folder of the two files.

    Returns:
        the exit code: 1 if a check failed.

    Raises:
        InputError: there is no such device.
    """
    _check_device(device)
    ends_s = time.monotonic() + limit_s(device, quick)
    outcomes: list[Outcome] = []
    about = _about(device, quick)
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        for part, longest_s in chosen_parts(device, quick, profile):
            longest_s = min(longest_s, ends_s - time.monotonic())
            outcomes.append(_outcome(part, longest_s, device, quick, Path(folder)))
            print(outcomes[-1], flush=True)
            _write(outcomes, about, out)  # a check that is ended keeps what it has
    print("-> {}, {}".format(*_files(out)))
    return 1 if any(outcome.status == FAILED for outcome in outcomes) else 0


def _check_device(device: str) -> None:
    """Without computing on it: this process is not to hold memory of the GPU."""
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device '{device}': {str(error).splitlines()[0]}") from error
    if wanted.type not in ("cpu", "cuda"):
        raise InputError(f"device '{device}': expected cuda or cpu")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device '{device}': this torch sees no GPU; --device cpu tries the check on small models")
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device '{device}': there are {torch.cuda.device_count()} GPUs")


def _outcome(part: Part, longest_s: float, device: str, quick: bool, folder: Path) -> Outcome:
    """What comes of a part within some time."""
    if longest_s < _LEAST_S:
        return Outcome(part.name, part.title, SKIPPED, "no time is left", 0.0, Findings())
    record, log = folder / f"{part.name}.json", folder / f"{part.name}.log"
    arguments = (part.module, part.subject, record, device, "quick" if quick else "full", folder)
    started_s = time.monotonic()
    code = _run([sys.executable, "-m", "gpu_check.child", *map(str, arguments)], log, longest_s)
    seconds = time.monotonic() - started_s
    findings = Findings.read(record)
    status, reason = _status(part, code, longest_s, findings, log)
    said = _text(log)[-_KEPT:] if status == FAILED else ""
    return Outcome(part.name, part.title, status, reason, seconds, findings, said)


def _run(command: list[str], log: Path, longest_s: float) -> int | None:
    """The exit code of a program, None if it had to be stopped; its processes end with it."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            return child.wait(longest_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End what is left of a program's processes."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _status(part: Part, code: int | None, longest_s: float, findings: Findings, log: Path) -> tuple[str, str]:
    failed = [check.name for check in findings.checks if not check.passed]
    if failed:
        return FAILED, f"{len(failed)} of {len(findings.checks)} checks: {', '.join(failed[:3])}"
    if code is None:
        return FAILED if part.decides else OK, f"stopped after {longest_s:.0f} s"
    if code:
        return FAILED, _last_line(log) or f"ended with {code}"
    if findings.skipped:
        return SKIPPED, findings.skipped
    return OK, ""


def _last_line(log: Path) -> str:
    lines = _text(log).splitlines()
    return lines[-1][:300] if lines else ""


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()


def _about(device: str, quick: bool) -> dict[str, Any]:
    """The run itself."""
    options = ["--quick"] * quick + (["--device", device] if device != "cuda" else [])
    return {
        "command": " ".join(["tools/gpu_check.sh", *options]),
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
        "device": device,
        "quick": quick,
    }


def _files(out: Path) -> tuple[Path, Path]:
    return out / "gpu_check.json", out / "gpu_check.md"


def _write(outcomes: list[Outcome], about: Mapping[str, Any], out: Path) -> None:
    content = {**about, "parts": [asdict(outcome) for outcome in outcomes]}
    with atomic_paths(_files(out)) as (as_json, as_markdown):
        as_json.write_text(json.dumps(content, indent=2), encoding="utf-8")
        as_markdown.write_text(markdown(about, outcomes), encoding="utf-8")


def _commit() -> str:
    """Of the checkout; empty where there is no git."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
