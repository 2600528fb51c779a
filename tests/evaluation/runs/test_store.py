"""The store of runs: what goes in comes out, whole or not at all, and no other file is touched."""

import math
import sqlite3
import threading
from pathlib import Path

import pytest

from evaluation.runs import store as store_module
from evaluation.runs.leaderboard import check_names, runs_table, selected, write_leaderboard
from evaluation.runs.store import ALL, Metric, Run, RunStore
from scenes import InputError


def run(name: str = "tracks.json", amota: float = 0.5, **changes: object) -> Run:
    metrics = [
        Metric("amota", amota),
        Metric("amota", amota / 2, "car"),
        Metric("ids", 7.0, "car", "scene-1"),
        Metric("ids", 9.0, scene="scene-1"),
    ]
    described = {"arguments": {"workers": 2}, "digests": {"/a": "12"}, "outputs": {"report": "/out/report.html"}}
    ordinary = {"split": "v1.0-mini mini_val", "created": "2026-01-02T03:04:05+00:00", "metrics": metrics, **described}
    return Run("evaluate tracking", name, **{**ordinary, **changes})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "new" / "runs.sqlite")


def test_a_run_comes_back_as_it_went_in(store: RunStore) -> None:
    added = run(config={"gate_m": 2.0}, versions={"numpy": "1"})
    assert [store.add(added), store.add(run("other.json"))] == [1, 2]
    read = RunStore(store.path).run(1)
    assert read == Run(**{**vars(added), "number": 1})
    assert [one.name for one in store.runs()] == ["tracks.json", "other.json"]
    assert (read.value("ids", "car", "scene-1"), read.value("ids", scene="scene-1")) == (7.0, 9.0)
    assert store.runs()[0].value("ids", scene="scene-1") is None  # read where they are asked for


def test_what_is_not_defined_is_left_out(store: RunStore) -> None:
    store.add(run(metrics=[Metric("amota", math.nan), Metric("recall", 0.5)]))
    assert store.run(1).metrics == [Metric("recall", 0.5)]


def test_several_processes_may_add_at_a_time(store: RunStore) -> None:
    threads = [threading.Thread(target=lambda: RunStore(store.path).add(run())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.number for one in store.runs()] == list(range(1, 9))


def test_a_store_that_is_being_made_is_one(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the tables between two looks at the file."""
    tables, makers = store_module._tables, []

    def and_meanwhile(connection: sqlite3.Connection) -> list[str]:
        monkeypatch.setattr(store_module, "_tables", tables)
        makers.append(threading.Thread(target=store.add, args=(run(),)))
        makers[0].start()
        makers[0].join(0.2)
        return tables(connection)

    store.path.parent.mkdir(parents=True, exist_ok=True)
    store.path.touch()
    monkeypatch.setattr(store_module, "_tables", and_meanwhile)
    RunStore(store.path)
    makers[0].join()
    assert [one.number for one in store.runs()] == [1]


def test_a_run_is_added_whole_or_not_at_all(store: RunStore) -> None:
    store.add(run())
    with pytest.raises(InputError, match=r"runs\.sqlite: NOT NULL constraint failed"):
        store.add(run(metrics=[Metric("amota", 0.5), Metric(None, 0.5)]))  # type: ignore[arg-type]
    assert [one.number for one in store.runs()] == [1]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as one" * 40, b"{}"])
def test_what_is_no_store_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.txt: not a store of runs"):
        RunStore(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (mine TEXT)")
    before = path.read_bytes()
    with pytest.raises(InputError, match="an SQLite file, but no store of runs"):
        RunStore(path)
    assert path.read_bytes() == before


def test_runs_that_are_not_there_are_named(store: RunStore) -> None:
    with pytest.raises(InputError, match="no such store of runs; --record makes it"):
        store.runs()
    store.add(run())
    with pytest.raises(InputError, match="no run 7"):
        store.run(7)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RunStore(tmp_path / "file" / "runs.sqlite").add(run())


def test_the_list_shows_scenes_classes_and_errors(store: RunStore) -> None:
    store.add(run("many.json"))
    store.add(run("few.json", metrics=[Metric("ids", 3.0, "car", "scene-1"), Metric("fp", 1.0, "car", "scene-1")]))
    store.add(run("elsewhere.json", split="v1.0-trainval val"))
    runs = store.runs(scenes=True)
    assert [one.name for one in selected(runs, split="mini_val")] == ["many.json", "few.json"]
    assert len(selected(runs, scene="scene-1", class_="car")) == 3
    assert selected(runs, scene="scene-2") == selected(runs, command="track") == []
    table = runs_table(selected(runs, split="mini_val"), scene="scene-1", class_="car", error="switches")
    header, first, second = table.splitlines()
    assert header.split()[-2:] == ["ids", "fp"]
    assert first.split()[-2:] == ["3", "1"] and "few.json" in first
    assert second.split()[-2:] == ["7", "-"]
    assert "0.5000" in runs_table(runs) and ALL == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"command": "track"}, "--of 'track' is none of the known ones (evaluate tracking)"),
        ({"split": "mini_vel"}, "--split 'mini_vel' is none of the known ones (nearest: mini_val)"),
        ({"scene": "scene-2"}, "--scene 'scene-2' is none of the known ones (scene-1)"),
        ({"class_": "carr"}, "--class 'carr' is none of the known ones (car)"),
        ({"metric": "amot"}, "--metric 'amot' is none of the known ones (amota)"),
        ({"metric": "amota", "scene": "scene-1"}, "--metric 'amota' is none of the known ones (ids)"),
    ],
)
def test_names_that_no_run_has_are_refused(store: RunStore, asked: dict[str, str], said: str) -> None:
    store.add(run())
    with pytest.raises(InputError) as caught:
        check_names(store.runs(scenes=True), **asked)  # type: ignore[arg-type]
    assert str(caught.value) == said


def test_names_that_a_run_has_are_accepted(store: RunStore) -> None:
    store.add(run())
    runs = store.runs(scenes=True)
    check_names(runs)
    check_names(runs, command="evaluate tracking", split="mini_val", scene="scene-1", class_="car", metric="ids")
    with pytest.raises(InputError, match="--scene 'scene-1': no run has any"):
        check_names([], scene="scene-1")


def test_the_leaderboard_has_the_best_first(store: RunStore, tmp_path: Path) -> None:
    for name, amota in (("worse.json", 0.4), ("best.json", 0.6), ("<b>.json", 0.5)):
        store.add(run(name, amota, outputs={"report": str(tmp_path / "reports" / f"{amota}.html")}))
    write_leaderboard(tmp_path / "board.html", store.runs())
    page = (tmp_path / "board.html").read_text()
    assert page.index("best.json") < page.index("&lt;b&gt;.json") < page.index("worse.json")
    assert '<a href="reports/0.6.html">report</a>' in page and "<b>.json" not in page
    assert "Tracking on v1.0-mini mini_val" in page
