"""Info files -> COCO instances files: every camera image of every frame, with the 2D boxes of the info file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from detection.data.infos import CATEGORY_NAMES_2D, Info, read_infos
from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, InputError
from scenes.files import write_atomically

_HARDLY_VISIBLE: Final = "1"
"""The visibility level of objects of which at most 40% show in all cameras together."""

_CATEGORY_ID: Final = tuple(LABEL_OF_CLASS[name] + 1 for name in CATEGORY_NAMES_2D)
"""The category id of each 2D label of an info file; ids begin at 1, as COCO's own."""


_NAME_OF_SPLIT: Final = "_temporal_infos_"
"""What stands before the split in the name of an info file."""

Row = dict[str, Any]


@dataclass(frozen=True)
class CocoExport:
    """What has been written: the file, how many images, and how many boxes, `crowds` of them crowds."""

    path: Path
    images: int
    boxes: int
    crowds: int


def export_coco(info_file: Path) -> CocoExport:
    """Write `coco_<split>.json` beside an info file: its camera images and their boxes as a COCO instances file.

    Categories are the ten detection classes, with ids from 1. A box is what the corners of a 3D box span in the image,
    hidden parts included. Objects of visibility level 1, of which at most 40% show, are crowds: training leaves them
    out, and a detection of one counts neither way. `file_name` is relative to the data root; images also have
    `sample_token` and `camera`.

    Args:
        info_file: as `detection.data.create_infos` writes it; one without boxes gives images without boxes.

    Raises:
        InputError: the info file cannot be read, or does not say its data root or the size of an image.
    """
    infos, metadata = read_infos(info_file)
    if "dataroot" not in metadata:
        raise InputError(f"{info_file}: does not say its data root; `streamtrack create_data` makes one that does")
    images: list[Row] = []
    annotations: list[Row] = []
    for info in infos:
        for index, name in enumerate(info["cams"]):
            images.append({"id": len(images) + 1, **_image(info, name, metadata["dataroot"], info_file)})
            for row in _boxes(info, index):
                annotations.append({"id": len(annotations) + 1, "image_id": len(images), **row})
    path = info_file.with_name(f"coco_{info_file.stem.rpartition(_NAME_OF_SPLIT)[2]}.json")
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(DETECTION_CLASSES)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    write_atomically(path, msgspec.json.encode(content))
    return CocoExport(path, len(images), len(annotations), sum(row["iscrowd"] for row in annotations))


def _image(info: Info, name: str, dataroot: str, info_file: Path) -> Row:
    camera = info["cams"][name]
    if not camera.get("width") or not camera.get("height"):
        raise InputError(f"{info_file}: sample '{info['token']}', {name}: does not say the size of its image")
    return {
        "file_name": Path(os.path.relpath(camera["data_path"], dataroot)).as_posix(),
        "width": int(camera["width"]),
        "height": int(camera["height"]),
        "sample_token": info["token"],
        "camera": name,
    }


def _boxes(info: Info, index: int) -> Iterator[Row]:
    """What is annotated in the image of a frame's camera."""
    if "bboxes2d" not in info:
        return
    edges_px = np.asarray(info["bboxes2d"][index], dtype=np.float64).reshape(-1, 4)
    labels, levels = info["labels2d"][index], info["visibilities"][index]
    for (left, top, right, bottom), label, level in zip(edges_px.tolist(), labels, levels, strict=True):
        width, height = right - left, bottom - top
        yield {
            "category_id": _CATEGORY_ID[label],
            "bbox": [round(value, 2) for value in (left, top, width, height)],
            "area": round(width * height, 2),
            "iscrowd": int(level == _HARDLY_VISIBLE),
        }
