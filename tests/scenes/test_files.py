"""Files are written whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenes.files import atomic_path, atomic_paths, write_atomically


def test_content_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, b"old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("stop")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_written_all_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_paths(paths) as temporaries:
        temporaries[0].write_text("new")
        raise RuntimeError("stop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), atomic_paths([*paths, tmp_path / "folder"]):
        pytest.fail("was begun")
    with pytest.raises(FileNotFoundError) as caught, atomic_paths(paths) as temporaries:
        temporaries[1].unlink()
    assert caught.value.filename == str(paths[1])
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "folder", "second"]
    with atomic_paths(paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    assert [path.read_text() for path in paths] == ["new", "new"]


def test_rights_are_those_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    write_atomically(tmp_path / "file.json", b"")
    assert (tmp_path / "file.json").stat().st_mode == ordinary.stat().st_mode


def test_the_umask_of_the_process_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: a file that another one makes in that moment would be open to everybody."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    write_atomically(tmp_path / "file.json", b"")


def test_what_cannot_be_written_is_told_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    too_long = tmp_path / f"{'x' * 300}.json"
    for path in (tmp_path / "folder.json", too_long, Path("/proc/nothing.json")):
        with pytest.raises(OSError) as caught:
            write_atomically(path, b"new")
        assert caught.value.filename == str(path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def test_killed_run_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, b"old")
    program = (
        "import sys, time; from pathlib import Path; from scenes.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('writing', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == b"old"
