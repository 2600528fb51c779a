"""The examples in `docs/tracking.md` run."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tracking.md"


def test_the_live_example_tracks_and_restarts(tmp_path, monkeypatch, boxes_at) -> None:
    example = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "Tracker(" in block)
    frames = [(boxes_at([(3.0 * index, 0.0)], velocity_mps=[[6.0, 0.0]]), 500_000 * index) for index in range(6)]
    shown: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    names = {
        "camera_frames": lambda: ((boxes, time_us, np.eye(4)) for boxes, time_us in frames),
        "show": lambda tracks: shown.append(tracks.track_id.tolist()),
    }
    exec(compile(example, str(PAGE), "exec"), names)
    assert shown == [["1"]] * len(frames)
    assert (tmp_path / "tracker.npz").exists()
    exec(compile(example, str(PAGE), "exec"), names)
    assert len(shown) == 2 * len(frames)
