"""Info files -> COCO instances files: every camera image of every frame, with the 2D boxes of the info file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from detection.data.infos import CATEGORY_NAMES_2D, Info
from scenes import LABEL_OF_CLASS, NUSCENES, Taxonomy

_HARDLY_VISIBLE: Final = "1"
"""The visibility level of objects of which at most 40% show in all cameras together."""

_CATEGORY_ID: Final = tuple(LABEL_OF_CLASS[name] + 1 for name in CATEGORY_NAMES_2D)
"""The category id of each 2D label of an info file; ids begin at 1, as COCO's own."""


Row = dict[str, Any]


def coco_instances(infos: Sequence[Info], dataroot: Path, taxonomy: Taxonomy = NUSCENES) -> dict[str, list[Row]]:
    """The camera images of info files' frames, and their boxes, as the content of a COCO instances file.

    Categories are the classes of the data root, with ids from 1. A box is what the corners of a 3D box span in the
    image, hidden parts included. Objects of visibility level 1, of which at most 40% show, are crowds: training leaves
    them out, and a detection of one counts neither way. `file_name` is relative to the data root; images also have
    `sample_token` and `camera`.

    Args:
        infos: as `detection.data.create_infos` makes them; those without boxes give images without boxes.
        dataroot: the data root of the images.
        taxonomy: its classes.
    """
    category_ids = _CATEGORY_ID if taxonomy == NUSCENES else tuple(range(1, len(taxonomy) + 1))
    images: list[Row] = []
    annotations: list[Row] = []
    for info in infos:
        for index, name in enumerate(info["cams"]):
            images.append({"id": len(images) + 1, **_image(info, name, dataroot)})
            for row in _boxes(info, index, category_ids):
                annotations.append({"id": len(annotations) + 1, "image_id": len(images), **row})
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(taxonomy.names)]
    return {"images": images, "categories": categories, "annotations": annotations}


def _image(info: Info, name: str, dataroot: Path) -> Row:
    camera = info["cams"][name]
    return {
        "file_name": Path(os.path.relpath(camera["data_path"], dataroot)).as_posix(),
        "width": camera["width"],
        "height": camera["height"],
        "sample_token": info["token"],
        "camera": name,
    }


def _boxes(info: Info, index: int, category_ids: Sequence[int]) -> Iterator[Row]:
    """What is annotated in the image of a frame's camera."""
    if "bboxes2d" not in info:
        return
    edges_px = np.asarray(info["bboxes2d"][index], dtype=np.float64).reshape(-1, 4)
    labels, levels = info["labels2d"][index], info["visibilities"][index]
    for (left, top, right, bottom), label, level in zip(edges_px.tolist(), labels, levels, strict=True):
        width, height = right - left, bottom - top
        yield {
            "category_id": category_ids[label],
            "bbox": [round(value, 2) for value in (left, top, width, height)],
            "area": round(width * height, 2),
            "iscrowd": int(level == _HARDLY_VISIBLE),
        }
