"""Results x annotations -> the nuScenes detection and tracking metrics."""

from evaluation.entrances import (
    DEFAULT_ENGINE,
    ENGINES,
    PROTOCOLS,
    compare,
    evaluate_detection,
    evaluate_protocol,
    evaluate_tracking,
    report_detection,
    report_tracking,
)
from evaluation.evaluation import Evaluation
from evaluation.inputs import NotAnnotatedError

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "PROTOCOLS",
    "Evaluation",
    "NotAnnotatedError",
    "compare",
    "evaluate_detection",
    "evaluate_protocol",
    "evaluate_tracking",
    "report_detection",
    "report_tracking",
]
