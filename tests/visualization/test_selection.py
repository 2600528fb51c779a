"""Which scenes are drawn, and under which file names."""

from dataclasses import replace

import pytest

from scenes import InputError, Results
from scenes.scene_files import scene_file_name
from visualization import boxes_by_frame, select_scenes

from .conftest import FRAMES


def test_only_scenes_of_the_file_are_drawn(small_scene, small_tracks):
    other_frames = tuple(replace(frame, token=f"other-{frame.token}") for frame in small_scene.frames)
    other = replace(small_scene, name="scene-b", frames=other_frames)
    assert select_scenes([other, small_scene], small_tracks, [], "t.json") == [small_scene]
    assert select_scenes([other, small_scene], small_tracks, ["scene-a"], "t.json") == [small_scene]
    with pytest.raises(InputError, match=r"t\.json: holds no frame of scene 'scene-b'; it has scene-a"):
        select_scenes([other, small_scene], small_tracks, ["scene-b"], "t.json")
    with pytest.raises(InputError, match="scene 'scene-c' is not in the data root"):
        select_scenes([other, small_scene], small_tracks, ["scene-c"], "t.json")


def test_tracks_of_another_data_set_are_refused(small_scene):
    with pytest.raises(InputError, match="other data"):
        select_scenes([small_scene], Results({}), [], "t.json")


def test_frames_that_the_file_lacks_have_no_boxes(small_scene, small_tracks):
    kept = dict(list(small_tracks.boxes.items())[:1])
    assert [len(boxes) for boxes in boxes_by_frame(small_scene, Results(kept))] == [2] + [0] * (FRAMES - 1)


def test_file_names_are_safe_and_stay_apart():
    names = ["scene-0103", "a/b", "a_b", "../x", "<b>", ".hidden", "", "\udcff"]
    files = [scene_file_name(name) for name in names]
    assert files[0] == "scene-0103"
    assert len(set(files)) == len(names)
    assert all("/" not in file and not file.startswith(".") and file for file in files)
