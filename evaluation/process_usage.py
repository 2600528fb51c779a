"""What a process and its children take of the machine, as Linux tells it; a process that has ended takes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def with_children(pid: int) -> Iterator[int]:
    """A process, its children, theirs, and so on."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # it has ended meanwhile
        return
    for child in children.split():
        yield from with_children(int(child))


def memory_bytes(pid: int, kind: str) -> int:
    """Memory of a process: `VmRSS`, all that is resident, or `RssAnon`, what belongs to it alone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith(kind)), 0)


def cpu_s(pid: int, ended_children: bool = False) -> float:
    """CPU time of a process, of all its threads; on request with that of its children that have ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, after_name[11 : 15 if ended_children else 13])) / os.sysconf("SC_CLK_TCK")
