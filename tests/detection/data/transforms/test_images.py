"""Images are read, normalised and padded; a bad one is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detection.data import LoadImages, NormalizeImages, PadImages
from detection.data.sample import FrameSample
from scenes import InputError

MakeSample = Callable[..., FrameSample]
RANDOM = np.random.default_rng(0)


def _at(sample: FrameSample, path: Path, size: tuple[int, int] | None = None) -> FrameSample:
    return sample.with_views([replace(sample.views[0], image=None, image_path=path, size_px=size)])


def test_reads_what_opencv_reads(make_sample: MakeSample, small_city: Path) -> None:
    path = sorted((small_city / "samples" / "CAM_FRONT").iterdir())[0]
    loaded = LoadImages()(_at(make_sample(np.zeros((2, 2, 3), np.uint8)), path, (320, 180)), RANDOM).views[0].image
    assert loaded is not None
    np.testing.assert_allclose(loaded.astype(int), cv2.imread(str(path))[..., ::-1].astype(int), atol=2)


def test_grey_image_becomes_rgb(make_sample: MakeSample, tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(tmp_path / "grey.png")
    sample = LoadImages()(_at(make_sample(np.zeros((2, 2, 3), np.uint8)), tmp_path / "grey.png"), RANDOM)
    assert sample.views[0].image is not None and sample.views[0].image.shape == (4, 6, 3)
    assert sample.views[0].size_px == (6, 4)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "is missing"),
        (lambda path: path.write_bytes(b"no image"), "not an image"),
        (lambda path: path.write_bytes(b""), "not an image"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: Image.new("RGB", (400, 300)).save(path), "is 400x300 pixels, its calibration belongs to 320x180"),
    ],
)
def test_bad_image_is_named(
    make_sample: MakeSample, tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / "bad.jpg")
    with pytest.raises(InputError, match=message) as caught:
        LoadImages()(_at(make_sample(np.zeros((2, 2, 3), np.uint8)), tmp_path / "bad.jpg", (320, 180)), RANDOM)
    assert "bad.jpg: image of CAM_FRONT, sample 'frame'" in str(caught.value)


def test_cut_image_is_named(make_sample: MakeSample, small_city: Path, tmp_path: Path) -> None:
    whole = sorted((small_city / "samples" / "CAM_FRONT").iterdir())[0].read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: image of CAM_FRONT.*cannot be read \(.*truncated"):
        LoadImages()(_at(make_sample(np.zeros((2, 2, 3), np.uint8)), tmp_path / "cut.jpg"), RANDOM)


@pytest.mark.parametrize("to_rgb", [True, False])
def test_normalises_in_the_order_of_the_channels(make_sample: MakeSample, to_rgb: bool) -> None:
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    normalized = NormalizeImages(mean.tolist(), std.tolist(), to_rgb)(make_sample(image), RANDOM).views[0].image
    assert normalized is not None and normalized.dtype == np.float32
    channels = image if to_rgb else image[..., ::-1]
    np.testing.assert_allclose(normalized.transpose(1, 2, 0), (channels - mean) / std, atol=1e-5)


def test_pads_all_to_one_size(make_sample: MakeSample) -> None:
    sample = make_sample(np.full((40, 50, 3), 9, np.uint8))
    other = make_sample(np.full((30, 70, 3), 9, np.uint8))
    both = NormalizeImages([0, 0, 0], [1, 1, 1], True)(sample.with_views([*sample.views, *other.views]), RANDOM)
    padded = [view.image for view in PadImages(32)(both, RANDOM).views]
    assert [image is not None and image.shape for image in padded] == [(3, 64, 96)] * 2
    assert padded[0] is not None
    assert (padded[0][:, :40, :50] == 9).all() and padded[0].sum() == 9 * 3 * 40 * 50
