"""Images are read, normalised and padded; a bad one is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from detection.data import LoadImages, NormalizeImages, PadImages, ResizeCropFlipRotate
from detection.data.batch import frame_batch
from detection.data.collate import collate
from detection.data.sample import FrameSample
from detection.frames import FrameBatch
from scenes import InputError
from tests.detection.models.simulated_gpu import simulated_gpu

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


def test_half_decoding_moves_nothing(make_sample: MakeSample, tmp_path: Path) -> None:
    """The network's image, its calibration and its boxes are those of the image that is decoded whole."""
    smooth = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (180, 320, 3), dtype=np.uint8), (0, 0), 6)
    Image.fromarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)).save(tmp_path / "a.jpg", quality=95)
    box = [[2.0, 20.0, -1.0, 4.0, 2.0, 1.5, 0.3, 0.0, 0.0]]
    sample = make_sample(np.zeros((180, 320, 3), np.uint8), box, boxes_px=[[90.0, 60.0, 200.0, 150.0]], depths_m=[20.0])
    sample = replace(_at(sample, tmp_path / "a.jpg", (320, 180)), focus_px=np.array([100.0, 80.0]))
    shrink = ResizeCropFlipRotate((64, 128), training=False)
    whole, half = (LoadImages(at_least)(sample, RANDOM) for at_least in (None, (64, 128)))
    assert half.views[0].image is not None and half.views[0].image.shape == (90, 160, 3)
    assert half.focus_px is not None and half.focus_px.tolist() == [50.0, 40.0]
    (expected,), (found,) = (shrink(loaded, RANDOM).views for loaded in (whole, half))
    np.testing.assert_allclose(found.image_from_camera, expected.image_from_camera, atol=1e-9)
    assert found.annotations is not None and expected.annotations is not None
    np.testing.assert_allclose(found.annotations.boxes_px, expected.annotations.boxes_px, atol=1e-9)
    np.testing.assert_allclose(found.annotations.centers_px, expected.annotations.centers_px, atol=1e-9)
    assert found.image is not None and expected.image is not None
    assert np.abs(found.image.astype(int) - expected.image).mean() < 1


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="at_least is \\(0, 704\\), expected a height and a width above 0"):
        LoadImages((0, 704))


@pytest.mark.parametrize("to_rgb", [True, False])
def test_normalises_in_the_order_of_the_channels(make_sample: MakeSample, to_rgb: bool) -> None:
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    sample = NormalizeImages(mean.tolist(), std.tolist(), to_rgb)(make_sample(image), RANDOM)
    frame = frame_batch(sample, continues_scene=False)
    assert frame.images.dtype == torch.uint8
    normalized = frame.normalized()
    assert normalized.images.dtype == torch.float32 and normalized.normalized() is normalized
    channels = image if to_rgb else image[..., ::-1]
    found = normalized.images[0, 0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, (channels - mean) / std, atol=1e-5)
    # To the bit what numpy gives in float32, as pipelines did it.
    mean32, scale32 = mean.astype(np.float32), (1 / std).astype(np.float32)
    np.testing.assert_array_equal(found, (channels.astype(np.float32) - mean32) * scale32)


def _padded(make_sample: MakeSample, *sizes: tuple[int, int]) -> FrameBatch:
    """A frame of images of 9, which are normalised to 4."""
    samples = [make_sample(np.full((*size, 3), 9, np.uint8)) for size in sizes]
    together = samples[0].with_views([view for sample in samples for view in sample.views])
    for step in (NormalizeImages([1, 1, 1], [2, 2, 2], True), PadImages(32)):
        together = step(together, RANDOM)
    return frame_batch(together, continues_scene=False)


def test_pads_all_to_one_size_with_the_mean_colour(make_sample: MakeSample) -> None:
    images = _padded(make_sample, (40, 50), (30, 70)).normalized().images[0]
    assert images.shape == (2, 3, 64, 96)
    for image, (height, width) in zip(images, ((40, 50), (30, 70)), strict=True):
        assert (image[:, :height, :width] == 4).all() and image.sum() == 4 * 3 * height * width


def test_normalises_on_a_gpu_that_nobody_waits_for(make_sample: MakeSample) -> None:
    frame = _padded(make_sample, (40, 50), (30, 70))
    with simulated_gpu() as log:
        images = frame.pin_memory().to("cuda:0").normalized().images
        assert not log.waits and not log.copies
        assert torch.equal(images.cpu(), frame.normalized().images)


def test_streams_keep_their_padding_side_by_side(make_sample: MakeSample) -> None:
    frames = [_padded(make_sample, size) for size in ((40, 70), (64, 96))]
    assert frames[1].normalization is not None and frames[1].normalization.sizes_px is None
    (batch,) = collate([[frame] for frame in frames])["frames"]
    assert torch.equal(batch.normalized().images, torch.cat([frame.normalized().images for frame in frames]))


def test_images_that_are_not_normalised_make_no_frame(make_sample: MakeSample) -> None:
    with pytest.raises(ValueError, match="has to load the images and end with NormalizeImages"):
        frame_batch(make_sample(np.zeros((2, 2, 3), np.uint8)), continues_scene=False)
