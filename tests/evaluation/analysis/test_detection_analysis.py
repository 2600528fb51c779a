"""AP by range: the official AP of worlds that lie within one range, and boxes near a border."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.analysis.detection_analysis import analyse_detections
from evaluation.detection import MATCHING_DISTANCES_M, detection_metrics
from scenes import LABEL_OF_CLASS, Annotations, Boxes3D, Frame, Results, Scene, read_scenes, read_split_detections
from scenes.geometry import pose_matrix, rotation_from_yaw

EGO = pose_matrix([600.0, 1600.0, 3.0], rotation_from_yaw(2.1)[0].tolist())


def boxes(ranges_m: list[float], scores: list[float] | None = None) -> Boxes3D:
    """Cars straight ahead."""
    count = len(ranges_m)
    return Boxes3D(
        center_m=np.c_[np.array(ranges_m, dtype=np.float64), np.zeros((count, 2))],
        size_wlh_m=np.tile([2.0, 4.0, 1.5], (count, 1)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.full(count, LABEL_OF_CLASS["car"]),
        score=np.ones(count) if scores is None else np.array(scores),
    ).transform(EGO)


def analysed(annotated: list[float], found: list[float], scores: list[float], borders: tuple[float, ...]) -> dict:
    count = np.ones(len(annotated), dtype=np.int64)
    annotations = Annotations(boxes(annotated), count, count, 4 * count, Boxes3D.empty())
    scene = Scene("s", "s", "", "", (Frame("f", 0, EGO, None, (), annotations),))
    return analyse_detections(Results({"f": boxes(found, scores)}), [scene], borders)["car"]


def test_a_box_over_the_border_belongs_to_the_range_of_its_object() -> None:
    found = analysed([9.5, 30.0], [10.3, 30.0], [0.9, 0.8], (0.0, 10.0, 50.0))
    assert found["0 to 10 m"]["gt"] == found["10 to 50 m"]["gt"] == 1
    assert found["0 to 10 m"]["ap"] == pytest.approx([0.0, 1.0, 1.0, 1.0])  # 0.8 m off
    assert found["10 to 50 m"]["ap"][1:] == pytest.approx([1.0, 1.0, 1.0])


def test_a_false_box_counts_where_it_lies() -> None:
    found = analysed([5.0, 30.0], [5.0, 30.0, 45.0], [0.7, 0.8, 0.9], (0.0, 10.0, 40.0, 50.0))
    assert found["0 to 10 m"]["mean_ap"] == found["10 to 40 m"]["mean_ap"] == pytest.approx(1.0)
    assert found["40 to 50 m"]["gt"] == 0 and np.isnan(found["40 to 50 m"]["mean_ap"])
    assert analysed([5.0, 42.0], [5.0, 42.0, 48.0], [0.7, 0.8, 0.9], (0.0, 10.0, 50.0))["10 to 50 m"]["mean_ap"] < 0.6


def test_one_range_holds_the_official_ap(mini_val: Path, recorded) -> None:
    path, _ = recorded("fastbev", "detections")
    where = (mini_val, "v1.0-mini", "mini_val")
    scenes = read_scenes(*where)
    results = read_split_detections(path, scenes, *where)
    official = detection_metrics(results, scenes).summary["label_aps"]
    analysis = analyse_detections(results, scenes, (0.0, 1000.0))
    for name, by_distance in official.items():
        whole = analysis[name]["0 to 1000 m"]
        if whole["gt"]:
            assert whole["ap"] == pytest.approx([by_distance[str(distance)] for distance in MATCHING_DISTANCES_M])
    parted = analyse_detections(results, scenes)
    assert parted["car"]["0 to 10 m"]["mean_ap"] > parted["car"]["40 to 50 m"]["mean_ap"]
