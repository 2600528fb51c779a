"""The command: what it prints and writes, and one line for what it cannot use, with nothing written."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.registry import MODELS
from scenes.city import VAL_SPLIT, VERSION, make_city

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "detection" / "city_tiny.py"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("live") / "city"
    make_city(root, train_scenes=0, val_scenes=1, frames=3, image_size=(96, 54), seed=4, workers=1)
    return root


@pytest.fixture(scope="module")
def checkpoint(city: Path) -> Path:
    """Chance weights of the tiny detector."""
    from detection.config import read_config

    torch.manual_seed(0)
    path = city.parent / "tiny.pth"
    torch.save(MODELS.build(read_config(TINY).model).state_dict(), path)
    return path


@pytest.fixture
def live(run: Run, city: Path, checkpoint: Path) -> Run:
    def run_live(*more: object, source: Path = city, weights: Path = checkpoint) -> tuple[int, str, str]:
        return run("live.py", TINY, weights, source, "--version", VERSION, "--split", VAL_SPLIT, *more)

    return run_live


def test_tracks_and_statistics(live: Run, tmp_path: Path) -> None:
    path = tmp_path / "tracks.jsonl"
    code, out, _ = live("--every-step", "--json-lines", path, "--state", tmp_path / "state.npz", "--stats")
    assert code == 0
    assert len(path.read_text().splitlines()) == 3
    for word in ("stage", "p50 ms", "p99 ms", "dropped", "decode", "detect", "track", "publish", "whole"):
        assert word in out
    # All has been seen: a restart adds nothing to the file, and takes nothing from it.
    assert live("--every-step", "--json-lines", path, "--state", tmp_path / "state.npz")[0] == 0
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_folder_of_onnx_files_gives_the_tracks_of_the_network_that_it_was_made_of(
    live: Run, run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    assert run("export.py", TINY, checkpoint, "--out", tmp_path / "onnx")[0] == 0
    steps = []
    for weights in (checkpoint, tmp_path / "onnx"):
        path = tmp_path / f"{weights.stem}.jsonl"
        assert live("--every-step", "--json-lines", path, weights=weights)[0] == 0
        steps.append([json.loads(line)["objects"] for line in path.read_text().splitlines()])
    assert any(steps[0])
    for of_network, of_files in zip(*steps, strict=True):
        assert [thing["tracking_id"] for thing in of_files] == [thing["tracking_id"] for thing in of_network]
        for ours, theirs in zip(of_files, of_network, strict=True):
            assert ours["translation"] == pytest.approx(theirs["translation"], abs=0.05)


@pytest.fixture
def taken_port() -> Any:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def _refused(result: tuple[int, str, str], said: str) -> None:
    code, out, err = result
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and said in err, err


def test_bad_input_is_one_line_and_nothing_is_written(
    live: Run, run: Run, city: Path, tmp_path: Path, taken_port: int
) -> None:
    tracks, state = tmp_path / "tracks.jsonl", tmp_path / "state.npz"
    out = ("--json-lines", tracks, "--mcap", tmp_path / "tracks.mcap")
    torch.save({"other.weight": torch.zeros(3)}, tmp_path / "other.pth")
    _refused(live(*out, weights=tmp_path / "other.pth"), "other.pth")
    _refused(live(*out, weights=tmp_path / "missing.pth"), "missing.pth")
    _refused(live(*out, source=tmp_path / "missing"), "missing: no such file or folder")
    _refused(
        live(*out, "--page", "--port", taken_port), f"--port {taken_port}: is taken; is a page served there already?"
    )
    state.write_bytes(b"text")
    _refused(live(*out, "--state", state), "state.npz: no state of a live run")
    assert state.read_bytes() == b"text"
    state.unlink()
    _refused(live(*out, "--ros2", "objects"), "--ros2 needs rclpy")
    _refused(live(*out, "--mcap", tmp_path / "no" / "tracks.mcap"), "no such folder")
    _refused(live(*out, "--speed", 0), "--speed 0.0: expected at least 0.01")
    _refused(live(*out, "--split", "nowhere"), "nowhere")
    _refused(run("live.py", TINY, tmp_path / "other.pth", city), "say its --version and --split")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.pth"]
