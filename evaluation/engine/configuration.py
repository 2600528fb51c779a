"""The settings of the official evaluation: nuscenes-devkit's `detection_cvpr_2019` and `tracking_nips_2019`.

The dictionaries are what the devkit writes as `cfg` into its summary, and what the engines compute with. With classes
of one's own (`scenes.Taxonomy`) the arithmetic is the same, over these classes and their ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from scenes import TRACKING_CLASSES, ObjectClass, Taxonomy
from scenes.geometry import FloatArray
from scenes.result_format import MAX_BOXES_PER_SAMPLE

DETECTION_CONFIG: Final[dict[str, Any]] = {
    "class_range": {
        "car": 50,
        "truck": 50,
        "bus": 50,
        "trailer": 50,
        "construction_vehicle": 50,
        "pedestrian": 40,
        "motorcycle": 40,
        "bicycle": 40,
        "traffic_cone": 30,
        "barrier": 30,
    },
    "dist_fcn": "center_distance",
    "dist_ths": [0.5, 1.0, 2.0, 4.0],
    "dist_th_tp": 2.0,
    "min_recall": 0.1,
    "min_precision": 0.1,
    "max_boxes_per_sample": MAX_BOXES_PER_SAMPLE,
    "mean_ap_weight": 5,
}

TRACKING_CONFIG: Final[dict[str, Any]] = {
    "tracking_names": list(TRACKING_CLASSES),
    "pretty_tracking_names": {name: name.capitalize() for name in TRACKING_CLASSES},
    "tracking_colors": {
        "bicycle": "C9",
        "bus": "C2",
        "car": "C0",
        "motorcycle": "C6",
        "pedestrian": "C5",
        "trailer": "C3",
        "truck": "C1",
    },
    "class_range": {
        "car": 50,
        "truck": 50,
        "bus": 50,
        "trailer": 50,
        "pedestrian": 40,
        "motorcycle": 40,
        "bicycle": 40,
    },
    "dist_fcn": "center_distance",
    "dist_th_tp": 2.0,
    "min_recall": 0.1,
    "max_boxes_per_sample": MAX_BOXES_PER_SAMPLE,
    "metric_worst": {
        "amota": 0.0,
        "amotp": 2.0,
        "recall": 0.0,
        "motar": 0.0,
        "mota": 0.0,
        "motp": 2.0,
        "mt": 0.0,
        "ml": -1.0,
        "faf": 500,
        "gt": -1,
        "tp": 0.0,
        "fp": -1.0,
        "fn": -1.0,
        "ids": -1.0,
        "frag": -1.0,
        "tid": 20,
        "lgd": 20,
    },
    "num_thresholds": 40,
}

KEY_FRAME_PERIOD_S: Final = 0.5
"""The time between two key frames, by which the official durations count, whatever the time stamps say."""


def detection_config(taxonomy: Taxonomy) -> dict[str, Any]:
    """`DETECTION_CONFIG` with the classes of a data root; nuScenes' own come first, in the devkit's order."""
    return DETECTION_CONFIG | {"class_range": _class_range(taxonomy.classes)}


def tracking_config(taxonomy: Taxonomy) -> dict[str, Any]:
    """`TRACKING_CONFIG` with the tracked classes of a data root."""
    names = taxonomy.tracked_names
    colors = {class_.name: class_.color or f"C{label % 10}" for label, class_ in enumerate(taxonomy.classes)}
    return TRACKING_CONFIG | {
        "tracking_names": list(names),
        "pretty_tracking_names": {name: name.capitalize() for name in names},
        "tracking_colors": {name: TRACKING_CONFIG["tracking_colors"].get(name, colors[name]) for name in names},
        "class_range": _class_range(class_ for class_ in taxonomy.classes if class_.tracked),
    }


def _class_range(classes: Iterable[ObjectClass]) -> dict[str, float]:
    """Means over classes are taken in this order: of the same classes they are the same, whoever lists them how."""
    ranges_m = {class_.name: class_.range_m for class_ in classes}
    official = [name for name in DETECTION_CONFIG["class_range"] if name in ranges_m]
    ordered = [*official, *(name for name in ranges_m if name not in official)]
    return {name: int(ranges_m[name]) if ranges_m[name] == int(ranges_m[name]) else ranges_m[name] for name in ordered}


def range_of_label_m(config: Mapping[str, Any], taxonomy: Taxonomy) -> FloatArray:
    """(C,) distance from the ego vehicle up to which a label is evaluated; 0 for labels that are not."""
    return np.array([config["class_range"].get(name, 0) for name in taxonomy.names], dtype=np.float64)
