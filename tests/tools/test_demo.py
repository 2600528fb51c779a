"""The demo runs the whole job on a small city, and a second time on what is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation import evaluate_tracking
from scenes import read_detections, read_tracks
from scenes.city import VAL_SPLIT, VERSION

TOOL = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


@pytest.mark.slow
def test_demo_writes_tracks_metrics_videos_and_pages(tmp_path: Path) -> None:
    command = [sys.executable, TOOL, "--out", tmp_path, "--scenes", "1", "--frames", "4"]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    boxes = read_detections(tmp_path / "results_nusc.json").boxes.values()
    assert any(len(of_frame) > 0 for of_frame in boxes)
    tracks = tmp_path / "tracking_result.json"
    assert [len(of_frame) > 0 for of_frame in read_tracks(tracks).boxes.values()] == [True] * 4
    city = tmp_path / "city-1x4-seed0"
    official = evaluate_tracking(tracks, city, VERSION, VAL_SPLIT, engine="devkit").summary
    summary = json.loads((tmp_path / "tracking_metrics" / "metrics_summary.json").read_text())
    for key in ("amota", "amotp", "recall", "ids"):
        assert summary[key] == pytest.approx(official[key], abs=1e-9)
    numbers = [f"{official[key]:.3f}" for key in ("amota", "amotp", "recall")] + [f"{official['ids']:.0f}"]
    (row,) = (line for line in first.stdout.splitlines() if "StreamTrack" in line)
    assert re.findall(r"\d+(?:\.\d+)?", row) == numbers
    assert (tmp_path / "videos" / "city-0001.mp4").stat().st_size > 1000
    assert (tmp_path / "pages" / "index.html").is_file()
    second = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"found {tmp_path}" in second.stdout
