"""What a 2D detector can look at besides a data set: an image, a folder of images, or a video.

A source gives the images that can be read one after the other, and keeps the reasons of those that cannot.
"""

from __future__ import annotations

import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

import imageio_ffmpeg
import numpy as np

from detection.data.image_reading import RgbImage, read_image
from scenes import InputError

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Names of files that are taken for images."""

_MISSING_SHARE: Final = 0.05
"""Containers tell the number of frames about so exactly: a video with fewer ends early."""


@dataclass(frozen=True, eq=False)
class SourceImage:
    """An image of a source.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        name: its file, without folders.
        frame: its number in a video, from 0 on; None for an image file.
    """

    image: RgbImage
    name: str
    frame: int | None = None

    @property
    def where(self) -> str:
        """The image in words, for messages."""
        return self.name if self.frame is None else f"{self.name}, frame {self.frame}"


class Source(Protocol):
    """Images one after the other.

    Attributes:
        path: of the source.
        expected: how many images there are, or about how many; None where nobody knows.
        problems: after the iteration what could not be read, a line each.
    """

    path: Path
    problems: list[str]

    @property
    def expected(self) -> int | None:
        """See the class."""

    def __iter__(self) -> Iterator[SourceImage]: ...


class ImageFiles:
    """An image, or the images of a folder by name. Folders below it are not looked into, nor are hidden files."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: an image file or a folder.

        Raises:
            InputError: the folder has no image.
        """
        self.path = path
        inside = [path] if path.is_file() else _visible_files(path)
        self._files = [file for file in inside if file.suffix.lower() in IMAGE_SUFFIXES]
        others = (file for file in inside if file.suffix.lower() not in IMAGE_SUFFIXES)
        self._others = [f"{file}: left out, its name is no image's" for file in others]
        self.problems = list(self._others)
        if not self._files:
            raise InputError(f"{path}: holds no image ({len(inside)} other files; {_known_suffixes()})")

    @property
    def expected(self) -> int | None:
        """How many image files there are."""
        return len(self._files)

    def __iter__(self) -> Iterator[SourceImage]:
        """The images that can be read.

        Raises:
            InputError: at the end, if none could be.
        """
        self.problems = list(self._others)
        unreadable = 0
        for file in self._files:
            try:
                image = read_image(file)
            except InputError as error:
                unreadable += 1
                self.problems.append(str(error))
                continue
            yield SourceImage(image, file.name)
        if unreadable == len(self._files):
            raise InputError(f"{self.path}: no image can be read, such as {self.problems[-1]}")


class Video:
    """The frames of a video as ffmpeg decodes them, turned as it says; damaged ones may be missing or patched."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: the file.

        Raises:
            InputError: it is no video.
        """
        self.path = path
        self.problems: list[str] = []
        about = _read_header(path)
        self._size_px: tuple[int, int] = about["size"]
        self.frames_per_second = float(about["fps"]) or 1.0
        self.expected: int | None = round(about["duration"] * self.frames_per_second) or None

    def __iter__(self) -> Iterator[SourceImage]:
        """The frames that can be decoded.

        Raises:
            InputError: at the end, if none could be.
        """
        count, complaint = 0, ""
        width, height = self._size_px
        with tempfile.TemporaryFile() as messages:
            decoder = subprocess.Popen(_decoder_command(self.path), stdout=subprocess.PIPE, stderr=messages)
            try:
                assert decoder.stdout is not None
                while (content := _read_whole(decoder.stdout, width * height * 3)) is not None:
                    image = np.frombuffer(content, dtype=np.uint8).reshape(height, width, 3)
                    yield SourceImage(image, self.path.name, count)
                    count += 1
            finally:
                decoder.kill()  # of use where the iteration is left before its end
                decoder.wait()
            messages.seek(0)
            complaint = _first_complaint(messages.read().decode(errors="replace"))
        self.problems = self._found_wrong(count, complaint)
        if not count:
            raise InputError(f"{self.path}: no frame of the video can be read{complaint}")

    def _found_wrong(self, count: int, complaint: str) -> list[str]:
        short = self.expected is not None and count < (1 - _MISSING_SHARE) * self.expected
        if not (complaint or short):
            return []
        of = "" if self.expected is None else f" of about {self.expected}"
        return [f"{self.path}: the video is damaged or ends early: {count}{of} frames could be read{complaint}"]


def open_source(path: Path) -> ImageFiles | Video:
    """The images of a file or a folder.

    Raises:
        InputError: no such path, or nothing in it can be read.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
        raise InputError(f"{path}: no such image, folder or video{reason}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path}: neither a file nor a folder")
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFiles(path)
    return Video(path)


def check_output_folder(folder: Path, source: Source) -> None:
    """Check that pictures under the names of the source's can be written to a folder.

    Raises:
        InputError: it is the folder of the source.
    """
    inside = source.path if source.path.is_dir() else source.path.parent
    if folder.resolve() == inside.resolve():
        raise InputError(f"{folder}: is the folder of the source; its files would be overwritten")


def _visible_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _known_suffixes() -> str:
    return "images end in " + ", ".join(sorted(IMAGE_SUFFIXES))


def _read_header(path: Path) -> dict[str, Any]:
    frames = imageio_ffmpeg.read_frames(str(path))
    try:
        header: dict[str, Any] = next(frames)
    except (OSError, StopIteration, RuntimeError) as error:  # the decoder's last words are on the last line
        reason = str(error).strip().splitlines()[-1:] or ["no message"]
        raise InputError(
            f"{path}: neither a video that can be decoded ({reason[0]}) nor an image ({_known_suffixes()})"
        ) from None
    finally:
        frames.close()
    return header


def _decoder_command(path: Path) -> list[str]:
    # Each frame that is decoded comes once: none is repeated or left out to keep the pace.
    first_stream = ["-map", "0:v:0", "-fps_mode", "passthrough"]
    raw_output = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *quiet, "-i", str(path), *first_stream, *raw_output]


def _read_whole(stream: IO[bytes], size: int) -> bytes | None:
    """The next bytes of a stream, None where fewer are left."""
    content = stream.read(size)
    return content if len(content) == size else None


def _first_complaint(messages: str) -> str:
    """The first line of the decoder, without its part that said it, in brackets."""
    lines = [line for line in messages.splitlines() if line.strip()]
    return f" ({lines[0].rpartition('] ')[2]})" if lines else ""
