"""Every kind of image file becomes 8-bit RGB, and a broken one is named."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from detection.data import image_reading
from detection.data.image_reading import read_image, read_reduced_image
from scenes import InputError

PIXELS = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8), (0, 0), 2)
GREY = PIXELS[:, :, 0]
GREY_16 = GREY.astype(np.uint16) * 256 + 17


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_color_image_is_as_opencv_reads_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    assert cv2.imwrite(str(path), PIXELS)
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[:, :, ::-1])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (GREY, np.dstack([GREY] * 3)),
        (GREY_16, np.dstack([GREY] * 3)),
        (np.dstack([GREY_16] * 3), np.dstack([GREY] * 3)),
        (np.dstack([PIXELS, GREY]), PIXELS[:, :, ::-1]),
    ],
    ids=["grey", "grey of 16 bits", "color of 16 bits", "transparent"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_other_pixels_become_rgb(tmp_path: Path, written: np.ndarray, expected: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    assert cv2.imwrite(str(path), written)
    read = read_image(path)
    assert read.dtype == np.uint8 and read.shape == (24, 32, 3)
    np.testing.assert_array_equal(read, expected)


def test_ink_becomes_light(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "printed.jpg", quality=100)
    read = read_image(tmp_path / "printed.jpg")
    assert read.shape == PIXELS.shape and np.abs(read.astype(int) - PIXELS).mean() < 3


def test_image_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), np.rot90(PIXELS, -1))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "is missing"),
        (lambda path: path.write_text("no image"), r"cannot be read \(not an image\)"),
        (lambda path: path.write_bytes(b""), r"cannot be read \(not an image\)"),
        (lambda path: path.mkdir(), "cannot be read"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.open("wb").truncate(2**29), "512 MB, too large for an image"),
        (lambda path: Image.new("1", (12_000, 12_000)).save(path, "png"), "12000x12000 pixels are too many"),
        # Pillow's own limit, or ours where another library has lifted Pillow's.
        (lambda path: Image.new("1", (20_000, 20_000)).save(path, "png"), "decompression bomb|pixels are too many"),
        (lambda path: path.write_bytes(cv2.imencode(".jpg", PIXELS)[1].tobytes()[:-60]), "truncated"),
        (lambda path: path.write_bytes(cv2.imencode(".png", PIXELS)[1].tobytes()[:-600]), "truncated"),
        (lambda path: Image.fromarray(GREY.astype(np.float32)).save(path, "tiff"), "floating-point"),
        (lambda path: Image.fromarray(GREY.astype(np.int32) << 16).save(path, "tiff"), "more than 16 bits"),
    ],
)
def test_bad_image_is_named(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "bad.jpg"
    write(path)
    with pytest.raises(InputError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_message_begins_as_the_caller_wants(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the camera's image: is missing"):
        read_image(tmp_path / "none.png", "the camera's image")


@given(data=st.data(), suffix=st.sampled_from([".jpg", ".png", ".tif", ".bmp", ".webp"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("error")
def test_damaged_file_is_read_or_named(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    content = bytearray(cv2.imencode(suffix, PIXELS)[1].tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert read_image(path).shape[2] == 3
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("at_least", "divisor"),
    [(None, 1), ((1, 1), 8), ((20, 30), 4), ((26, 60), 2), ((51, 80), 1), ((25, 90), 1), ((200, 300), 1)],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_read_at_a_part_of_its_size(
    tmp_path: Path, at_least: tuple[int, int] | None, divisor: int, orientation: int
) -> None:
    """Of 162x101 pixels; what the decoder computes is what the mean of the pixels is, at the very same place."""
    smooth = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (101, 162, 3), dtype=np.uint8), (0, 0), 12)
    spread = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(spread).save(tmp_path / "image.jpg", quality=98, subsampling=0, exif=exif)
    upright = spread if orientation == 1 else np.rot90(spread, -1)
    wanted = at_least if at_least is None or orientation == 1 else at_least[::-1]
    read = read_reduced_image(tmp_path / "image.jpg", at_least=wanted)
    assert (read.divisor, read.size_px) == (divisor, upright.shape[1::-1])
    assert read.pixels.shape[:2] == tuple(-(-side // divisor) for side in upright.shape[:2])
    whole = [side // divisor for side in upright.shape[:2]]
    cells = upright[: whole[0] * divisor, : whole[1] * divisor].reshape(whole[0], divisor, whole[1], divisor, 3)
    if orientation == 1:  # a turn leaves the rest of a division on the other side
        assert np.abs(read.pixels[: whole[0], : whole[1]] - cells.mean(axis=(1, 3))).mean() < 2


def test_other_files_are_read_whole(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    read = read_reduced_image(tmp_path / "image.png", at_least=(2, 2))
    assert read.divisor == 1 and np.array_equal(read.pixels, PIXELS)


@pytest.fixture
def large_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of so many pixels that Pillow warns of it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PIXELS.shape[0] * PIXELS.shape[1] - 1)
    Image.fromarray(PIXELS).save(tmp_path / "large.png")
    return tmp_path / "large.png"


@pytest.mark.filterwarnings("error")
def test_what_pillow_warns_of_in_reading_is_not_seen(large_image: Path) -> None:
    np.testing.assert_array_equal(read_image(large_image), PIXELS)
    warnings.simplefilter("error")  # once more in front of all others
    np.testing.assert_array_equal(read_image(large_image), PIXELS)
    count = len(warnings.filters)
    read_image(large_image)
    assert len(warnings.filters) == count


def test_what_the_caller_is_warned_of_is_seen(large_image: Path) -> None:
    read_image(large_image)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(large_image).close()
    with pytest.warns(UserWarning, match="of the caller"):
        warnings.warn("of the caller", stacklevel=1)


def test_reading_in_threads_leaves_warnings_as_they_are(large_image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second thread begins before the first one ends, and ends after it; between them somebody else warns."""
    first_reads, second_reads, first_is_done = threading.Event(), threading.Event(), threading.Event()
    convert = image_reading._rgb

    def first(image: Image.Image) -> image_reading.RgbImage:
        first_reads.set()
        assert second_reads.wait(60)
        return convert(image)

    def second(image: Image.Image) -> image_reading.RgbImage:
        second_reads.set()
        assert first_is_done.wait(60)
        return convert(image)

    turns = iter((first, second))
    monkeypatch.setattr(image_reading, "_rgb", lambda image: next(turns)(image))
    with pytest.warns(UserWarning) as seen, ThreadPoolExecutor(2) as pool:
        one = pool.submit(read_image, large_image)
        assert first_reads.wait(60)
        other = pool.submit(read_image, large_image)
        assert second_reads.wait(60)
        warnings.warn("while both read", stacklevel=1)
        one.result()
        first_is_done.set()
        other.result()
        warnings.warn("after both", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["while both read", "after both"]
