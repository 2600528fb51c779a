"""The boxes of a 2D detector in the COCO format: writes a row, and reads two files and says whose image a box is of.

The results file is a list of boxes, `{"image_id", "category_id", "bbox": [left, top, width, height], "score"}`; the
data set's file, `{"images": [...], "categories": [...], ...}`, is the one that the detector ran on and says what the
ids mean. Ids are names: they may have gaps and any order. An image is the camera image whose path `file_name` is or
ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from scenes.boxes2d import Boxes2D, CameraBoxes
from scenes.coco import CocoCategory, CocoId, CocoImage, CocoResult, by_id, edges_in_image, read_coco
from scenes.errors import InputError
from scenes.scene import Camera, Scene, taxonomy_of
from scenes.taxonomy import Taxonomy


def coco_row(image_id: CocoId, category_id: CocoId, edges_px: Sequence[float], score: float) -> dict[str, Any]:
    """A box as a row of a results file.

    Args:
        image_id, category_id: of the box.
        edges_px: left, top, right, bottom in the image as it was read.
        score: of the box.
    """
    left, top, right, bottom = edges_px
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [round(value, 2) for value in (left, top, right - left, bottom - top)],
        "score": round(score, 5),
    }


def _understood(taxonomy: Taxonomy) -> Mapping[str, int]:
    """The labels of names that are understood: classes, annotation categories, and COCO's own where it differs."""
    labels = dict(taxonomy.label_of)
    labels |= {category: label for label, class_ in enumerate(taxonomy.classes) for category in class_.categories}
    if "pedestrian" in labels:
        labels.setdefault("person", labels["pedestrian"])
    return {name.lower(): label for name, label in labels.items()}


class _DataSet(msgspec.Struct):
    images: list[CocoImage]
    categories: list[CocoCategory]


@dataclass(frozen=True)
class CocoBoxes:
    """The boxes of a results file that belong to camera images of some scenes.

    Attributes:
        boxes: by sample token and camera name; also images in which there is no box.
        notes: what was left out or mended, a line each, for the user to read.
    """

    boxes: CameraBoxes
    notes: tuple[str, ...]


def read_coco_boxes(results: Path, data_set: Path, scenes: Sequence[Scene]) -> CocoBoxes:
    """Read the boxes of the camera images of some scenes.

    Images of other frames are left out, and so are boxes of unknown categories and of no area; boxes that reach over
    the image's edge are cut there. All of these are counted. Where an image was resized for the detector, its boxes are
    scaled back.

    Args:
        results: list of boxes. data_set: images and categories.
        scenes: with cameras.

    Raises:
        InputError: a file cannot be read or used; it names an id twice, or one that does not exist; a name fits several
            camera images; no image is one of the scenes', no category is known, or there are no boxes. The message
            names file, entry and key.
    """
    known = read_coco(data_set, _DataSet, 'expected an object with "images" and "categories"')
    rows = read_coco(results, list[CocoResult], "expected a list of boxes")
    if not rows:
        raise InputError(f"{results}: no boxes in it")
    images = by_id(known.images, data_set, "images")
    label_of = labels_of_categories(known.categories, data_set, taxonomy_of(scenes))
    cameras = cameras_of_images(images, data_set, scenes)
    count: Counter[str] = Counter()
    rows_of: defaultdict[CocoId, list[CocoResult]] = defaultdict(list)
    for index, row in enumerate(rows):
        _check(row, f"{results}: box {index}", images, label_of)
        if row.image_id not in cameras:
            count["boxes in images of other frames left out"] += 1
        elif label_of[row.category_id] is None:
            count["boxes of other categories left out"] += 1
        else:
            rows_of[row.image_id].append(row)
    boxes: dict[str, dict[str, Boxes2D]] = {}
    for image_id, (token, camera) in cameras.items():
        labels = [label_of[row.category_id] for row in rows_of[image_id]]
        boxes.setdefault(token, {})[camera.name] = _boxes(rows_of[image_id], labels, images[image_id], camera, count)
    return CocoBoxes(boxes, tuple(f"{results}: {number} {what}" for what, number in count.items() if number))


