"""Commands that are killed or interrupted just before an output takes its place: old outputs stay, no process does.

The commands run in processes of their own, into which a module is put that stops them at that point.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from detection.config import read_config
from detection.data.create_infos import create_infos
from detection.registry import MODELS
from scenes import read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from tracking import load_tracker_config, track_results

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "detection" / "city_tiny.py"
IMAGES_TINY = ROOT / "tests" / "detection" / "images_tiny.py"
PAUSE = """
import os, time

def fsync(handle):  # files are whole then, under temporary names
    open(os.environ["REACHED"], "w").close()
    time.sleep(600)

os.fsync = fsync
"""
OLD = b"old"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A city with two scenes in its validation split, and what commands need of it."""
    folder = tmp_path_factory.mktemp("world")
    city = folder / "city"
    make_city(city, train_scenes=1, val_scenes=2, frames=4, image_size=(176, 99), seed=3, workers=1)
    create_infos(city, VERSION)
    scenes = read_scenes(city, VERSION, VAL_SPLIT)
    detections = simulate_detections(scenes)
    write_detections(folder / "detections.json", detections)
    write_tracks(folder / "tracks.json", track_results(detections, scenes))
    (folder / "scalars.json").write_text(json.dumps({"step": 1, "lr": 0.1, "time": 0.5, "loss": 3.0}) + "\n")
    images = folder / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.full((64, 96, 3), 90, dtype=np.uint8))
    categories = [dict(id=1, name="car"), dict(id=2, name="cat")]
    content = dict(images=[dict(id=1, file_name="a.png", width=96, height=64)], categories=categories, annotations=[])
    (images / "instances.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_ROOT", str(city))
        patch.setenv("IMAGES_ROOT", str(images))
        for config, name in ((TINY, "tiny"), (IMAGES_TINY, "yolo")):
            model = MODELS.build(read_config(config)["model"])
            if name == "yolo":  # a router that was never trained has no thresholds
                torch.nn.init.normal_(model.router.layer2.weight)
            torch.save(model.state_dict(), folder / f"{name}.pth")
    return {"city": city, "images": images, "folder": folder}


