"""Results x annotations -> the nuScenes detection and tracking metrics."""

from evaluation.evaluate import DEFAULT_ENGINE, ENGINES, evaluate_detection, evaluate_tracking
from evaluation.evaluation import Evaluation
from evaluation.inputs import NotAnnotatedError

__all__ = [
    "DEFAULT_ENGINE",
    "ENGINES",
    "Evaluation",
    "NotAnnotatedError",
    "evaluate_detection",
    "evaluate_tracking",
]
