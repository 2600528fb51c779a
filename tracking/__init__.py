"""Boxes in, tracks out: query persistence, Kalman filters, greedy or optimal association."""

from tracking.box_errors import BoxErrors
from tracking.calibration import Calibration, read_calibration, write_calibration
from tracking.config import CameraEvidenceConfig, ClassConfig, MeasurementNoise, TrackerConfig
from tracking.config_file import load_tracker_config, tracker_config_from_dict
from tracking.run import calibrate, track_results, track_several
from tracking.score_scale import ScoreScale
from tracking.tracker import Tracker

__all__ = [
    "BoxErrors",
    "Calibration",
    "CameraEvidenceConfig",
    "ClassConfig",
    "MeasurementNoise",
    "ScoreScale",
    "Tracker",
    "TrackerConfig",
    "calibrate",
    "load_tracker_config",
    "read_calibration",
    "track_results",
    "track_several",
    "tracker_config_from_dict",
    "write_calibration",
]
