"""A training that is killed at any moment leaves a checkpoint that resumes, to the very result of one left alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from detection.checkpoints import read_saved
from detection.training.checkpoint import checkpoints_of

ROOT = Path(__file__).resolve().parents[3]
TINY = Path(__file__).resolve().parents[1] / "city_tiny.py"
_ITERATIONS = 12


def _start(fork_host: ForkHost, city: Path, work_dir: Path) -> int:
    """A training with a checkpoint an iteration and two validations, that goes on from the newest checkpoint."""
    options = (
        f"schedule.epochs={_ITERATIONS / 6}",
        "schedule.checkpoint_epochs=0.167",
        "schedule.validation_epochs=0.667",
    )
    arguments = (TINY, "--work-dir", work_dir, "--resume", "--cfg-options", *options)
    (pid,) = fork_host.start("train.py", *arguments, CITY_ROOT=city)
    return pid


def _ended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _newest(work_dir: Path) -> int:
    paths = checkpoints_of(work_dir)
    return int(paths[-1].stem.removeprefix("iter_")) if paths else 0


@pytest.mark.slow
def test_killed_at_random_moments(tiny_city: Path, tmp_path: Path) -> None:
    alone = _start(tiny_city, tmp_path / "alone")
    assert alone.wait(timeout=300) == 0, alone.stderr
    moments = random.Random(5)
    killed = tmp_path / "killed"
    reached = [0]
    while reached[-1] < _ITERATIONS - 2:
        process = _start(tiny_city, killed)
        while process.poll() is None and _newest(killed) <= reached[-1]:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))  # a few iterations, their checkpoints and a validation
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (-9, 0), errors
        reached.append(_newest(killed))
        for path in checkpoints_of(killed):
            read_saved(path)
    assert len(reached) > 3
    last = _start(tiny_city, killed)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    expected, found = (read_saved(folder / f"iter_{_ITERATIONS}.pth") for folder in (tmp_path / "alone", killed))
    for name, weight in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], weight), name
    assert not list(killed.glob(".*"))
