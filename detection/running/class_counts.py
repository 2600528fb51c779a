"""Whether a config's network has as many classes as the data that it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from scenes import InputError, Taxonomy


def check_class_counts(config: Config, dataset: Mapping[str, Any], taxonomy: Taxonomy) -> None:
    """Compare the `num_classes` of a detector's heads with the classes of a data set.

    Args:
        config: of the detector.
        dataset: the config of the data set; its `classes` and `camera_classes` go before those of the data root.
        taxonomy: the classes of the data root.

    Raises:
        InputError: a head has another number of classes.
    """
    classes: Sequence[str] = dataset.get("classes") or taxonomy.names
    of_head = {"pts_bbox_head": classes, "img_roi_head": dataset.get("camera_classes") or classes}
    for head, names in of_head.items():
        count = (config.get("model", {}).get(head) or {}).get("num_classes")
        if count is not None and count != len(names):
            raise InputError(
                f"model.{head}.num_classes is {count}, and the data has {len(names)} classes: {', '.join(names)} "
                f"({taxonomy})"
            )
