"""Sizes of images: stated by the tables, else in the header of the file, else an error that names it."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenes import Camera, InputError, read_scenes
from scenes.city import VERSION
from scenes.image_size import image_size_px


def camera(path: Path, stated_size_px: tuple[int, int] | None) -> Camera:
    return Camera("CAM", 0, path, stated_size_px, np.eye(3), np.eye(4), np.eye(4))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_header_tells_the_size(tmp_path, suffix, mode):
    Image.new(mode, (37, 21)).save(tmp_path / f"a.{suffix}")
    assert image_size_px(tmp_path / f"a.{suffix}") == (37, 21)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_that_lies_is_measured_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (37, 21)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size_px(tmp_path / "a.jpg") == ((37, 21) if orientation < 5 else (21, 37))


def test_only_the_header_is_read(tmp_path):
    Image.effect_noise((640, 360), 100).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 10])
    assert image_size_px(tmp_path / "cut.jpg") == (640, 360)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in [
        ("text.jpg", "not an image"),
        ("empty.jpg", "not an image"),
        ("cut.png", "not an image"),
        ("none.jpg", "no such file"),
        ("", "no such file"),
        ("pipe.jpg", "no such file"),
    ]:
        with pytest.raises(InputError, match=reason) as raised:
            image_size_px(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_stated_size_needs_no_file_and_another_one_is_looked_up_once(tmp_path):
    path = tmp_path / "a.png"
    assert camera(path, (800, 450)).size_px == (800, 450)
    unstated = camera(path, None)
    with pytest.raises(InputError, match=r"a\.png: no such file; the tables do not state the image's size either"):
        unstated.size_px  # noqa: B018
    Image.new("L", (37, 21)).save(path)
    assert (unstated.width_px, unstated.height_px) == (37, 21)
    path.unlink()
    assert unstated.size_px == pickle.loads(pickle.dumps(unstated)).size_px == (37, 21)


@pytest.mark.parametrize("stated", [0, None])
def test_tables_without_sizes(pictured_city, tmp_path, stated):
    shutil.copytree(pictured_city, tmp_path / "root")
    table = tmp_path / "root" / VERSION / "sample_data.json"
    rows = json.loads(table.read_text())
    table.write_text(json.dumps([{**row, "width": stated, "height": stated} for row in rows]))
    roots = (pictured_city, tmp_path / "root")
    for known, unknown in zip(*(read_scenes(root, VERSION) for root in roots), strict=True):
        for frame, bare in zip(known.frames, unknown.frames, strict=True):
            assert [camera.stated_size_px for camera in bare.cameras] == [None] * len(frame.cameras)
            assert [camera.size_px for camera in bare.cameras] == [camera.size_px for camera in frame.cameras]
