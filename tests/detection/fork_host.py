"""Forks runs of the tools from one process that has imported what takes long: each start with torch takes seconds.

A line of JSON on its input asks for a run: `tool`, `arguments`, `processes`, `environment`, and `log`, a file that gets
what the run prints. Two lines of JSON answer: the process ids, and, when all have ended, their exit codes. Several
processes are the ranks of a group that a launcher would start; one that fails ends the others.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parents[2] / "tools"
PRELOADED = ("detection.training", "detection.running.tasks", "torch.utils.tensorboard", "evaluation.detection")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port: int = free.getsockname()[1]
        return port


def _become(run: dict[str, Any], rank: int, port: int) -> None:
    """Turn this process, just forked, into one of a run's."""
    os.environ.update(run["environment"])
    arguments = run["arguments"]
    if run["processes"] > 1:
        group = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": run["processes"]}
        os.environ.update({name: str(value) for name, value in {**group, "RANK": rank, "LOCAL_RANK": rank}.items()})
        arguments = [*arguments, "--launcher", "pytorch"]
    log = os.open(run["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    sys.argv = [run["tool"], *arguments]
    runpy.run_path(str(TOOLS / run["tool"]), run_name="__main__")


def _ended(pids: list[int]) -> list[int]:
    """Exit codes of processes, in their order."""
    codes: dict[int, int] = {}
    while len(codes) < len(pids):
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
        if codes[pid] != 0:
            for other in set(pids) - set(codes):
                os.kill(other, signal.SIGTERM)
    return [codes[pid] for pid in pids]


def main() -> None:
    """Answer until the input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        run, port, pids = json.loads(line), _free_port(), []
        for rank in range(run["processes"]):
            pid = os.fork()
            if pid == 0:
                _become(run, rank, port)
                return
            pids.append(pid)
        print(json.dumps(pids), flush=True)
        print(json.dumps(_ended(pids)), flush=True)


if __name__ == "__main__":
    main()
