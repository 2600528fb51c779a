"""The demo runs the whole job on a small city, and a second time on what is there."""

import json
import subprocess
import sys
from pathlib import Path

from scenes import read_detections, read_tracks

TOOL = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


def test_demo_writes_tracks_metrics_videos_and_pages(tmp_path: Path) -> None:
    command = [sys.executable, TOOL, "--out", tmp_path, "--scenes", "1", "--frames", "4"]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    boxes = read_detections(tmp_path / "results_nusc.json").boxes.values()
    assert any(len(of_frame) > 0 for of_frame in boxes)
    assert "AMOTA" in first.stdout
    assert 0 <= json.loads((tmp_path / "tracking_metrics" / "metrics_summary.json").read_text())["amota"] <= 1
    assert len(read_tracks(tmp_path / "tracking_result.json").boxes) == 4
    assert (tmp_path / "videos" / "city-0001.mp4").stat().st_size > 1000
    assert (tmp_path / "pages" / "index.html").is_file()
    second = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"found {tmp_path}" in second.stdout
