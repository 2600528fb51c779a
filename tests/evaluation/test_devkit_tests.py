"""The devkit's own tests that need no data set, run against this project's engine.

The test modules come with the devkit. Where they call the devkit's engine they get the adapters below.
"""

import unittest
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

from evaluation.detection import (
    ClassDetections,
    average_precision,
    match_detections,
    mean_error,
    precision_recall_curves,
)
from evaluation.engine import detection_errors as errors
from evaluation.engine.box_table import BoxTable
from evaluation.engine.track_table import TrackTable, build_tracks, number_tracks
from evaluation.engine.tracked_scenes import EvaluatedTracks, TrackedScenes, tracked_class
from evaluation.tracking import class_curves
from scenes import LABEL_OF_CLASS, NUSCENES, Boxes3D

pytest.importorskip("nuscenes")

from nuscenes.eval.detection.data_classes import DetectionMetricData
from nuscenes.eval.detection.tests import test_algo as detection_tests
from nuscenes.eval.detection.tests import test_utils as error_tests
from nuscenes.eval.tracking.data_classes import TrackingBox, TrackingMetricData
from nuscenes.eval.tracking.tests import test_algo as tracking_tests


def boxes_from_devkit(boxes) -> Boxes3D:
    """The devkit's boxes of either task, unchecked: its tests hold zero quaternions and zero sizes."""

    def column(name, width):
        return np.array([getattr(box, name) for box in boxes], dtype=float).reshape(-1, width)

    tracks = [isinstance(box, TrackingBox) for box in boxes]
    names = [box.tracking_name if is_track else box.detection_name for box, is_track in zip(boxes, tracks, strict=True)]
    scores = [
        box.tracking_score if is_track else box.detection_score for box, is_track in zip(boxes, tracks, strict=True)
    ]
    return Boxes3D(
        center_m=column("translation", 3),
        size_wlh_m=column("size", 3),
        rotation=column("rotation", 4),
        velocity_mps=column("velocity", 2),
        label=np.array([LABEL_OF_CLASS[name] for name in names], dtype=np.int64),
        score=np.array(scores, dtype=float),
        track_id=np.array([box.tracking_id for box in boxes], dtype=str) if all(tracks) else None,
        attribute=None if any(tracks) else np.array([box.attribute_name for box in boxes], dtype=str),
    )


def table_from_devkit(boxes_of_frames) -> BoxTable:
    lists = list(boxes_of_frames)
    frame = np.repeat(np.arange(len(lists)), [len(boxes) for boxes in lists])
    return BoxTable(boxes_from_devkit([box for boxes in lists for box in boxes]), frame)


class TrackingEvaluationAdapter:
    """Takes the arguments of the devkit's `TrackingEvaluation`; the boxes are evaluated as they are given."""

    def __init__(self, tracks_gt, tracks_pred, class_name, *_, **__) -> None:
        self.class_name = class_name
        lengths = [len(frames) for frames in tracks_gt.values()]
        self.tracked = TrackedScenes(
            scenes=list(tracks_gt),
            frames=range(sum(lengths)),
            first_frame=np.cumsum([0, *lengths]),
            annotated=self._tracks(tracks_gt, lengths),
            predicted=self._tracks(tracks_pred, lengths),
        )

    @staticmethod
    def _tracks(tracks, lengths) -> EvaluatedTracks:
        table = table_from_devkit(boxes for frames in tracks.values() for boxes in frames.values())
        track = number_tracks(table, np.repeat(np.arange(len(lengths)), lengths))
        boxes = table.boxes
        given = TrackTable(
            frame=table.frame,
            label=boxes.label,
            track=track,
            xy_m=boxes.center_m[:, :2],
            velocity_mps=boxes.velocity_mps,
            score=boxes.score,
            source=np.arange(len(table)),
            filled=np.zeros(len(table), bool),
        )
        return EvaluatedTracks(table, np.arange(len(table)), given, np.array([0, track.max(initial=-1) + 1]))

    def accumulate(self) -> TrackingMetricData:
        with ThreadPoolExecutor(1) as executor:
            curves = class_curves(self.tracked, tracked_class(self.tracked, self.class_name), executor)
        data = TrackingMetricData()
        for name, values in curves.items():
            data.set_metric(name, values)
        return data


