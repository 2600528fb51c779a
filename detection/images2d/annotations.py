"""COCO instances files -> records of images: what is annotated in each, mended and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
from numpy.typing import NDArray

from scenes import InputError
from scenes.coco import CocoAnnotation, CocoCategory, CocoId, CocoImage, by_id, edges_in_image, read_coco
from scenes.errors import shown
from scenes.geometry import FloatArray


class CocoInstances(msgspec.Struct):
    """An instances file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation] = msgspec.field(default_factory=list)


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image of a data set.

    Attributes:
        image_id: its id in the file.
        file_name: its path below the folder of images.
        size_px: width and height.
        boxes_px: (N, 4) left, top, right, bottom of its annotated objects, inside the image.
        labels: (N,) class indices.
    """

    image_id: CocoId
    file_name: str
    size_px: tuple[int, int]
    boxes_px: FloatArray
    labels: NDArray[np.int64]


def read_instances(path: Path) -> CocoInstances:
    """An instances file, its images and categories checked.

    Raises:
        InputError: no such file, not in the COCO format, an id that is there twice, an image that does not lie below
            their folder, or no image or no category.
    """
    instances = read_coco(path, CocoInstances, 'expected an object with "images", "categories" and "annotations"')
    if not by_id(instances.images, path, "images"):
        raise InputError(f"{path}: holds no image")
    for image in instances.images:
        name = PurePosixPath(image.file_name)
        if name.is_absolute() or ".." in name.parts or "\0" in image.file_name:
            raise InputError(
                f"{path}: image {image.id!r}: file_name {shown(image.file_name)} leaves the folder of images"
            )
    if not by_id(instances.categories, path, "categories"):
        raise InputError(f"{path}: holds no category")
    return instances


def chosen_categories(
    categories: Sequence[CocoCategory], classes: Sequence[str] | None, path: Path
) -> tuple[CocoCategory, ...]:
    """The category of each label.

    Args:
        categories: of the file.
        classes: their names in the order of the labels; None takes all in the order of their ids.
        path: the file, for messages.

    Raises:
        InputError: a class is not in the file, or names several of its categories.
    """
    if classes is None:
        return tuple(sorted(categories, key=lambda category: (isinstance(category.id, str), category.id)))
    chosen = []
    for name in classes:
        named = [category for category in categories if category.name == name]
        if len(named) != 1:
            known = ", ".join(category.name for category in categories)
            raise InputError(f"{path}: class '{name}' is {len(named)} times among the categories ({known})")
        chosen += named
    return tuple(chosen)


def image_records(
    instances: CocoInstances, categories: Sequence[CocoCategory], path: Path
) -> tuple[list[ImageRecord], dict[str, int]]:
    """The images of a file with the boxes to learn from.

    Crowds, boxes of other categories and boxes of which nothing lies in the image are left out; a box that reaches
    over the image's edge is cut there.

    Args:
        instances: of the file.
        categories: of each label.
        path: the file, for messages.

    Returns:
        the records in the order of the file; how many of what was left out or mended, in words.

    Raises:
        InputError: an annotation belongs to an image or a category that the file does not have.
    """
    count: Counter[str] = Counter()
    label_of = {category.id: label for label, category in enumerate(categories)}
    known = {category.id for category in instances.categories}
    rows: dict[CocoId, list[CocoAnnotation]] = {image.id: [] for image in instances.images}
    for index, row in enumerate(instances.annotations):
        check_annotation(row, f"{path}: annotations[{index}]", rows, known)
        if row.iscrowd:
            count["crowds left out"] += 1
        elif row.category_id not in label_of:
            count["boxes of other categories left out"] += 1
        else:
            rows[row.image_id].append(row)
    records = [_record(image, rows[image.id], label_of, count) for image in instances.images]
    count["images without boxes"] = sum(len(record.labels) == 0 for record in records)
    return records, {what: number for what, number in count.items() if number}


def check_annotation(
    row: CocoAnnotation, where: str, images: Mapping[CocoId, object], categories: Iterable[CocoId]
) -> None:
    """Check that an annotation's image and category are in its file.

    Raises:
        InputError: one is not; the message begins with `where`.
    """
    if row.image_id not in images:
        raise InputError(f"{where}, key image_id: {row.image_id!r} is none of the images")
    if row.category_id not in categories:
        raise InputError(f"{where}, key category_id: {row.category_id!r} is none of the categories")


def _record(
    image: CocoImage, rows: Sequence[CocoAnnotation], label_of: Mapping[CocoId, int], count: Counter[str]
) -> ImageRecord:
    edges, visible, cut = edges_in_image(rows, image)
    count["boxes cut at the image's edge"] += int(cut.sum())
    count["boxes outside the image or without area left out"] += int((~visible).sum())
    labels = np.array([label_of[row.category_id] for row in rows], dtype=np.int64)
    return ImageRecord(image.id, image.file_name, (image.width, image.height), edges[visible], labels[visible])
