"""Crops of single cameras: rare classes come often, and the object that was drawn is there."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection.data import CameraCropDataset, FrameRequest, TemporalFrameDataset
from scenes import InputError

EditInfos = Callable[[Callable[[list[dict[str, Any]]], None]], Path]
PIPELINE = [
    dict(type="LoadImages"),
    dict(type="CropAroundHorizon", output_size=(96, 160), scale_range=(0.9, 1.1)),
    dict(type="NormalizeImages", mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], to_rgb=True),
]


@pytest.fixture(scope="module")
def dataset(small_city: Path, train_infos: Path) -> CameraCropDataset:
    return CameraCropDataset(small_city, train_infos.name, PIPELINE, object_share=1.0)


def test_every_camera_of_every_frame_is_an_item(
    small_city: Path, train_infos: Path, dataset: CameraCropDataset
) -> None:
    frames = TemporalFrameDataset(small_city, train_infos.name, PIPELINE[:1])
    assert len(dataset) == 6 * len(frames)
    plain = CameraCropDataset(small_city, train_infos.name, PIPELINE, object_share=0.0)
    for camera in range(6):
        (frame,) = plain[6 + camera]
        assert frame.images.shape == (1, 1, 3, 96, 160)
        assert frame.sample_tokens == (frames.sample_tokens[1],)
        np.testing.assert_allclose(
            frame.camera_from_lidar[0, 0], frames.record(1).cameras[camera].camera_from_lidar, atol=1e-5
        )


def test_files_that_do_not_tell_the_size_of_images_have_the_same_objects(
    small_city: Path, edited_infos: EditInfos, dataset: CameraCropDataset
) -> None:
    def forget_sizes(infos: list[dict[str, Any]]) -> None:
        for info in infos:
            for camera in info["cams"].values():
                camera["width"] = None

    without = CameraCropDataset(small_city, edited_infos(forget_sizes), PIPELINE)
    assert [len(objects) for objects in without._objects] == [len(objects) for objects in dataset._objects]
    assert without.sample_tokens == dataset.sample_tokens


def test_the_same_request_gives_the_same_crop(dataset: CameraCropDataset) -> None:
    request = FrameRequest(3, 0, False, (1, 2, 3))
    (first,), (again,) = dataset[request], dataset[request]
    assert first.sample_tokens == again.sample_tokens and first.images.equal(again.images)


def test_each_class_is_drawn_with_the_root_of_its_count(dataset: CameraCropDataset) -> None:
    counts = np.array([len(objects) for objects in dataset._objects])
    random = np.random.default_rng(0)
    drawn = Counter(random.choice(len(counts), 6000, p=dataset._class_shares).tolist())
    expected = np.sqrt(counts) / np.sqrt(counts).sum()
    np.testing.assert_allclose([drawn[index] / 6000 for index in range(len(counts))], expected, atol=0.03)


def test_a_drawn_object_is_in_the_crop(dataset: CameraCropDataset) -> None:
    for seed in range(12):
        (frame,) = dataset[FrameRequest(0, 0, False, (seed,))]
        assert frame.targets is not None
        boxes = frame.targets[0].boxes
        homogeneous = np.column_stack([boxes[:, :3], np.ones(len(boxes))]) @ frame.image_from_lidar[0, 0].numpy().T
        centers = homogeneous[:, :2] / homogeneous[:, 2:3]
        inside = (homogeneous[:, 2] > 1) & (centers >= 0).all(axis=1) & (centers <= [160, 96]).all(axis=1)
        seen = frame.targets[0].cameras[0].centers_px.numpy()
        assert inside.any() or len(seen)


def test_shares_that_cannot_be_are_refused(small_city: Path, train_infos: Path) -> None:
    with pytest.raises(InputError, match=r"object_share is 1\.5"):
        CameraCropDataset(small_city, train_infos.name, PIPELINE, object_share=1.5)