def interpolate_tracks_adapter(tracks_by_timestamp):
    table = table_from_devkit(tracks_by_timestamp.values())
    track = number_tracks(table, np.zeros(len(tracks_by_timestamp), int))
    times = np.array(list(tracks_by_timestamp))
    filled = build_tracks(table, track, times, mean_scores=False, interpolation="devkit")
    assert table.boxes.track_id is not None
    for row in np.flatnonzero(filled.filled):
        box = TrackingBox(
            translation=(*filled.xy_m[row], 0.0),
            tracking_id=str(table.boxes.track_id[filled.source[row]]),
            tracking_name="car",
            tracking_score=float(filled.score[row]),
        )
        tracks_by_timestamp[times[filled.frame[row]]].append(box)
    return tracks_by_timestamp


def accumulate_adapter(gt_boxes, pred_boxes, class_name, dist_fcn, dist_th) -> DetectionMetricData:
    del dist_fcn
    tokens = gt_boxes.sample_tokens
    annotated, predicted = (table_from_devkit(boxes[token] for token in tokens) for boxes in (gt_boxes, pred_boxes))
    label = LABEL_OF_CLASS[class_name]
    annotated, predicted = (table.select(table.boxes.label == label) for table in (annotated, predicted))
    order = np.argsort(predicted.boxes.score, kind="stable")[::-1]
    class_ = ClassDetections(NUSCENES.classes[label], annotated, predicted, order)
    return DetectionMetricData(**precision_recall_curves(class_, match_detections(class_, [dist_th])[0]))


def average_precision_adapter(data, min_recall, min_precision) -> float:
    try:
        return average_precision(data.precision, min_recall, min_precision)
    except ValueError as error:
        raise AssertionError from error


def scale_iou_adapter(truth, guess) -> float:
    # A size that is not positive stops at the reader of result files.
    assert min(truth.size) > 0 and min(guess.size) > 0
    return 1 - errors.scale_error(boxes_from_devkit([truth]), boxes_from_devkit([guess]))[0]


def attribute_accuracy_adapter(truth, guess) -> float:
    error = errors.attribute_error(boxes_from_devkit([truth]), boxes_from_devkit([guess]))[0]
    return np.nan if np.isnan(error) else 1 - error


def of_pair(function):
    return lambda truth, guess: function(boxes_from_devkit([truth]), boxes_from_devkit([guess]))[0]


def run_unittests(module: ModuleType, names: list[str]) -> None:
    suite = unittest.defaultTestLoader.loadTestsFromNames(names, module)
    outcome = unittest.TextTestRunner(verbosity=0).run(suite)
    assert outcome.testsRun >= len(names) and not outcome.skipped
    assert outcome.wasSuccessful(), (outcome.failures, outcome.errors)


def test_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_tests, "TrackingEvaluation", TrackingEvaluationAdapter)
    monkeypatch.setattr(tracking_tests, "interpolate_tracks", interpolate_tracks_adapter)
    run_unittests(tracking_tests, ["TestAlgo"])


def test_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection_tests, "accumulate", accumulate_adapter)
    monkeypatch.setattr(detection_tests, "calc_ap", average_precision_adapter)
    monkeypatch.setattr(
        detection_tests,
        "calc_tp",
        lambda data, min_recall, metric_name: mean_error(getattr(data, metric_name), data.confidence, min_recall),
    )
    run_unittests(detection_tests, ["TestAlgo", "TestAPSimple", "TestTPSimple"])


def test_detection_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, adapter in {
        "scale_iou": scale_iou_adapter,
        "attr_acc": attribute_accuracy_adapter,
        "yaw_diff": of_pair(errors.orientation_error_rad),
        "angle_diff": errors.smallest_turn_rad,
        "center_distance": of_pair(errors.center_error_m),
        "velocity_l2": of_pair(errors.velocity_error_mps),
        "cummean": lambda values: errors.running_mean(values.astype(float)),
    }.items():
        monkeypatch.setattr(error_tests, name, adapter)
    run_unittests(error_tests, ["TestEval"])
