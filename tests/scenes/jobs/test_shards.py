"""Folders of shards: what is there stays, what is missing is made, and nothing is mixed with another run's."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from scenes import InputError
from scenes.jobs.executors import Executor, InProcess, LocalProcesses, SetupError
from scenes.jobs.shards import Shards, begin_shards, file_digest, open_shards, run_shards

SCENES = ("scene-1", "scene/2", "scene-3")


def begin(folder: Path, *, resume: bool = False, **settings: Any) -> Shards:
    return begin_shards(folder, "tracks", SCENES, settings=settings, inputs={"detections": "abc"}, resume=resume)


def _write(name: str, path: Path) -> None:
    path.write_text(f'"{name}"')


def _refuse_second(name: str, path: Path) -> None:
    if name == "scene/2":
        raise InputError("boxes.json: sample 'x', box 3, key size: 0 is no length")
    path.write_text(name)


def _fail_oddly(name: str, path: Path) -> None:
    raise KeyError("speed")


def _fill_disk(name: str, path: Path) -> None:
    path.write_text("half of")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def run(shards: Shards, function: Any = _write, executor: Executor | None = None, **how: Any) -> int:
    jobs = [(name, (name,)) for name in SCENES]
    return run_shards(shards, function, jobs, executor or InProcess(), **how)


def contents(shards: Shards) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((shards.folder / "shards").iterdir())}


def test_shards_are_the_same_whoever_writes_them(tmp_path: Path) -> None:
    alone, together = begin(tmp_path / "a"), begin(tmp_path / "b")
    assert run(alone) == run(together, executor=LocalProcesses(2)) == 0
    assert contents(alone) == contents(together) and len(contents(alone)) == 3
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()
    assert [path.read_text() for path in alone.paths()] == ['"scene-1"', '"scene/2"', '"scene-3"']


def test_only_what_is_missing_is_made_anew(tmp_path: Path) -> None:
    shards = begin(tmp_path / "run")
    run(shards)
    shards.path("scene-1").write_text("made before")
    shards.path("scene-3").unlink()
    (tmp_path / "run" / "shards" / ".scene-3.4f3a.tmp.json").write_text("of a killed worker")
    seen: list[tuple[int, int]] = []
    assert run(begin(tmp_path / "run", resume=True), progress=lambda *counts: seen.append(counts)) == 0
    assert seen == [(2, 3), (3, 3)]
    assert contents(shards)["scene-1.json"] == "made before" and contents(shards)["scene-3.json"] == '"scene-3"'
    assert len(contents(shards)) == 3


def test_a_run_without_resume_touches_nothing(tmp_path: Path) -> None:
    shards = begin(tmp_path / "run")
    run(shards)
    before = contents(shards)
    with pytest.raises(InputError, match="run: holds shards of this run; --resume keeps them and goes on"):
        begin(tmp_path / "run")
    assert contents(shards) == before


def test_a_run_that_came_to_nothing_is_no_obstacle(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    assert run(begin(tmp_path / "run")) == 0


def test_shards_of_another_run_are_refused(tmp_path: Path) -> None:
    run(begin(tmp_path / "run", gate_m=2.0))
    with pytest.raises(InputError, match=r"another run \(settings.gate_m differs: 2.0 there, 3.0 here\)"):
        begin(tmp_path / "run", resume=True, gate_m=3.0)
    with pytest.raises(InputError, match=r"another run \(inputs.detections differs: 'abc' there, 'abd' here\)"):
        begin_shards(
            *(tmp_path / "run", "tracks", SCENES),
            settings={"gate_m": 2.0},
            inputs={"detections": "abd"},
            resume=True,
        )
    with pytest.raises(InputError, match="holds shards of tracks, expected detections"):
        open_shards(tmp_path / "run", "detections")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "not the manifest"), (b'{"format": 3}', "not the manifest"), (b"\xff", "not the manifest")],
)
def test_a_broken_manifest_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=f"manifest.json: {said}"):
        begin(tmp_path, resume=True)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"a folder without manifest\.json: not one of shards"):
        begin(tmp_path, resume=True)


def test_a_scene_that_fails_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    shards = begin(tmp_path / "run")
    with pytest.raises(InputError, match=r"'scene/2': boxes.json: sample 'x'.*\(1 of 3 scenes are done; --resume"):
        run(shards, _refuse_second)
    assert list(contents(shards)) == ["scene-1.json"]


def test_keep_going_logs_what_failed_and_does_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shards = begin(tmp_path / "run")
    assert run(shards, _refuse_second, keep_going=True) == 1
    assert list(contents(shards)) == ["scene-1.json", "scene-3.json"]
    (line,) = caplog.messages
    assert line.startswith("scene 'scene/2' failed on ") and line.endswith("key size: 0 is no length")
    failures = json.loads((tmp_path / "run" / "failures.json").read_text())
    assert list(failures) == ["scene/2"] and "_refuse_second" in failures["scene/2"]["trace"]
    with pytest.raises(InputError, match=r"the shard of scene 'scene/2' is missing \(1 of 3"):
        list(shards.paths())
    assert run(begin(tmp_path / "run", resume=True)) == 0
    assert not (tmp_path / "run" / "failures.json").exists()


def test_an_error_of_ours_is_not_dressed_up_as_bad_input(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="speed"):
        run(begin(tmp_path / "run"), _fail_oddly)
    assert run(begin(tmp_path / "run", resume=True), _fail_oddly, keep_going=True) == 3
    assert "KeyError: 'speed'" in (tmp_path / "run" / "failures.json").read_text()


def test_a_full_disk_stops_even_who_keeps_going(tmp_path: Path) -> None:
    shards = begin(tmp_path / "run")
    with pytest.raises(InputError, match=r"scene-1.json: No space left on device \(0 of 3 scenes are done"):
        run(shards, _fill_disk, keep_going=True)
    assert contents(shards) == {}


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    shards = begin(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(SetupError, match="every node has to see it"):
        run(shards, keep_going=True)


def test_a_digest_tells_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    assert file_digest(tmp_path / "a") != file_digest(tmp_path / "b")
    shards = begin(tmp_path / "run")
    before = file_digest(tmp_path / "run")
    run(shards)
    assert file_digest(tmp_path / "run") != before
    with pytest.raises(InputError, match="nothing: No such file"):
        file_digest(tmp_path / "nothing")
