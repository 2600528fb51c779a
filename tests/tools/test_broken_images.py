"""Broken and unusual images do not stop a picture of a scene: what cannot be read is grey, and counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from scenes import read_scenes, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from tracking import track_results


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def _printed(content: bytes) -> bytes:
    """As a JPEG of four inks."""
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("CMYK").save(file, "jpeg")
    return file.getvalue()


USABLE: list[Callable[[bytes], bytes]] = [
    _printed,
    lambda content: _png(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).astype(np.uint16) * 256),
]
BROKEN: list[Callable[[bytes], bytes]] = [
    lambda content: content[: len(content) // 2],
    lambda content: b"",
    lambda content: b"no image",
]


@pytest.fixture(scope="module")
def broken_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of one frame: two cameras of unusual and three of broken images, and one that is a link to /dev/zero."""
    root = tmp_path_factory.mktemp("broken") / "city"
    make_city(root, train_scenes=0, val_scenes=1, frames=1, image_size=(176, 99), seed=3, workers=1)
    scenes = read_scenes(root, VERSION, VAL_SPLIT)
    write_tracks(root / "tracks.json", track_results(simulate_detections(scenes), scenes))
    *cameras, last = scenes[0].frames[0].cameras
    for camera, change in zip(cameras, [*USABLE, *BROKEN], strict=True):
        camera.image_path.write_bytes(change(camera.image_path.read_bytes()))
    last.image_path.unlink()
    last.image_path.symlink_to("/dev/zero")
    return root


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("video", "city-0001.mp4"),
        ("html", "city-0001.html"),
        ("png", "city-0001.png"),
        ("svg", "city-0001.svg"),
        ("pdf", "city-0001.pdf"),
        ("heat", "errors.png"),
        ("rerun", "city-0001.rrd"),
    ],
)
def test_a_scene_is_drawn(kind: str, output: str, broken_city: Path, run: Callable[..., tuple], tmp_path: Path) -> None:
    where = ("--dataroot", broken_city, "--version", VERSION, "--split", VAL_SPLIT, "--workers", 1)
    code, printed, error = run("visualize.py", broken_city / "tracks.json", *where, "--format", kind, "--out", tmp_path)
    assert code == 0, error
    assert (tmp_path / output).stat().st_size > 1000
    assert ("4 images are missing or broken, the first is " in printed) == (kind in ("video", "html"))
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
