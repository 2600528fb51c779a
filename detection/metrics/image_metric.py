"""COCO's average precision during validation, without going through files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from detection.image_batch import ImageDetections
from detection.images2d.annotations import chosen_categories, read_instances
from detection.metrics.coco import coco_results, evaluate_coco
from detection.metrics.gathered_metric import GatheredMetric
from detection.registry import METRICS
from scenes import InputError
from scenes.coco import CocoId


@METRICS.register_module()
class CocoMetric(GatheredMetric):
    """AP of boxes in memory, by `evaluate_coco`.

    Each data sample is a pair of an image id and its `ImageDetections` in pixels of the image as it was read. An image
    that several processes hold because a sampler padded its share counts once.

    Args:
        ann_file: instances file of the data set.
        classes: names of the categories in the order of the labels, as in the data set.
    """

    default_prefix = "coco"

    def __init__(self, ann_file: Path | str, classes: Sequence[str] | None = None) -> None:
        super().__init__()
        self._ann_file = Path(ann_file)
        self._classes = classes

    def compute_metrics(self, results: list[tuple[CocoId, ImageDetections]]) -> dict[str, float]:
        """The metrics over gathered (image id, detections) pairs.

        Raises:
            InputError: an image of the file is missing, or the file cannot be used.
        """
        instances = read_instances(self._ann_file)
        categories = chosen_categories(instances.categories, self._classes, self._ann_file)
        found = dict(results)
        missing = [image.id for image in instances.images if image.id not in found]
        if missing:
            raise InputError(f"{self._ann_file}: {len(missing)} images were not looked at, such as {missing[0]!r}")
        rows = coco_results(list(found), list(found.values()), [category.id for category in categories])
        if not rows:
            MMLogger.get_current_instance().warning(f"{self._ann_file}: no boxes were found in {len(found)} images")
        return {f"{self.prefix}/{name}": value for name, value in evaluate_coco(self._ann_file, rows).items()}
