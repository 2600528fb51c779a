"""Videos: format, missing images, failures, many scenes."""

import errno
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from scenes import Results, Scene, read_scenes, read_tracks
from visualization import (
    ComparisonPainter,
    DrawingOptions,
    color_by_identity,
    find_events,
    identity_color,
    results_from_annotations,
    write_scene_video,
    write_videos,
)
from visualization.colors import DETECTION_COLOR, rgb
from visualization.video import frames_per_second, write_video

from .conftest import FRAMES


def decoded(path: Path) -> tuple[np.ndarray, str]:
    """The pictures of a video (T, H, W, 3) and what the decoder says of it."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    pictures = [np.frombuffer(picture, np.uint8).reshape(height, width, 3) for picture in reader]
    probe = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True, check=False
    )
    return np.stack(pictures), probe.stderr


def test_a_scene_becomes_an_h264_video_of_all_its_frames(small_scene, small_tracks, tmp_path):
    report = write_scene_video(small_scene, small_tracks, tmp_path / "out" / "a.mp4")
    pictures, probe = decoded(report.path)
    assert pictures.shape == (FRAMES, 1080, 1920, 3)
    assert re.search(r"h264.*yuv420p.* 2 fps", probe)
    assert report.frames == FRAMES
    assert report.unreadable_images == ()


def test_missing_and_broken_images_become_grey_frames_and_are_named(small_scene, small_tracks, tmp_path):
    missing, broken, cut = (small_scene.frames[0].cameras[i].image_path for i in range(3))
    missing.unlink()
    broken.write_bytes(b"no JPEG")
    cut.write_bytes(cut.read_bytes()[:-600])
    report = write_scene_video(small_scene, small_tracks, tmp_path / "a.mp4")
    assert sorted(report.unreadable_images) == sorted(map(str, [missing, broken, cut]))
    assert report.frames == FRAMES


def test_without_any_image_the_birds_eye_view_stands_alone(small_scene, small_tracks, tmp_path):
    for frame in small_scene.frames:
        for camera in frame.cameras:
            camera.image_path.unlink()
    report = write_scene_video(small_scene, small_tracks, tmp_path / "a.mp4")
    assert report.unreadable_images == ()
    assert decoded(report.path)[0].shape == (FRAMES, 1080, 1920, 3)


def test_a_scene_without_boxes_is_drawn(small_scene, tmp_path):
    report = write_scene_video(small_scene, Results({}), tmp_path / "a.mp4", DrawingOptions(annotations=True))
    assert report.frames == FRAMES


@pytest.mark.parametrize("cameras", [1, 9])
def test_other_numbers_of_cameras(small_scene, small_tracks, tmp_path, cameras):
    def with_cameras(frame):
        chosen = [replace(frame.cameras[i % 6], name=f"camera {i}") for i in range(cameras)]
        return replace(frame, cameras=tuple(chosen))

    scene = replace(small_scene, frames=tuple(map(with_cameras, small_scene.frames)))
    report = write_scene_video(scene, small_tracks, tmp_path / "a.mp4")
    assert decoded(report.path)[0].shape[1] == (1080 if cameras == 1 else 1440)


def test_an_encoder_that_fails_leaves_no_file_and_says_why(small_scene, small_tracks, tmp_path):
    with pytest.raises(OSError, match="encoder failed"):
        write_video(tmp_path / "no folder" / "a.mp4", iter([np.zeros((2, 2, 3), np.uint8)]), 2.0)
    blocked = tmp_path / "a.mp4"
    blocked.mkdir()
    with pytest.raises(OSError, match="a"):
        write_scene_video(small_scene, small_tracks, blocked)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_painter_that_fails_leaves_no_file(small_scene, small_tracks, tmp_path):
    def pictures():
        yield np.zeros((64, 64, 3), np.uint8)
        raise KeyError("stop")

    with pytest.raises(KeyError):
        write_video(tmp_path / "b.mp4", pictures(), 2.0)


def test_the_speed_is_that_of_the_recording(small_scene):
    assert frames_per_second(small_scene) == 2.0
    assert frames_per_second(replace(small_scene, frames=small_scene.frames[:1])) == 2.0
    still = tuple(replace(frame, timestamp_us=5) for frame in small_scene.frames)
    assert frames_per_second(replace(small_scene, frames=still)) == 2.0


def test_scenes_are_written_in_processes_of_their_own(small_scene, small_tracks, tmp_path):
    other = replace(small_scene, name="../<b>")
    reports = list(write_videos([small_scene, other], small_tracks, tmp_path / "out", workers=2))
    written = sorted((tmp_path / "out").iterdir())
    assert sorted(report.path for report in reports) == written
    assert len(written) == 2
    assert all(re.fullmatch(r"[\w.-]+\.mp4", path.name) for path in written)


def test_workers_that_are_stopped_leave_nothing(small_scene, small_tracks, tmp_path):
    bare = tuple(replace(frame, cameras=()) for frame in small_scene.frames)
    long = replace(small_scene, name="long", frames=100 * bare)
    out = tmp_path / "out"
    reports = write_videos([replace(small_scene, frames=bare), long], small_tracks, out, workers=2)
    first = next(reports)
    while not any(path.name.startswith(".long.") for path in out.rglob("*.mp4")):
        time.sleep(0.01)
    reports.close()  # as an interrupt does
    time.sleep(1.0)  # an encoder outlives its worker by a moment
    assert list(out.rglob("*")) == [first.path]


def test_a_folder_in_place_of_a_video_is_named(small_scene, small_tracks, tmp_path):
    blocked = tmp_path / "out" / "scene-a.mp4"
    blocked.mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        list(write_videos([small_scene], small_tracks, blocked.parent))
    assert caught.value.filename == str(blocked)
    assert list(blocked.parent.rglob("*")) == [blocked]


def test_a_full_disk_names_the_video(small_scene, small_tracks, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("visualization.video.write_video", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        list(write_videos([small_scene], small_tracks, tmp_path / "out"))
    assert caught.value.filename == str(tmp_path / "out" / "scene-a.mp4")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_runs_stand_side_by_side(small_scene, small_tracks, tmp_path):
    runs = {"annotations": results_from_annotations(small_scene), "tracks": small_tracks}
    report = write_scene_video(small_scene, small_tracks, tmp_path / "a.mp4", compared=runs)
    assert decoded(report.path)[0].shape == (FRAMES, 1080, 1920, 3)


def test_annotations_have_the_colours_of_the_tracks_that_they_are_matched_with(small_scene, small_tracks):
    """The car ahead is followed by track 1, which changes into 9; the car on the left is not found."""
    identities = ["1", "1", "9", "9"]
    boxes = {
        token: found.select([0]).replace(track_id=np.array([identity]))
        for (token, found), identity in zip(small_tracks.boxes.items(), identities, strict=True)
    }
    named = results_from_annotations(small_scene, find_events([small_scene], Results(boxes)))
    assert [of_frame.track_id.tolist() for of_frame in named.boxes.values()] == [[name, ""] for name in identities]
    for of_frame in named.boxes.values():
        assert color_by_identity(of_frame)[0].tolist() == rgb(identity_color(of_frame.track_id[0])).tolist()
        assert color_by_identity(of_frame)[1].tolist() == rgb(DETECTION_COLOR).tolist()


def test_two_runs_without_images_stand_side_by_side(small_scene, small_tracks, tmp_path):
    frames = tuple(replace(frame, cameras=()) for frame in small_scene.frames)
    runs = {"left": Results({}), "right": small_tracks}
    picture = ComparisonPainter(replace(small_scene, frames=frames), runs).paint(0)
    assert picture.shape == (1080, 1920, 3)
    color = rgb(identity_color("1")).astype(int)
    drawn = np.abs(picture.astype(int) - color).max(axis=2) < 8
    assert not drawn[:, :960].any()
    assert drawn[:, 960:].sum() > 20


def test_a_smooth_video_has_sixty_pictures_a_second(small_scene, small_tracks, tmp_path):
    scene = replace(small_scene, frames=tuple(replace(f, cameras=()) for f in small_scene.frames[:2]))
    report = write_scene_video(scene, small_tracks, tmp_path / "a.mp4", smooth_fps=60.0)
    pictures, probe = decoded(report.path)
    assert len(pictures) == report.frames == 31
    assert "60 fps" in probe


def test_classes_and_scores_that_are_left_out(small_scene, small_tracks):
    boxes = small_tracks.boxes["sample-0"].replace(label=np.array([0, 8]), score=np.array([0.9, 0.4]))
    assert DrawingOptions().chosen(boxes).track_id.tolist() == ["1", "2"]
    assert DrawingOptions(classes=("pedestrian",)).chosen(boxes).track_id.tolist() == ["2"]
    assert DrawingOptions(min_score=0.5).chosen(boxes).track_id.tolist() == ["1"]


def test_real_frames_show_the_annotated_objects_in_their_boxes(mini_val: Path, shared: Path, tmp_path: Path):
    """The two real frames come with images, the other 38 as grey frames."""
    scene: Scene = read_scenes(mini_val, "v1.0-mini", "mini_val")[0]
    first = replace(scene, frames=scene.frames[:3])
    tracks = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    report = write_scene_video(first, tracks, tmp_path / "real.mp4", DrawingOptions(annotations=True))
    assert len(report.unreadable_images) == 6
    pictures, _ = decoded(report.path)
    # Where an image is, the upper left corner below the title holds sky or houses, else even grey.
    assert pictures[0, 40:100, 200:400].std() > 3
    assert pictures[2, 40:80, 200:400].std() < 1
