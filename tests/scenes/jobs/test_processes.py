"""Worker processes: results in order, and none that outlives its parent, an error or an interrupt."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scenes import InputError
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import worker_pool

_GIVE_UP_S = 240.0


def _squared(number: int) -> int:
    return number * number


def _leave_mark_and_sleep(folder: Path, number: int) -> None:
    (folder / f"{number}.tmp").write_text(str(os.getpid()))
    (folder / f"{number}.tmp").rename(folder / f"{number}.pid")
    time.sleep(_GIVE_UP_S)


def _refuse_or_sleep(folder: Path, number: int) -> None:
    if number == 0:
        _wait_until(lambda: (folder / "1.pid").exists())
        raise InputError("scene 0: refused")
    _leave_mark_and_sleep(folder, number)


def _threads_of_blas(number: int) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


def _kill_itself(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _GIVE_UP_S / 2
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    """Whether a process is there and no zombie, which nobody may reap in a container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif("OPENBLAS_NUM_THREADS" in os.environ, reason="the environment says how many")
def test_workers_multiply_matrices_in_one_thread() -> None:
    assert list(run_jobs(_threads_of_blas, [(0,), (1,)], 2)) == ["1", "1"]
    assert "OPENBLAS_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    assert list(run_jobs(_squared, [(number,) for number in range(5)], workers)) == [0, 1, 4, 9, 16]


def test_an_error_ends_what_the_other_workers_do(tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(InputError, match="scene 0: refused"):
        list(run_jobs(_refuse_or_sleep, [(tmp_path, number) for number in range(2)], 2))
    assert time.monotonic() - before < _GIVE_UP_S / 2


def test_closing_the_iterator_ends_the_workers(tmp_path: Path) -> None:
    results = run_jobs(_squared_or_sleep, [(tmp_path, 3), (tmp_path, -1)], 2)
    assert next(results) == 9
    _wait_until(lambda: (tmp_path / "-1.pid").exists())
    results.close()
    pid = int((tmp_path / "-1.pid").read_text())
    _wait_until(lambda: not _is_running(pid))


def _squared_or_sleep(folder: Path, number: int) -> int:
    if number < 0:
        _leave_mark_and_sleep(folder, number)
    return _squared(number)


def test_an_error_while_a_worker_sends_its_result_ends_both() -> None:
    """Half a message, of which the rest never comes."""

    def interrupted() -> None:
        with pytest.raises(InputError, match="refused"), worker_pool(1) as pool:
            pool.submit(_much)
            _wait_until(lambda: pool._result_queue._reader.poll())  # type: ignore[attr-defined]
            raise InputError("refused")

    waiting = threading.Thread(target=interrupted, daemon=True)
    waiting.start()
    waiting.join(_GIVE_UP_S / 4)
    assert not waiting.is_alive()


def _much() -> bytes:
    return bytes(300_000_000)


def test_a_killed_worker_is_one_clear_error() -> None:
    with pytest.raises(ChildProcessError, match="a worker process was killed"):
        list(run_jobs(_kill_itself, [(0,), (1,)], 2))


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    with worker_pool(1) as pool:
        starter = threading.Thread(target=lambda: pool.submit(_squared, 2).result())
        starter.start()
        starter.join()
        assert pool.submit(os.getpid).result() == pool.submit(os.getpid).result() != os.getpid()
        assert pool.submit(_squared, 3).result() == 9


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_when_their_parent_does(tmp_path: Path, signal_number: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from scenes.jobs.executors import run_jobs\n"
        f"{_SLEEPING_JOB}"
        "if __name__ == '__main__':\n"
        "    list(run_jobs(job, [(sys.argv[1], number) for number in range(2)], 2))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    _wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert all(map(_is_running, pids))
    if signal_number == signal.SIGINT:
        os.killpg(parent.pid, signal_number)  # as the keyboard does
    else:
        parent.send_signal(signal_number)
    _, message = parent.communicate(timeout=_GIVE_UP_S / 2)  # ends when nobody holds the pipe: no worker, no server
    _wait_until(lambda: not any(map(_is_running, pids)))
    assert message.count("Traceback") == (1 if signal_number == signal.SIGINT else 0)


def test_a_script_needs_no_guard_unless_its_own_functions_are_the_jobs(ran) -> None:
    script = ran(
        "import math, sys\n"
        "from scenes.jobs.executors import run_jobs\n"
        "print(*run_jobs(math.factorial, [(3,), (4,)], 2), __name__)\n"
    )
    assert (script.stdout, script.stderr) == ("6 24 __main__\n", "")


def test_a_worker_that_is_killed_in_the_middle_of_its_result_is_not_waited_for(ran) -> None:
    script = ran(
        "import os, signal\n"
        "from multiprocessing.connection import Connection\n"
        "from scenes.jobs.executors import run_jobs\n"
        "def half(self, buffer, write=os.write):\n"
        "    write(self._handle, bytes(buffer)[: len(buffer) // 2])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "def job(number):\n"
        "    Connection._send = half\n"
        "    return bytes(1000)\n"
        "if __name__ == '__main__':\n"
        "    list(run_jobs(job, [(1,), (2,)], 2))\n"
    )
    assert "ChildProcessError: a worker process was killed in the middle of its work" in script.stderr


_SLEEPING_JOB = f"""
def job(folder, number):
    import os
    path = Path(folder, f"{{number}}.tmp")
    path.write_text(str(os.getpid()))
    path.rename(path.with_suffix(".pid"))
    time.sleep({_GIVE_UP_S})
"""