def labels_of_categories(categories: list[CocoCategory], path: Path, taxonomy: Taxonomy) -> dict[CocoId, int | None]:
    """The label of each category id, None for a category that is none of ours.

    Args:
        categories: of a data set. path: its file, for messages.
        taxonomy: the classes of the data root.

    Raises:
        InputError: an id is there twice, or no category is known.
    """
    understood = _understood(taxonomy)
    labels = {
        id_: understood.get(category.name.strip().lower())
        for id_, category in by_id(categories, path, "categories").items()
    }
    if all(label is None for label in labels.values()):
        names = ", ".join(repr(category.name) for category in categories[:3]) or "none"
        raise InputError(f"{path}: key categories: none is a class of {taxonomy} ({names} ...)")
    return labels


def cameras_of_images(
    images: Mapping[CocoId, CocoImage], path: Path, scenes: Sequence[Scene]
) -> dict[CocoId, tuple[str, Camera]]:
    """The sample token and camera of each image that the scenes hold.

    Args:
        images: of a data set, by id. path: its file, for messages.
        scenes: with cameras.

    Raises:
        InputError: a name fits several camera images, two images are the same one, or none is of the scenes.
    """
    shown = {
        PurePosixPath(camera.image_path.absolute().as_posix()): (frame.token, camera)
        for scene in scenes
        for frame in scene.frames
        for camera in frame.cameras
    }
    by_name: dict[str, list[PurePosixPath]] = {}
    for image_path in shown:
        by_name.setdefault(image_path.name, []).append(image_path)
    cameras: dict[CocoId, tuple[str, Camera]] = {}
    taken: dict[PurePosixPath, CocoId] = {}
    for id_, image in images.items():
        named = PurePosixPath(image.file_name)
        fitting = [candidate for candidate in by_name.get(named.name, ()) if _ends_with(candidate, named)]
        if len(fitting) > 1:
            raise InputError(
                f"{path}: image {id_!r}: file_name {image.file_name!r} fits {len(fitting)} camera images, such as "
                f"{fitting[0]} and {fitting[1]}; give more of the path"
            )
        if fitting:
            if taken.setdefault(fitting[0], id_) != id_:
                raise InputError(f"{path}: images {taken[fitting[0]]!r} and {id_!r} are both {fitting[0]}")
            cameras[id_] = shown[fitting[0]]
    if not cameras:
        first = next((repr(image.file_name) for image in images.values()), "there are none")
        raise InputError(
            f"{path}: key images: none is a camera image of the scenes ({first} ...); "
            "file_name is a camera image's path, or the end of it"
        )
    return cameras


def _ends_with(path: PurePosixPath, end: PurePosixPath) -> bool:
    return path.parts[-len(end.parts) :] == end.parts


def _check(
    row: CocoResult, where: str, images: Mapping[CocoId, CocoImage], label_of: Mapping[CocoId, int | None]
) -> None:
    if row.image_id not in images:
        raise InputError(f"{where}, key image_id: {row.image_id!r} is none of the images")
    if row.category_id not in label_of:
        raise InputError(f"{where}, key category_id: {row.category_id!r} is none of the categories")
    if min(row.bbox[2:]) < 0.0:
        raise InputError(f"{where}, key bbox: width and height must not be negative, got {list(row.bbox)}")


def _boxes(
    rows: Sequence[CocoResult], labels: Sequence[int | None], image: CocoImage, camera: Camera, count: Counter[str]
) -> Boxes2D:
    """The boxes of one image, in the pixels of its camera, cut at the image's edge."""
    edges, visible, cut = edges_in_image(rows, image)
    count["boxes cut at the image's edge"] += int(cut.sum())
    count["boxes outside the image or without area left out"] += int((~visible).sum())
    size_px = np.array([image.width, image.height], dtype=np.float64)
    edges = edges * np.tile(np.array(camera.size_px) / size_px, 2)
    return Boxes2D(edges, np.array(labels, dtype=np.int64), np.array([row.score for row in rows])).select(visible)
