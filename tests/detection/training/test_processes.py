"""Several processes train, validate and test as one does; the launch scripts start them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch
from torch import distributed

from detection.checkpoints import read_saved
from detection.processes import joined_processes
from scenes import InputError

from ..conftest import ForkHost

ROOT = Path(__file__).resolve().parents[3]
TINY = Path(__file__).resolve().parents[1] / "city_tiny.py"
# Nothing random within the network: the data are the same for the same streams, whoever holds them.
# AdamW would blow up the rounding of gradients that are zero.
STILL = (
    "model.pts_bbox_head.decoder.dropout=0.0",
    "model.pts_bbox_head.denoising=None",
    "optim_wrapper.optimizer.type=SGD",
)
SAVED_OFTEN = ("train_dataloader.batch_size=1", "schedule.epochs=1", "schedule.checkpoint_epochs=0.334")


def _run(city: Path, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"CITY_ROOT": str(city), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        list(map(str, command)),
        env={**os.environ, **settings, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """What a process that failed said of it, without the config and the warnings before."""
    return "\n".join([*done.stdout.splitlines()[-5:], *done.stderr.splitlines()[-60:]])


def _train(fork_host: ForkHost, city: Path, work_dir: Path, processes: int, *options: str) -> None:
    arguments = (TINY, "--work-dir", work_dir, "--cfg-options", *options)
    fork_host.run("train.py", *arguments, processes=processes, CITY_ROOT=city)


def _logged(work_dir: Path, key: str) -> list[float]:
    (log,) = work_dir.glob("*/vis_data/scalars.json")
    return [entry[key] for entry in map(json.loads, log.read_text().splitlines()) if key in entry]


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = read_saved(checkpoint)["state_dict"]
    return weights


@pytest.fixture(scope="module")
def trained(fork_host: ForkHost, tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Work directories of the same training, two streams on one process and on two."""
    folder = tmp_path_factory.mktemp("trained")
    for processes in (1, 2):
        batch = f"train_dataloader.batch_size={2 // processes}"
        _train(fork_host, tiny_city, folder / str(processes), processes, *STILL, batch, "schedule.epochs=0.5")
    return {processes: folder / str(processes) for processes in (1, 2)}


@pytest.fixture(scope="module")
def tested(
    fork_host: ForkHost, tiny_city: Path, trained: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, str]:
    """What one process finds with what was trained, and the last line that it prints."""
    out = tmp_path_factory.mktemp("tested") / "1.json"
    arguments = (TINY, trained[1] / "iter_3.pth", "--out", out, "--eval")
    printed = fork_host.run("test.py", *arguments, CITY_ROOT=tiny_city)
    return out.read_bytes(), printed.splitlines()[-1]