@contextmanager
def started(command: str, world: dict[str, Path], out: Path, paused: bool = True) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own."""
    site = out.parent / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(PAUSE if paused else "")
    words = command.format(**world, out=out, tiny=TINY, yolo=IMAGES_TINY).split()
    environment = {
        **os.environ,
        "CITY_ROOT": str(world["city"]),
        "IMAGES_ROOT": str(world["images"]),
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
        "REACHED": str(out.parent / "reached"),
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / words[0]), *words[1:]],
        env=environment,
        cwd=out.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for left in session(process.pid):
            os.kill(left, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def session(leader: int) -> list[int]:
    """The processes of a session that are alive."""
    alive = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = status.read_text().rpartition(") ")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(of_session) == leader and state != "Z":
            alive.append(int(status.parent.name))
    return alive


def wait_until(reached: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_nobody_left(leader: int) -> None:
    end = time.monotonic() + 30
    while left := session(leader):
        assert time.monotonic() < end, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
        time.sleep(0.05)


_CITY = f"--dataroot {{city}} --version {VERSION} --split {VAL_SPLIT}"
_VISUALIZE = f"visualize.py {{folder}}/tracks.json {_CITY} --out {{out}} --format"
# A command, and its outputs.
COMMANDS = {
    "track": (f"track.py {{folder}}/detections.json {_CITY} --out {{out}}/tracks.json", ["tracks.json"]),
    "create_data": (
        f"create_data.py {{city}} --version {VERSION} --out-dir {{out}} --coco",
        [
            name
            for split in ("train", "val")
            for name in (f"nuscenes2d_temporal_infos_city_{split}.pkl", f"coco_city_{split}.json")
        ],
    ),
    "convert_checkpoint": ("convert_checkpoint.py {folder}/tiny.pth {out}/weights.pth", ["weights.pth"]),
    "analyze_logs": ("analyze_logs.py plot_curve {folder}/scalars.json --out {out}/curves.png", ["curves.png"]),
    "video": (f"{_VISUALIZE} video --workers 1", ["city-0002.mp4", "city-0003.mp4"]),
    "html": (f"{_VISUALIZE} html --workers 1", ["city-0002.html", "city-0003.html", "index.html"]),
    "html in workers": (f"{_VISUALIZE} html --workers 2", ["city-0002.html", "city-0003.html", "index.html"]),
    "png": (f"{_VISUALIZE} png", ["city-0002.png"]),
    "svg": (f"{_VISUALIZE} svg", ["city-0002.svg"]),
    "pdf": (f"{_VISUALIZE} pdf", ["city-0002.pdf"]),
    "heat": (f"{_VISUALIZE} heat", ["errors.png"]),
    "rerun": (f"{_VISUALIZE} rerun --workers 1", ["city-0002.rrd"]),
    "evaluate": (
        f"evaluate.py tracking {{folder}}/tracks.json {_CITY} --out {{out}}",
        ["metrics_summary.json", "metrics_details.json"],
    ),
    "test": ("test.py {tiny} {folder}/tiny.pth --out {out}/results.json", ["results.json"]),
    "test with data workers": (
        "test.py {tiny} {folder}/tiny.pth --out {out}/results.json --cfg-options val_dataloader.num_workers=2",
        ["results.json"],
    ),
    "test on images": ("test.py {yolo} {folder}/yolo.pth --out {out}/results.json", ["results.json"]),
    "detect": (
        "detect.py {yolo} {folder}/yolo.pth --source {images}/a.png --out {out} --dynamic-threshold 0",
        ["a.png", "detections.json"],
    ),
    "train": ("train.py {tiny} --work-dir {out} --cfg-options schedule.epochs=0.167", ["last_checkpoint"]),
    "train with data workers": (
        "train.py {tiny} --work-dir {out} --cfg-options schedule.epochs=0.167 train_dataloader.num_workers=2",
        ["last_checkpoint"],
    ),
}
QUICK = ("track",)
# Every command is met, and both ways where they differ most: with workers that may be left, and with several outputs.
KILLED_ONLY = ("train with data workers", "test", "video", "png", "pdf", "rerun", "analyze_logs")
INTERRUPTED_ONLY = ("train", "test on images", "detect", "html", "svg", "heat", "convert_checkpoint")


def _ways() -> Iterator[Any]:
    for name in COMMANDS:
        for kind, other, way in (
            (signal.SIGKILL, INTERRUPTED_ONLY, "killed"),
            (signal.SIGINT, KILLED_ONLY, "interrupted"),
        ):
            if name not in other:
                marks = () if name in QUICK else pytest.mark.slow
                yield pytest.param(name, kind, marks=marks, id=f"{name}-{way}")


@pytest.mark.parametrize(("name", "kind"), list(_ways()))
def test_old_outputs_stay_and_no_process(
    name: str, kind: signal.Signals, world: dict[str, Path], tmp_path: Path
) -> None:
    command, outputs = COMMANDS[name]
    out = tmp_path / "out"
    out.mkdir()
    for output in outputs:
        (out / output).write_bytes(OLD)
    with started(command, world, out) as process:
        wait_until((tmp_path / "reached").exists, process)
        if kind is signal.SIGINT:
            os.killpg(process.pid, kind)  # as a terminal does
        else:
            process.kill()
        assert process.wait(60) == (130 if kind is signal.SIGINT else -signal.SIGKILL)
        assert_nobody_left(process.pid)
        error = process.communicate()[1]
    assert {output: (out / output).read_bytes() for output in outputs} == dict.fromkeys(outputs, OLD)
    if kind is signal.SIGINT:
        assert error.splitlines()[-1:] == ["stopped"] and "Traceback" not in error
        if "in workers" not in name:  # these end at once
            assert [path.name for path in out.rglob(".*") if ".tmp" in path.name] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_city_in_the_making(kind: signal.Signals, world: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "city"
    command = "make_city.py {out} --train-scenes 0 --val-scenes 4 --frames 20 --workers 2"
    with started(command, world, out, paused=False) as process:
        wait_until(lambda: next(tmp_path.glob(".city.*/root/samples/*/*.jpg"), None), process)
        if kind is signal.SIGINT:
            os.killpg(process.pid, kind)
        else:
            process.kill()
        assert process.wait(60) == (130 if kind is signal.SIGINT else -signal.SIGKILL)
        assert_nobody_left(process.pid)
        error = process.communicate()[1]
    assert not out.exists()
    if kind is signal.SIGINT:
        assert error == "stopped\n"
        assert not list(tmp_path.glob(".city.*"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_search_for_settings_goes_on(kind: signal.Signals, world: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    journal = out / "trials.journal"
    command = f"tune_tracker.py {{folder}}/detections.json {_CITY} --out {{out}} --held-out 0 --workers 2 --trials "
    with started(f"{command} 500", world, out, paused=False) as process:
        wait_until(lambda: journal.exists() and journal.read_text().count('"values"') >= 3, process)
        if kind is signal.SIGINT:
            os.killpg(process.pid, kind)
        else:
            process.kill()
        assert process.wait(60) == (130 if kind is signal.SIGINT else -signal.SIGKILL)
        assert_nobody_left(process.pid)
        error = process.communicate()[1]
    assert kind is signal.SIGKILL or error == "stopped\n"
    assert not (out / "tuned.py").exists()
    with started(f"{command} 1", world, out, paused=False) as process:
        assert process.wait(PATIENCE_S) == 0, process.communicate()[1]
    load_tracker_config(out / "tuned.py")
