"""`--record` and `streamtrack runs`, and the tools scene by scene, as their users run them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from scenes import Scene, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of two scenes, with detections of two draws beside it."""
    root = tmp_path_factory.mktemp("recorded") / "city"
    make_city(root, train_scenes=0, val_scenes=2, frames=5, seed=4, images=False, workers=1)
    scenes = read_scenes(root, VERSION, VAL_SPLIT)
    for seed in range(2):
        write_detections(root.parent / f"draw{seed}.json", simulate_detections(scenes, seed=seed))
    return root


def where(city: Path) -> tuple[object, ...]:
    return ("--dataroot", city, "--version", VERSION, "--split", VAL_SPLIT)


def test_what_was_run_is_found_again(run: Run, city: Path, tmp_path: Path) -> None:
    store = tmp_path / "runs.sqlite"
    for seed in range(2):
        detections, tracks = city.parent / f"draw{seed}.json", tmp_path / f"tracks{seed}.json"
        record = ("--record", store)
        assert run("track.py", detections, *where(city), "--out", tracks, "--workers", 1, *record)[0] == 0
        out = tmp_path / f"metrics{seed}"
        code, said, _ = run("evaluate.py", "tracking", tracks, *where(city), "--out", out, *record)
        assert code == 0 and said.splitlines()[-1] == f"run {2 * seed + 2} -> {store}"
    code, said, _ = run("runs.py", "list", "--store", store)
    assert code == 0 and [line.split()[0] for line in said.splitlines()] == ["run", "1", "2", "3", "4"]
    shown = json.loads(run("runs.py", "show", 2, "--store", store)[1])
    summary = json.loads((tmp_path / "metrics0" / "metrics_summary.json").read_text())
    numbers = {(one["name"], one["class_"], one["scene"]): one["value"] for one in shown["metrics"]}
    assert numbers["amota", "", ""] == summary["amota"]
    assert numbers["ids", "car", ""] == summary["label_metrics"]["ids"]["car"]
    scenes = [scene.name for scene in read_scenes(city, VERSION, VAL_SPLIT)]
    for name in ("tp", "ids", "fp", "fn"):
        assert sum(numbers[name, "car", scene] for scene in scenes) == summary["label_metrics"][name]["car"]
    assert set(shown["digests"]) == {str(tmp_path / "tracks0.json"), str(city / VERSION)}
    code, said, _ = run("runs.py", "compare", 2, 4, "--store", store)
    assert code == 0 and "AMOTA" in said and "2 scenes are few" in said
    code, said, error = run("runs.py", "compare", 2, "--store", store)
    assert (code, said) == (2, "")
    assert error == "error: compare needs two runs or more: the others are set against the first\n"
    for option, name, known in (
        ("--of", "trak", "track"),
        ("--split", "cty_val", VAL_SPLIT),
        ("--scene", "city", "city-"),
        ("--class", "carr", "car"),
        ("--metric", "amot", "amota"),
    ):
        code, said, error = run("runs.py", "list", option, name, "--store", store)
        assert (code, said) == (2, "") and error.count("\n") == 1
        assert error.startswith(f"error: {option} '{name}' is none of the known ones (") and known in error
    assert run("runs.py", "page", "--out", tmp_path / "board.html", "--store", store)[0] == 0
    assert "tracks1.json" in (tmp_path / "board.html").read_text()
    (tmp_path / "tracks1.json").write_text("{}")
    code, _, error = run("runs.py", "compare", 2, 4, "--store", store)
    assert code == 2 and error.endswith("tracks1.json have changed since\n") and error.count("\n") == 1


