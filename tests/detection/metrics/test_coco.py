"""COCO's average precision: what its program says of a file that it can read, and of files that it cannot."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.image_batch import ImageDetections
from detection.metrics.coco import coco_results, evaluate_coco, write_coco_results
from detection.metrics.image_metric import CocoMetric
from scenes import InputError

Rows = list[dict[str, Any]]


def _random_boxes(count: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    return [
        dict(
            image_id=int(10 * random.integers(8)),
            category_id=int(random.choice([3, 17, 90])),
            bbox=[*random.uniform(0, 30, 2).round(1).tolist(), *random.uniform(2, 30, 2).round(1).tolist()],
            iscrowd=int(random.uniform() < 0.1),
        )
        for _ in range(count)
    ]


def _found(truth: Rows, seed: int) -> Rows:
    """Shifted boxes, some of another category."""
    random = np.random.default_rng(seed)
    return [
        dict(
            image_id=row["image_id"],
            category_id=row["category_id"] if random.uniform() < 0.8 else 17,
            bbox=(np.array(row["bbox"]) + random.normal(0, 1.5, 4)).clip(1).round(2).tolist(),
            score=float(random.uniform().__round__(3)),
        )
        for row in truth
        for _ in range(2)
    ]


def _by_the_program_alone(folder: Path, found: Rows) -> list[float]:
    """The scores of the file as it is, with ids and areas as the program wants them."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "instances.json"))
        scored = COCOeval(truth, truth.loadRes(found), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return [float(value) for value in scored.stats[:9]]


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_are_those_of_the_program(write_coco: Callable[..., Path], seed: int) -> None:
    truth = _random_boxes(40, seed)
    complete = [{**row, "id": i + 1, "area": row["bbox"][2] * row["bbox"][3]} for i, row in enumerate(truth)]
    folder = write_coco(complete, images=8)
    found = _found(truth, seed)
    scores = evaluate_coco(folder / "instances.json", found)
    expected = dict(
        zip(
            ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100"),
            _by_the_program_alone(folder, found),
            strict=True,
        )
    )
    assert 0.05 < scores["AP"] < 0.95
    assert scores == pytest.approx({name: value for name, value in expected.items() if value >= 0}, abs=1e-12)
    assert "AP_large" not in scores  # no box of the file is that large


def test_ids_without_use_and_missing_areas_change_nothing(write_coco: Callable[..., Path]) -> None:
    truth = _random_boxes(40, 3)
    found = _found(truth, 3)
    whole = write_coco(
        [{**row, "id": i + 1, "area": row["bbox"][2] * row["bbox"][3]} for i, row in enumerate(truth)], 8
    )
    expected = evaluate_coco(whole / "instances.json", found)
    assert evaluate_coco(write_coco(truth, 8) / "instances.json", found) == expected
    as_text = json.loads((whole / "instances.json").read_text())
    for row in as_text["images"]:
        row["id"] = f"image {row['id']}"
    for row in (*as_text["annotations"], *found):
        row["image_id"] = f"image {row['image_id']}"
    (whole / "text.json").write_text(json.dumps(as_text))
    assert evaluate_coco(whole / "text.json", found) == expected


def test_no_boxes_are_no_precision(write_coco: Callable[..., Path]) -> None:
    folder = write_coco([dict(image_id=0, category_id=3, bbox=[1, 2, 3, 4])])
    assert evaluate_coco(folder / "instances.json", [])["AP"] == 0.0


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ([], [], r"instances\.json: holds no box to compare with"),
        ([dict(image_id=7, category_id=3, bbox=[1, 2, 3, 4])], [], r"annotations\[0\], key image_id: 7 is none of"),
        (None, [dict(image_id=7, category_id=3, bbox=[1, 2, 3, 4], score=1)], r"box 0 of the results, key image_id: 7"),
        (None, [dict(image_id=0, category_id=4, bbox=[1, 2, 3, 4], score=1)], r"key category_id: 4 is not in .*\.json"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    write_coco: Callable[..., Path], truth: Rows | None, found: Rows, message: str
) -> None:
    rows = [dict(image_id=0, category_id=3, bbox=[1, 2, 3, 4])] if truth is None else truth
    with pytest.raises(InputError, match=message):
        evaluate_coco(write_coco(rows) / "instances.json", found)


def _detections(boxes: list[list[float]], labels: list[int]) -> ImageDetections:
    scores = torch.linspace(0.9, 0.1, len(labels)) if labels else torch.zeros(0)
    return ImageDetections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), scores)


def test_results_are_rows_of_the_files_ids(tmp_path: Path) -> None:
    rows = coco_results([7, "b"], [_detections([[1, 2, 4.5, 10]], [1]), _detections([], [])], (3, 90))
    write_coco_results(tmp_path / "found.json", rows)
    assert json.loads((tmp_path / "found.json").read_text()) == [
        {"image_id": 7, "category_id": 90, "bbox": [1.0, 2.0, 3.5, 8.0], "score": 0.9}
    ]


def test_the_metric_knows_the_labels_of_the_data_set(write_coco: Callable[..., Path], logged: list[str]) -> None:
    rows = [dict(image_id=0, category_id=90, bbox=[1, 2, 30, 20]), dict(image_id=10, category_id=3, bbox=[5, 5, 9, 9])]
    metric = CocoMetric(write_coco(rows) / "instances.json", classes=["zebra", "car"])
    found = [_detections([[1, 2, 31, 22]], [0]), _detections([[5, 5, 14, 14]], [1]), _detections([], [])]
    samples = [(10 * index, one) for index, one in enumerate(found)]
    metric.process(None, samples[:2])
    metric.process(None, samples)  # a padded share repeats images
    assert metric.evaluate(3)["coco/AP"] == pytest.approx(1.0)
    metric.process(None, [(image_id, found[2]) for image_id, _ in samples])
    assert metric.evaluate(3)["coco/AP"] == 0.0
    assert logged[-1].endswith("instances.json: no boxes were found in 3 images")
    metric.process(None, samples[1:])
    with pytest.raises(InputError, match=r"instances\.json: 1 images were not looked at, such as 0"):
        metric.evaluate(3)
