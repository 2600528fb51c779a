"""Rerun recordings, read back with Rerun's own reader."""

import sys

import numpy as np
import pytest

from scenes import InputError
from visualization import identity_color, write_recording, write_recordings
from visualization.colors import rgb

from .conftest import FRAMES, START

rerun = pytest.importorskip("rerun", reason="needs the extra [rerun]")


def read_back(path, entity):
    recording = rerun.dataframe.load_recording(str(path))
    return recording.view(index="frame", contents=entity).select().read_pandas().set_index("frame")


def test_boxes_come_back(small_scene, small_tracks, tmp_path):
    path = write_recording(small_scene, small_tracks, tmp_path / "a.rrd", detections=small_tracks)
    for entity in ("/world/tracks", "/world/detections", "/world/annotations"):
        assert read_back(path, entity).index.tolist() == list(range(FRAMES))
    tracks = read_back(path, "/world/tracks")
    centers = np.stack(tracks["/world/tracks:PoseTranslation3D"][2])
    assert centers == pytest.approx(small_tracks.boxes["sample-2"].center_m - START[:3, 3], abs=1e-5)
    half_lwh = np.stack(tracks["/world/tracks:HalfSize3D"][0])
    assert half_lwh[0] == pytest.approx([2.3, 0.95, 0.8])
    assert tracks["/world/tracks:Text"][0].tolist() == ["1 car 0.80", "2 car 0.80"]
    color = np.uint32(tracks["/world/tracks:Color"][0][0])
    assert [color >> 24, color >> 16 & 255, color >> 8 & 255] == rgb(identity_color("1")).tolist()


def test_cameras_have_poses_and_images(small_scene, small_tracks, tmp_path):
    missing = small_scene.frames[1].cameras[0].image_path
    missing.unlink()
    path = write_recording(small_scene, small_tracks, tmp_path / "a.rrd")
    images = read_back(path, "/world/cameras/CAM_FRONT/image")["/world/cameras/CAM_FRONT/image:Blob"]
    assert bytes(images[0][0]).startswith(b"\xff\xd8")
    assert images[1] is None or len(images[1]) == 0
    camera = read_back(path, "/world/cameras/CAM_FRONT")
    position = np.stack(camera["/world/cameras/CAM_FRONT:Translation3D"][3])[0]
    expected = small_scene.frames[3].cameras[0]
    assert position == pytest.approx((expected.global_from_ego @ expected.ego_from_camera - START)[:3, 3], abs=1e-5)


def test_a_recording_for_each_scene(small_scene, small_tracks, tmp_path):
    paths = list(write_recordings([small_scene], small_tracks, tmp_path / "out"))
    assert [path.name for path in paths] == ["scene-a.rrd"]
    assert list((tmp_path / "out").glob(".*")) == []


def test_without_the_extra_it_is_one_line(small_scene, small_tracks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(InputError, match=r"pip install 'streamtrack\[rerun\]'"):
        write_recording(small_scene, small_tracks, tmp_path / "a.rrd")
    assert not (tmp_path / "a.rrd").exists()
