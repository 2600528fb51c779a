"""Average precision of boxes in images, by COCO's own program, and the results files that it reads."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.image_batch import ImageDetections
from detection.images2d.annotations import CocoInstances, check_annotation, read_instances
from scenes import InputError
from scenes.coco import CocoId
from scenes.coco_results import coco_row
from scenes.files import write_atomically

_SUMMARY: Final = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")
"""What COCO's summary begins with, in its order."""

CocoRow = dict[str, Any]
"""A box of a results file: `image_id`, `category_id`, `bbox` (left, top, width, height in pixels) and `score`."""


def coco_results(
    image_ids: Sequence[CocoId], detections: Sequence[ImageDetections], category_ids: Sequence[CocoId]
) -> list[CocoRow]:
    """Detections as rows of a COCO results file.

    Args:
        image_ids: of the images.
        detections: of each image, in pixels of the image as it was read.
        category_ids: id of each label.
    """
    return [
        coco_row(image_id, category_ids[label], edges_px, score)
        for image_id, found in zip(image_ids, detections, strict=True)
        for edges_px, label, score in zip(
            found.boxes_px.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
        )
    ]


def write_coco_results(path: Path, rows: Sequence[CocoRow]) -> None:
    """Write a COCO results file, whole or not at all."""
    write_atomically(path, msgspec.json.encode(rows))


def evaluate_coco(ann_file: Path | str, rows: Sequence[CocoRow]) -> dict[str, float]:
    """AP and its companions over all images and categories of an instances file.

    COCO's program scores the boxes as they are in the file. It takes an annotation with the id 0 for none, and needs
    ids, areas and numbers: all are made here, whatever the file has.

    Args:
        ann_file: instances file.
        rows: of all images, see `coco_results`; none at all is AP 0.

    Returns:
        AP (mean over IoU 0.5 to 0.95), AP50, AP75, AP_small, AP_medium, AP_large, AR1, AR10, AR100, from 0 to 1; sizes
        of which the file has no box are left out.

    Raises:
        InputError: the file cannot be used or has no boxes, or a row has an image or a category that it does not have.
    """
    path = Path(ann_file)
    instances = read_instances(path)
    image_number = {image.id: number for number, image in enumerate(instances.images, start=1)}
    category_number = {category.id: number for number, category in enumerate(instances.categories, start=1)}
    if not any(not row.iscrowd for row in instances.annotations):
        raise InputError(f"{path}: holds no box to compare with")
    truth = _annotations(instances, image_number, category_number, path)
    found = _detections(rows, image_number, category_number, path)
    with contextlib.redirect_stdout(io.StringIO()):
        scored = COCOeval(
            _coco(truth, image_number.values(), category_number.values()),
            _coco(found, image_number.values(), category_number.values()),
            "bbox",
        )
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return {name: float(value) for name, value in zip(_SUMMARY, scored.stats, strict=False) if value >= 0.0}


def _annotations(
    instances: CocoInstances,
    image_number: Mapping[CocoId, int],
    category_number: Mapping[CocoId, int],
    path: Path,
) -> list[CocoRow]:
    rows = []
    for index, row in enumerate(instances.annotations):
        check_annotation(row, f"{path}: annotations[{index}]", image_number, category_number)
        area = row.bbox[2] * row.bbox[3] if row.area is None else row.area
        rows.append(
            {
                "id": index + 1,
                "image_id": image_number[row.image_id],
                "category_id": category_number[row.category_id],
                "bbox": list(row.bbox),
                "area": area,
                "iscrowd": int(row.iscrowd),
            }
        )
    return rows


def _detections(
    rows: Sequence[CocoRow], image_number: Mapping[CocoId, int], category_number: Mapping[CocoId, int], path: Path
) -> list[CocoRow]:
    numbered = []
    for index, row in enumerate(rows):
        for key, known in (("image_id", image_number), ("category_id", category_number)):
            if row[key] not in known:
                raise InputError(f"box {index} of the results, key {key}: {row[key]!r} is not in {path}")
        numbered.append(
            {
                "id": index + 1,
                "image_id": image_number[row["image_id"]],
                "category_id": category_number[row["category_id"]],
                "bbox": row["bbox"],
                "area": row["bbox"][2] * row["bbox"][3],
                "iscrowd": 0,
                "score": row["score"],
            }
        )
    return numbered


def _coco(rows: list[CocoRow], images: Iterable[int], categories: Iterable[int]) -> Any:
    """Rows as COCO's program wants them."""
    data_set = COCO()
    data_set.dataset = {
        "images": [{"id": number} for number in images],
        "categories": [{"id": number} for number in categories],
        "annotations": rows,
    }
    data_set.createIndex()
    return data_set
