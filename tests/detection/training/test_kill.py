"""A training that is killed at any moment leaves a checkpoint that resumes, to the very result of one left alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from detection.checkpoints import read_saved
from detection.training.checkpoint import checkpoints_of

from ..conftest import ForkHost

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


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _newest(work_dir: Path) -> int:
    paths = checkpoints_of(work_dir)
    return int(paths[-1].stem.removeprefix("iter_")) if paths else 0


@pytest.mark.slow
def test_killed_at_random_moments(fork_host: ForkHost, tiny_city: Path, tmp_path: Path) -> None:
    _start(fork_host, tiny_city, tmp_path / "alone")
    codes, errors = fork_host.end()
    assert codes == [0], errors
    moments = random.Random(5)
    killed = tmp_path / "killed"
    reached = [0]
    while reached[-1] < _ITERATIONS - 2:
        pid = _start(fork_host, tiny_city, killed)
        while _runs(pid) and _newest(killed) <= reached[-1]:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))  # a few iterations, their checkpoints and a validation
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        codes, errors = fork_host.end()
        assert codes in ([-9], [0]), errors
        reached.append(_newest(killed))
        for path in checkpoints_of(killed):
            read_saved(path)
    assert len(reached) > 3
    _start(fork_host, tiny_city, killed)
    codes, errors = fork_host.end()
    assert codes == [0], errors
    expected, found = (read_saved(folder / f"iter_{_ITERATIONS}.pth") for folder in (tmp_path / "alone", killed))
    for name, weight in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], weight), name
    assert not list(killed.glob(".*"))
