"""`CocoDataset`: single images and what is annotated in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray
from torch.utils.data import Dataset

from detection.data.dataset import FrameRequest, path_below
from detection.data.image_reading import read_image
from detection.data.packed import PackedList
from detection.images2d.annotations import ImageRecord, chosen_categories, image_records, read_instances
from detection.images2d.sample import ImageSample, ImageTransform, collate_images
from detection.registry import DATASETS, TRANSFORMS
from scenes import InputError
from scenes.coco import CocoId

_MOST_UNUSABLE: Final = 10
"""So many images in a row that cannot be used are no accident."""


@DATASETS.register_module()
class CocoDataset(Dataset[ImageSample]):
    """The images of a COCO instances file.

    Items are asked for by a `FrameRequest`; a plain index works too, and randomness then depends on it alone.

    An image that cannot be read, or whose size is not the one in the file, stops an evaluation. In training another
    one takes its place, drawn from the same random numbers, and a warning names it once in each process.

    Args:
        dataroot: folder below which everything lies.
        ann_file: instances file; a relative path is looked up below `dataroot` unless it exists as it is.
        image_dir: folder of the images, below `dataroot`.
        pipeline: configs of the transforms.
        classes: names of the categories in the order of the labels; None takes all in the order of their ids.
        test_mode: whether to leave annotations out.

    Attributes:
        classes: names in the order of the labels.
        category_ids: the file's id of each label.
        sequences: each image on its own, for samplers.

    Raises:
        InputError: the file cannot be read or used, or there is no folder of images, or nothing to learn from.
    """

    collate = staticmethod(collate_images)

    def __init__(
        self,
        dataroot: Path | str,
        ann_file: Path | str,
        image_dir: Path | str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        classes: Sequence[str] | None = None,
        test_mode: bool = False,
    ) -> None:
        self._folder = Path(dataroot, image_dir)
        if not self._folder.is_dir():
            raise InputError(f"{self._folder}: no such folder of images")
        path = path_below(Path(dataroot), Path(ann_file))
        instances = read_instances(path)
        categories = chosen_categories(instances.categories, classes, path)
        self.classes: tuple[str, ...] = tuple(category.name for category in categories)
        self.category_ids: tuple[CocoId, ...] = tuple(category.id for category in categories)
        self._test_mode = test_mode
        self._transforms: list[ImageTransform] = [TRANSFORMS.build(step) for step in pipeline]
        if test_mode:
            instances.annotations = []
        records, left_out = image_records(instances, categories, path)
        if not test_mode:
            _check_and_report(records, left_out, path)
        self._records: PackedList[ImageRecord] = PackedList(records)
        self._unusable: set[str] = set()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def sequences(self) -> list[NDArray[np.int64]]:
        """Each image on its own: they do not follow each other."""
        return [np.array([index]) for index in range(len(self))]

    @property
    def image_ids(self) -> list[CocoId]:
        """The id of each image in the instances file."""
        return [self.record(index).image_id for index in range(len(self))]

    def record(self, index: int) -> ImageRecord:
        """What the file says of an image."""
        return self._records[index]

    def __getitem__(self, request: FrameRequest | int) -> ImageSample:
        if not isinstance(request, FrameRequest):
            request = FrameRequest(int(request), 0, False, (int(request),))
        random = np.random.default_rng(request.seed)
        return self._transformed(request.index, random, len(self._transforms))

    def _transformed(self, index: int, random: np.random.Generator, steps: int) -> ImageSample:
        """An image after the first steps of the pipeline."""
        sample = self._sample(index, random)
        for step in range(steps):
            sample = self._transforms[step](sample, random, partial(self._another, random, step))
        return sample

    def _another(self, random: np.random.Generator, steps: int) -> ImageSample:
        return self._transformed(int(random.integers(len(self))), random, steps)

    def _sample(self, index: int, random: np.random.Generator) -> ImageSample:
        """An image as it was read, or in training another one where it cannot be used."""
        for _ in range(_MOST_UNUSABLE):
            sample = self._usable(index)
            if sample is not None:
                return sample
            index = int(random.integers(len(self)))
        raise InputError(f"{self._folder}: {_MOST_UNUSABLE} images in a row cannot be used")

    def _usable(self, index: int) -> ImageSample | None:
        try:
            return self._read(self.record(index))
        except InputError as error:
            if self._test_mode:
                raise
            self._warn(str(error))
            return None

    def _read(self, record: ImageRecord) -> ImageSample:
        path = self._folder / record.file_name
        image = read_image(path)
        height, width = image.shape[:2]
        if (width, height) != record.size_px:
            expected = "x".join(map(str, record.size_px))
            raise InputError(f"{path}: is {width}x{height} pixels, image {record.image_id!r} of the file is {expected}")
        sample = ImageSample.of(image, record.image_id, str(path))
        return sample if self._test_mode else replace(sample, boxes_px=record.boxes_px, labels=record.labels)

    def _warn(self, what: str) -> None:
        if what not in self._unusable:
            self._unusable.add(what)
            count = len(self._unusable)
            MMLogger.get_current_instance().warning(f"{what}; another image takes its place ({count} so far)")


def _check_and_report(records: Sequence[ImageRecord], left_out: Mapping[str, int], path: Path) -> None:
    """One line on what was left out or mended."""
    boxes = sum(len(record.labels) for record in records)
    notes = ", ".join(f"{what}: {number}" for what, number in left_out.items())
    if not boxes:
        raise InputError(f"{path}: holds no box to learn from ({notes})")
    if notes:
        MMLogger.get_current_instance().warning(f"{path}: {len(records)} images with {boxes} boxes; {notes}")
