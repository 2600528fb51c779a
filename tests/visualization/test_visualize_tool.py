"""The command line: what is written and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def visualize(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/visualize.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.fixture
def tracks(shared: Path) -> Path:
    return shared / "expected" / "fastbev" / "tracks_polymot.json"


def test_a_scene_not_in_the_data_root_is_one_line(mini_val, tracks, tmp_path):
    out = tmp_path / "out"
    run = visualize(tracks, "--dataroot", mini_val, "--version", "v1.0-mini", "--scene", "scene-9999", "--out", out)
    assert run.returncode == 2
    assert run.stderr == "error: scene 'scene-9999' is not in the data root (or not in the split)\n"
    assert not out.exists()


def test_a_file_that_is_no_result_file_is_one_line(mini_val, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    run = visualize(bad, "--dataroot", mini_val, "--version", "v1.0-mini", "--out", tmp_path / "out")
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {bad}: not JSON")
    assert run.stderr.count("\n") == 1


def test_one_scene_becomes_one_video(mini_val, tracks, tmp_path):
    out = tmp_path / "out"
    run = visualize(tracks, "--dataroot", mini_val, "--version", "v1.0-mini", "--scene", "scene-0916", "--out", out)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in out.iterdir()] == ["scene-0916.mp4"]
    assert "41 frames" in run.stdout
