"""Data loaders: workers that share what they can, and end when training does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from detection.data.packed import PackedList
from scenes.jobs.processes import worker_context

_SIZE = 64 * 2**20
_GIVE_UP_S = 240.0


class _MemoryOfWorker(Dataset[int]):
    """Items are the bytes that the worker holds for itself alone, once it has read all that it was given."""

    def __init__(self, items: list[bytes]) -> None:
        self._items = PackedList(items)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        for item in range(len(self._items)):
            assert len(self._items[item])
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _private_bytes(items: list[bytes]) -> int:
    loader = DataLoader(_MemoryOfWorker(items), num_workers=1, multiprocessing_context=worker_context())
    return int(next(iter(loader)))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="the system does not tell")
def test_workers_share_the_items_of_a_packed_list() -> None:
    pieces = 64
    with_items = _private_bytes([os.urandom(_SIZE // pieces) for _ in range(pieces)])
    assert with_items - _private_bytes([b"little"]) < 0.1 * _SIZE


_TRAINING = """
import os, sys, time
from pathlib import Path
from detection.data.loading import build_loader
from detection.registry import DATA_SAMPLERS, DATASETS

@DATASETS.register_module()
class Slow:
    collate = staticmethod(lambda items: items)
    def __init__(self, folder):
        self.folder = folder
    def __len__(self):
        return 2
    def __getitem__(self, index):
        path = Path(self.folder, f"{index}.tmp")
        path.write_text(str(os.getpid()))
        path.rename(path.with_suffix(".pid"))
        time.sleep(60)

@DATA_SAMPLERS.register_module()
class InOrder:
    def __init__(self, dataset, seed):
        pass
    def __iter__(self):
        return iter(range(2))
    def __len__(self):
        return 2

def collate(items):
    return items

Slow.collate = staticmethod(collate)
if __name__ == "__main__":
    config = dict(dataset=dict(type="Slow", folder=sys.argv[1]), sampler=dict(type="InOrder"), num_workers=2)
    next(iter(build_loader(config)))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_workers_end_when_training_is_killed(tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(_TRAINING)
    training = subprocess.Popen([sys.executable, tmp_path / "training.py", tmp_path])
    end = time.monotonic() + _GIVE_UP_S / 2
    while len(list(tmp_path.glob("*.pid"))) < 2:
        assert training.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    workers = [Path("/proc", path.read_text()) for path in tmp_path.glob("*.pid")]
    training.send_signal(signal.SIGKILL)
    training.wait()
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_running(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