def test_a_store_that_is_none_is_refused_before_the_work(run: Run, city: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine " * 400)
    out = tmp_path / "tracks.json"
    code, said, error = run(
        "track.py", city.parent / "draw0.json", *where(city), "--out", out, "--record", tmp_path / "store"
    )
    assert (code, said) == (2, "") and "not a store of runs" in error and error.count("\n") == 1
    assert not out.exists() and (tmp_path / "store").read_text() == "mine " * 400


def test_mlflow_gets_the_same(run: Run, city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, Any] = {}

    class StartedRun:
        def __init__(self, run_name: str) -> None:
            logged["name"] = run_name

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    mlflow: Any = ModuleType("mlflow")
    mlflow.__spec__ = SimpleNamespace()
    mlflow.start_run = StartedRun
    for name in ("set_tags", "log_params", "log_metrics", "log_dict"):
        setattr(mlflow, name, lambda content, *_, name=name: logged.update({name: content}))
    mlflow.log_artifact = lambda path: logged.setdefault("artifacts", []).append(Path(path).name)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    tracks, record = tmp_path / "tracks.json", ("--record", tmp_path / "runs.sqlite")
    assert run("track.py", city.parent / "draw0.json", *where(city), "--out", tracks, "--workers", 1, *record)[0] == 0
    assert logged["name"] == "track tracks.json" and logged["artifacts"] == ["tracks.json"]
    assert logged["log_metrics"]["tracks"] > 0 and logged["log_params"]["workers"] == "1"

    def refuse(*_: object) -> None:
        raise ConnectionError("nobody\nanswers")

    mlflow.set_tags = refuse
    out = tmp_path / "metrics"
    code, said, _ = run("evaluate.py", "tracking", tracks, *where(city), "--out", out, *record)
    assert code == 0 and said.splitlines()[-1].startswith("run 2 -> ")


def test_scene_by_scene_the_tools_write_the_same(run: Run, city: Path, tmp_path: Path) -> None:
    detections = city.parent / "draw0.json"
    once, joined = tmp_path / "once.json", tmp_path / "joined.json"
    assert run("track.py", detections, *where(city), "--out", once, "--workers", 1)[0] == 0
    shards = ("--shards", tmp_path / "tracks")
    code, _, error = run("track.py", detections, *where(city), "--out", joined, *shards, "--executor", "process")
    assert (code, error) == (0, "") and joined.read_bytes() == once.read_bytes()
    code, _, error = run("track.py", detections, *where(city), *shards)
    assert code == 2 and error.endswith("--resume keeps them and goes on\n")
    assert run("track.py", detections, *where(city), *shards, "--resume", "--executor", "process")[0] == 0
    numbers = []
    for results, extra in ((once, ()), (tmp_path / "tracks", ("--shards", tmp_path / "tallies"))):
        out = tmp_path / f"metrics{len(numbers)}"
        assert run("evaluate.py", "tracking", results, *where(city), "--out", out, *extra)[0] == 0
        summary = json.loads((out / "metrics_summary.json").read_text())
        numbers.append({key: value for key, value in summary.items() if key != "eval_time"})
    assert json.dumps(numbers[0]) == json.dumps(numbers[1])


def test_a_scene_that_fails_is_named_and_the_others_go_on(run: Run, city: Path, tmp_path: Path) -> None:
    scenes: list[Scene] = read_scenes(city, VERSION, VAL_SPLIT)
    content = json.loads((city.parent / "draw0.json").read_text())
    content["results"][scenes[1].sample_tokens[0]][0]["size"] = [1.0, 0.0, 1.0]
    (tmp_path / "broken.json").write_text(json.dumps(content))
    shards, out = ("--shards", tmp_path / "tracks"), tmp_path / "tracks.json"
    code, _, error = run("track.py", tmp_path / "broken.json", *where(city), *shards, "--out", out, "--keep-going")
    assert code == 1 and error.endswith("failures.json; --resume tries them again\n")
    assert f"scene '{scenes[1].name}' failed on" in error and "key size" in error
    assert not out.exists() and len(list((tmp_path / "tracks" / "shards").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume",), "--resume goes with --shards DIR"),
        (("--keep-going",), "--keep-going goes with --shards DIR"),
        (("--address", "auto"), "--address is of a Ray cluster: say --executor ray"),
    ],
)
def test_options_that_mean_nothing_alone_are_refused(
    run: Run, city: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, _, error = run(
        "track.py", city.parent / "draw0.json", *where(city), "--out", tmp_path / "tracks.json", *options
    )
    assert (code, error) == (2, f"error: {said}\n")


def test_one_file_alone_is_not_compared(run: Run, city: Path) -> None:
    code, said, error = run("evaluate.py", "compare", city.parent / "nosuch.json", *where(city))
    assert (code, said) == (2, "")
    assert error == "error: compare needs two result files or more: the others are set against the first\n"


def test_a_dead_cluster_is_one_line(run: Run, city: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = ("track.py", city.parent / "draw0.json", *where(city), "--shards", tmp_path / "tracks")
    code, _, error = run(*command, "--executor", "ray", "--address", "127.0.0.1:1")
    assert code == 2 and error == "error: --address 127.0.0.1:1: no Ray cluster answers there (Connection refused)\n"
