"""A recording of one's own: what `--init` writes can be read, and what people write is taken or refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from scenes import InputError, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.folder import read_calibration
from scenes.conversion.folder_example import write_example
from scenes.conversion.formats import open_source

SIZE = (64, 48)


def _video(path: Path, frames: int = 4, fourcc: str = "mp4v") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 2.0, SIZE)
    for shade in range(frames):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 40 * shade, dtype=np.uint8))
    writer.release()


def _image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), shade, dtype=np.uint8))


NAMES = [
    ["0.mp4", "1.mp4"],
    ["no.mp4", "null.mp4", "1_0.mp4", "2024_05_01.mp4", "1e5.mp4"],
    ["cam-1.mp4", "cam_1.mp4"],
    ["front.avi", "front.mp4"],
    ["前.mp4", "左.mp4"],
    ['it\'s "it": #1.mp4', "it_s__it____1_2.mp4", 'it\'s "it": #2.mp4'],
    ["_.mp4", "l" * 150 + "1.mp4", "l" * 150 + "2.mp4"],
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:9])
def test_what_init_writes_is_converted(names: list[str], tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    for name in names:
        _video(drive / name, fourcc="MJPG" if name.endswith("avi") else "mp4v")
    cameras = write_example(drive)
    read = read_calibration(drive / "calibration.yaml").cameras
    assert list(read) == cameras and sorted(camera.images for camera in read.values()) == sorted(names)
    assert convert(open_source("folder", drive), tmp_path / "root").files == 4 * len(names)


def test_a_folder_and_a_video_of_one_name_are_two_cameras(tmp_path: Path) -> None:
    for number in (5, 10):
        _image(tmp_path / "front" / f"{number}.png")
    _video(tmp_path / "front.mp4")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "empty").mkdir()
    assert write_example(tmp_path) == ["front", "front_2"]
    read = read_calibration(tmp_path / "calibration.yaml").cameras
    assert {name: (camera.images, camera.rate) for name, camera in read.items()} == {
        "front": ("front", 10.0),
        "front_2": ("front.mp4", None),
    }


def test_where_no_camera_is_nothing_is_written(tmp_path: Path) -> None:
    drives = tmp_path / "drives"
    (drives / "one").mkdir(parents=True)
    _video(drives / "one" / "front.mp4")
    with pytest.raises(InputError, match=r"drives: no video and no folder of images in it$"):
        write_example(drives)
    with pytest.raises(InputError, match=r"nowhere: no such folder$"):
        write_example(tmp_path / "nowhere")
    assert [path.name for path in drives.iterdir()] == ["one"] and not (tmp_path / "nowhere").exists()


def _drive(root: Path, **settings: object) -> Path:
    """Two cameras, two images a second: front has ten, left four."""
    cameras = {}
    for name, count in (("front", 10), ("left", 4)):
        for index in range(count):
            _image(root / name / f"frame_{index + 5}.png", shade=20 * index)
        lens = {"fx": 50, "fy": 51, "cx": 32, "cy": 24}
        cameras[name] = {"images": name, "intrinsic": lens, "translation": [0, 0, 1], "rate": 2.0}
    cameras["front"].update(settings)
    (root / "calibration.yaml").write_text(yaml.safe_dump({"cameras": cameras}))
    return root


def test_numbered_images_follow_one_another(tmp_path: Path) -> None:
    convert(open_source("folder", _drive(tmp_path / "drive")), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-folder", "all")
    images = [next(camera for camera in frame.cameras if camera.name == "front").image_path for frame in scene.frames]
    assert [path.resolve().name for path in images] == [f"frame_{number}.png" for number in range(5, 15)]


def test_a_camera_that_meets_no_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        convert(open_source("folder", _drive(tmp_path / "drive", start=100.0)), tmp_path / "root")
    assert str(raised.value) == (
        f"{tmp_path / 'drive' / 'calibration.yaml'}: camera left: its times, 0.000 to 1.500 s, meet none of camera "
        "front, 100.000 to 104.500 s; is a `start` wrong, or the `time_unit`?"
    )
    _drive(tmp_path / "drive", start=1.0)  # they share a second
    assert convert(open_source("folder", tmp_path / "drive"), tmp_path / "root").frames == 10


def test_a_lens_is_four_numbers_or_a_matrix(tmp_path: Path) -> None:
    tables = []
    for intrinsic in ({"fx": 50, "fy": 51.5, "cx": 32, "cy": 24}, [[50, 0, 32], [0, 51.5, 24], [0, 0, 1]]):
        out = tmp_path / f"root{len(tables)}"
        convert(open_source("folder", _drive(tmp_path / "drive", intrinsic=intrinsic)), out)
        tables.append(json.loads((out / "v1.0-folder" / "calibrated_sensor.json").read_text()))
    assert tables[0] == tables[1] and tables[0][0]["camera_intrinsic"] == [[50, 0, 32], [0, 51.5, 24], [0, 0, 1]]


def test_small_numbers_are_numbers(tmp_path: Path) -> None:
    path = _drive(tmp_path / "drive") / "calibration.yaml"
    settings = "{images: front, rate: 2e0, translation: [1e-05, 0, 1], intrinsic: {fx: 5e1, fy: 50, cx: 32, cy: 24}}"
    path.write_text(f"cameras:\n  front: {settings}\n")
    assert read_calibration(path).cameras["front"].translation == (1e-05, 0.0, 1.0)
