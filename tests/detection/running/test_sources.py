"""Images, folders and videos are read to their end; what cannot be read is named."""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from detection.running.sources import ImageFiles, Video, open_source
from scenes import InputError

FRAMES, SIZE_PX = 30, (64, 48)


def _picture(index: int) -> np.ndarray:
    """Grey, brighter from frame to frame, with some noise that makes the frames of a video long."""
    noise = np.random.default_rng(index).integers(-6, 7, (SIZE_PX[1], SIZE_PX[0], 3))
    return (20 + 6 * index + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def video_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    # Its head comes first, so that a cut file still says how long it was.
    writer = imageio_ffmpeg.write_frames(
        str(path), SIZE_PX, fps=10, macro_block_size=1, output_params=["-g", "5", "-movflags", "+faststart"]
    )
    writer.send(None)
    for index in range(FRAMES):
        writer.send(np.ascontiguousarray(_picture(index)))
    writer.close()
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, name in enumerate(("b.png", "a.JPG", "c.bmp")):
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), _picture(index))[1].tobytes())
    return folder


def test_image(folder: Path) -> None:
    source = open_source(folder / "b.png")
    (only,) = source
    assert (only.name, only.frame, source.expected, source.problems) == ("b.png", None, 1, [])
    np.testing.assert_array_equal(only.image, _picture(0)[:, :, ::-1])


def test_folder_by_name(folder: Path) -> None:
    source = open_source(folder)
    assert source.expected == 3
    assert [image.name for image in source] == ["a.JPG", "b.png", "c.bmp"]
    assert source.problems == []


def test_folder_with_other_files(folder: Path) -> None:
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.png").write_text("hidden")
    (folder / "below").mkdir()
    (folder / "broken.jpg").write_bytes((folder / "a.JPG").read_bytes()[:200])
    (folder / "text.png").write_text("text")
    source = ImageFiles(folder)
    for _ in range(2):
        assert [image.name for image in source] == ["a.JPG", "b.png", "c.bmp"]
        text, broken, no_image = source.problems
        assert text == f"{folder / 'notes.txt'}: left out, its name is no image's"
        assert broken.startswith(f"{folder / 'broken.jpg'}: cannot be read")
        assert no_image == f"{folder / 'text.png'}: cannot be read (not an image)"


def test_a_folder_is_listed_without_comparing_all_files_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(40):
        (tmp_path / f"{index}.jpg").touch()
    compared: list[Path] = []
    equal = Path.__eq__
    monkeypatch.setattr(PurePath, "__eq__", lambda own, other: compared.append(own) or equal(own, other))
    source = ImageFiles(tmp_path)
    monkeypatch.undo()
    assert source.expected == 40 and len(compared) <= 40


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such image, folder or video"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no image \(0 other files"):
        open_source(tmp_path)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(InputError, match=r"holds no image \(1 other files"):
        open_source(tmp_path)
    (tmp_path / "broken.png").write_text("text")
    with pytest.raises(InputError, match=r"no image can be read, such as .*broken\.png: cannot be read"):
        list(open_source(tmp_path))


def test_video(tmp_path: Path, video_content: bytes) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes(video_content)
    source = open_source(path)
    assert isinstance(source, Video)
    assert (source.expected, source.frames_per_second) == (FRAMES, 10.0)
    frames = list(source)
    assert [frame.frame for frame in frames] == list(range(FRAMES))
    assert frames[7].where == "drive.mp4, frame 7"
    for frame in frames:
        assert frame.image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
        assert abs(float(frame.image.mean()) - _picture(frame.frame or 0).mean()) < 4
    assert source.problems == []


def test_video_that_is_left_early(tmp_path: Path, video_content: bytes) -> None:
    (tmp_path / "drive.mp4").write_bytes(video_content)
    frames = iter(open_source(tmp_path / "drive.mp4"))
    next(frames)
    frames.close()  # type: ignore[attr-defined]


def test_video_that_ends_early(tmp_path: Path, video_content: bytes) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video_content[: len(video_content) * 6 // 10])
    source = open_source(path)
    read = len(list(source))
    assert 5 < read < FRAMES - 5
    (problem,) = source.problems
    assert problem.startswith(f"{path}: the video is damaged or ends early: {read} of about {FRAMES} frames")
    assert "\n" not in problem


def test_video_broken_in_the_middle(tmp_path: Path, video_content: bytes) -> None:
    path, content = tmp_path / "damaged.mp4", bytearray(video_content)
    middle = len(content) // 2
    content[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(content)
    source = open_source(path)
    assert len(list(source)) > FRAMES - 10
    (problem,) = source.problems
    assert problem.startswith(f"{path}: the video is damaged or ends early")


@pytest.mark.parametrize("content", [b"", b"text", None], ids=["empty", "text", "head alone"])
def test_file_that_is_no_video(tmp_path: Path, video_content: bytes, content: bytes | None) -> None:
    path = tmp_path / "none.mp4"
    path.write_bytes(video_content[:200] if content is None else content)
    with pytest.raises(
        InputError, match=r"none\.mp4: neither a video that can be decoded \(.*\) nor an image"
    ) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_video_without_a_frame(tmp_path: Path, video_content: bytes) -> None:
    start = video_content.index(b"mdat") + 4
    path = tmp_path / "hollow.mp4"
    path.write_bytes(video_content[:start] + bytes(len(video_content) - start))
    with pytest.raises(InputError, match=r"hollow\.mp4"):
        list(open_source(path))
