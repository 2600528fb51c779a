"""The tutorial `docs/own_car.md` does what it says: its settings and commands run, in their order, on two videos."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import Scene, read_detections, read_scenes, read_tracks
from scenes.city import VERSION, make_city
from streamtrack import command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_car.md"
VIDEOS = {"front": "CAM_FRONT", "left": "CAM_FRONT_LEFT"}


def _record(folder: Path) -> Scene:
    """The two videos and the ego poses of a drive through the city, beside the city itself."""
    make_city(folder / "city", train_scenes=0, val_scenes=1, frames=4, image_size=(704, 396), seed=4, workers=1)
    (scene,) = read_scenes(folder / "city", VERSION)
    drive = folder / "drive"
    drive.mkdir()
    for name, channel in VIDEOS.items():
        writer = cv2.VideoWriter(str(drive / f"{name}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 2.0, (704, 396))
        for frame in scene.frames:
            camera = next(camera for camera in frame.cameras if camera.name == channel)
            writer.write(cv2.imread(str(camera.image_path)))
        writer.release()
    lines = ["time,x,y,z,qw,qx,qy,qz"]
    for index, frame in enumerate(scene.frames):
        x, y, z = frame.global_from_ego[:3, 3]
        yaw = np.arctan2(frame.global_from_ego[1, 0], frame.global_from_ego[0, 0])
        lines.append(f"{0.5 * index},{x},{y},{z},{np.cos(yaw / 2)},0.0,0.0,{np.sin(yaw / 2)}")
    (drive / "ego.csv").write_text("\n".join(lines) + "\n")
    return scene


def _run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of the page here."""
    program, *arguments = shlex.split(line)
    assert program == "streamtrack"
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert not ended.value.code, line


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = _record(tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(bash|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    variables: dict[str, str] = {}
    for language, block in blocks:
        if language == "yaml":
            Path("drive/calibration.yaml").write_text(block)
            continue
        for line in block.splitlines():
            if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
                variables[assigned[1]] = assigned[2]
            else:
                _run(re.sub(r"\$(\w+)", lambda found: variables[found[1]], line), monkeypatch)
    # Without annotations tracks are shown by their scores, and no evaluation finds them wrong.
    assert Path("pages/drive.html").read_text().count('"judged":true') > 1 and Path("pages/index.html").is_file()
    assert sorted(path.name for path in Path("mot").iterdir()) == ["drive_front.txt", "drive_left.txt"]
    with Path("tracks.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + sum(map(len, read_tracks("tracks.json").boxes.values())) > 10
    _check_boxes_stand_on_objects(scene)


def _check_boxes_stand_on_objects(scene: Scene) -> None:
    """What the detector is sure of stands where the city has something: calibration, poses and times are right."""
    detections = read_detections("boxes.json").boxes
    (converted,) = read_scenes("data", "v1.0-folder", "all")
    distances = []
    for frame, original in zip(converted.frames, scene.frames, strict=True):
        boxes = detections[frame.token]
        found = boxes.center_m[boxes.score > 0.35]
        objects = original.annotations.boxes.center_m
        distances += np.linalg.norm(found[:, None, :2] - objects[:, :2], axis=2).min(axis=1).tolist()
    assert len(distances) >= 10 and np.median(distances) < 1.5