@pytest.fixture(scope="module")
def straight(fork_host: ForkHost, tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work directory of two processes that were left alone."""
    work_dir = tmp_path_factory.mktemp("straight")
    _train(fork_host, tiny_city, work_dir, 2, *SAVED_OFTEN)
    return work_dir


@pytest.mark.slow
def test_two_processes_train_what_one_with_twice_the_batch_trains(trained: dict[int, Path]) -> None:
    expected, found = (read_saved(trained[processes] / "iter_3.pth") for processes in (1, 2))
    assert len(expected["processes"]) == 1
    assert len(found["processes"]) == 2
    for name, weight in expected["state_dict"].items():
        assert torch.allclose(found["state_dict"][name], weight, rtol=1e-4, atol=1e-6), name
    assert _logged(trained[2], "lr") == _logged(trained[1], "lr")
    assert _logged(trained[2], "grad_norm") == pytest.approx(_logged(trained[1], "grad_norm"), rel=1e-3)


@pytest.mark.slow
def test_two_processes_validate_as_one(trained: dict[int, Path]) -> None:
    scores = {processes: _logged(trained[processes], "nuscenes/NDS") for processes in (1, 2)}
    assert len(scores[1]) == 1
    assert scores[2] == pytest.approx(scores[1], rel=1e-4)


@pytest.mark.slow
def test_several_processes_test_as_one(
    tiny_city: Path, trained: dict[int, Path], tested: tuple[bytes, str], tmp_path: Path
) -> None:
    """With three scenes one of four processes has nothing to do."""
    checkpoint = trained[1] / "iter_3.pth"
    done = _run(tiny_city, "tools/dist_test.sh", TINY, checkpoint, 4, "--out", tmp_path / "4.json", "--eval")
    assert done.returncode == 0, _last_words(done)
    assert ((tmp_path / "4.json").read_bytes(), done.stdout.splitlines()[-1]) == tested
    assert tested[1].startswith("mAP 0.")


@pytest.mark.slow
def test_two_processes_resume_exactly(fork_host: ForkHost, tiny_city: Path, straight: Path, tmp_path: Path) -> None:
    """With dropout and denoising: each process goes on with its own random numbers and its own memory."""
    arguments = (TINY, "--work-dir", tmp_path, "--resume", straight / "iter_4.pth", "--cfg-options", *SAVED_OFTEN)
    fork_host.run("train.py", *arguments, processes=2, CITY_ROOT=tiny_city)
    expected, found = (_weights(folder / "iter_6.pth") for folder in (straight, tmp_path))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def _processes_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children]


_LATE_TRAIN = f"""
import os, runpy, sys, time
if os.environ["TORCHELASTIC_RESTART_COUNT"] != "0" and os.environ["RANK"] == "1":
    time.sleep(2)
runpy.run_path({str(ROOT / "tools" / "train.py")!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_killed_process_costs_no_more_than_the_way_to_the_last_checkpoint(
    tiny_city: Path, straight: Path, tmp_path: Path
) -> None:
    """One of two is killed in the middle: both are started again, go on, and end as if nothing had happened.

    The second comes late the second time: the first must wait for it, and not for the one that was killed.
    """
    shutil.copy(ROOT / "tools" / "dist_train.sh", tmp_path)
    (tmp_path / "train.py").write_text(_LATE_TRAIN)
    work_dir = tmp_path / "killed"
    settings = {"CITY_ROOT": str(tiny_city), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    command = (tmp_path / "dist_train.sh", TINY, 2, "--max-restarts", 1, "--work-dir", work_dir, "--cfg-options")
    launched = subprocess.Popen(
        list(map(str, [*command, *SAVED_OFTEN])), env={**os.environ, **settings}, cwd=ROOT, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not (work_dir / "iter_2.pth").exists():
            assert launched.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        second = next(pid for pid in _processes_of(launched.pid) if _environment(pid).get("RANK") == "1")
        os.kill(second, signal.SIGKILL)
        _, errors = launched.communicate(timeout=120)
    finally:
        launched.terminate()
    assert launched.returncode == 0, errors[-3000:]
    logs = "".join(path.read_text() for path in work_dir.glob("*/*.log"))
    assert "Resumed" in logs
    expected, found = (_weights(folder / "iter_6.pth") for folder in (straight, work_dir))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def _environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


_FAILING_SRUN = """#!/usr/bin/env bash
echo "$TORCHELASTIC_RESTART_COUNT" >> "$SRUN_LOG"
exit "$(tail -n1 <(head -n "$(wc -l < "$SRUN_LOG")" "$SRUN_CODES"))"
"""


@pytest.mark.parametrize(
    ("codes", "restarts", "begun", "code"),
    [([1, 137, 0], 3, 3, 0), ([1, 1, 1], 1, 2, 1), ([2, 0], 3, 1, 2), ([130, 0], 3, 1, 130), ([1, 0], 0, 1, 1)],
)
def test_slurm_starts_a_step_again(tmp_path: Path, codes: list[int], restarts: int, begun: int, code: int) -> None:
    (tmp_path / "srun").write_text(_FAILING_SRUN)
    (tmp_path / "srun").chmod(0o755)
    (tmp_path / "codes").write_text("".join(f"{one}\n" for one in codes))
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SRUN_LOG": str(tmp_path / "log"),
        "SRUN_CODES": str(tmp_path / "codes"),
    }
    command = ("tools/slurm_train.sh", "gpus", "job", TINY, tmp_path / "work", "--max-restarts", restarts)
    done = _run(tmp_path, *command, **environment)
    assert done.returncode == code
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(begun)]


_FAKE_SRUN = """#!/usr/bin/env bash
# Starts the tasks of a Slurm step on this machine and says what it was asked for.
echo "srun $*" > "$SRUN_LOG"
tasks=$(grep -oP -- '--ntasks \\K\\d+' <<<"$*")
while [ $# -gt 0 ] && [[ "$1" != *python* ]]; do shift; done
export SLURM_JOB_ID=$$ SLURM_JOB_NODELIST=node[1-2] SLURM_NTASKS=$tasks
for ((task = 0; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
done
wait -n && wait
"""


@pytest.mark.slow
def test_slurm_starts_the_processes(
    tiny_city: Path, trained: dict[int, Path], tested: tuple[bytes, str], tmp_path: Path
) -> None:
    for name, content in (("srun", _FAKE_SRUN), ("scontrol", "#!/bin/sh\necho localhost\necho node2\n")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SRUN_LOG": str(tmp_path / "log"),
        "GPUS": "2",
        "SRUN_ARGS": "--qos high",
    }
    checkpoint, out = trained[1] / "iter_3.pth", tmp_path / "r.json"
    done = _run(tiny_city, "tools/slurm_test.sh", "gpus", "job", TINY, checkpoint, "--out", out, **environment)
    assert done.returncode == 0, _last_words(done)
    assert out.read_bytes() == tested[0]
    assert len(json.loads(tested[0])["results"]) == 12
    asked = (tmp_path / "log").read_text()
    assert "--gres gpu:2 --ntasks 2 --ntasks-per-node 2" in asked
    assert "--qos high" in asked

    trained_there = tmp_path / "work"
    options = ("--cfg-options", "schedule.epochs=0.2", "train_dataloader.batch_size=1")
    done = _run(tiny_city, "tools/slurm_train.sh", "gpus", "job", TINY, trained_there, *options, **environment)
    assert done.returncode == 0, _last_words(done)
    assert (trained_there / "iter_1.pth").is_file()


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("pytorch", r"this process was not started by torchrun; see tools/dist_train\.sh"),
        ("slurm", r"this process was not started by srun; see tools/slurm_train\.sh"),
    ],
)
def test_a_launcher_that_did_not_launch_is_named(launcher: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=f"launcher {launcher}: {message}"), joined_processes(launcher):
        pass


def test_the_group_is_gone_before_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gloo's threads must not be left to the end of the interpreter, where they may abort it."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    for name, value in alone.items():
        monkeypatch.setenv(name, value)
    with joined_processes("pytorch"):
        group = weakref.ref(distributed.group.WORLD)
        holder: list[object] = [distributed.group.WORLD]
        holder.append(holder)  # a cycle, as a runner and its hooks are
        del holder
        assert group() is not None
    assert group() is None


def _run_two(script: Path) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of two processes that a script joins over gloo, and no launcher ends."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, script],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


_ONE_FAILS = """
import sys, time
import torch
from torch import distributed
from detection.processes import joined_processes
from scenes import InputError
from scenes.command import run_command

def main():
    with joined_processes("pytorch"):
        distributed.barrier()
        print(time.time(), flush=True)
        if distributed.get_rank() == 1:
            raise InputError("this one fails")
        distributed.all_reduce(torch.ones(1))

run_command(main)
"""


def test_an_error_of_one_process_ends_all(tmp_path: Path) -> None:
    script = tmp_path / "one_fails.py"
    script.write_text(_ONE_FAILS)
    done = _run_two(script)
    ended_s = time.time()
    assert [code for code, _, _ in done] == [2, 2], done
    assert ended_s - max(float(out) for _, out, _ in done) < 10
    said = [[line for line in err.splitlines() if line.startswith("error: ")] for _, _, err in done]
    assert said == [
        ["error: another process of this run has ended; what it said last is the reason"],
        ["error: this one fails"],
    ]
    assert all("Traceback" not in err for _, _, err in done)


_AVERAGED = """
import torch
from torch import distributed, nn
from detection.processes import joined_processes
from detection.training.statistics import average_statistics

with joined_processes("pytorch"):
    rank = distributed.get_rank()
    model = nn.ModuleList([nn.BatchNorm2d(1), nn.BatchNorm2d(1).eval()])
    for norm in model:
        norm.running_mean.fill_(rank)
        norm.running_var.fill_(2 * rank)
    average_statistics(model)
    print([norm.running_mean.item() for norm in model], [norm.running_var.item() for norm in model])
"""


@pytest.mark.slow
def test_statistics_of_batch_norms_are_averaged(tmp_path: Path) -> None:
    script = tmp_path / "averaged.py"
    script.write_text(_AVERAGED)
    outputs = [out for _, out, _ in _run_two(script)]
    assert outputs == ["[0.5, 0.0] [1.0, 0.0]\n", "[0.5, 1.0] [1.0, 2.0]\n"]


def test_scripts_explain_themselves() -> None:
    for script in ("dist_train", "dist_test", "slurm_train", "slurm_test"):
        done = subprocess.run([f"tools/{script}.sh"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.startswith("usage: ")) == (2, True)
