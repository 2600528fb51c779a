"""What a config's detector is for, objects in scenes or in single images: how it runs, what is written and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mmengine.config import Config

from detection.image_batch import ImageDetections
from detection.images2d.dataset import CocoDataset
from detection.metrics.coco import write_coco_results
from detection.registry import DATASETS
from detection.running.detector import BatchDetector, Detector, detect, evaluate, setting
from detection.running.image_detector import ImageDetector, detect_images, evaluate_images, found_rows
from evaluation import NotAnnotatedError
from evaluation.table import metrics_table, text_table
from scenes import Boxes3D, Results, write_detections
from scenes.coco import CocoId

Progress = Callable[[int, int], None]


class TaskDetector(BatchDetector, Protocol):
    """A detector of a task."""

    @property
    def model(self) -> Any:
        """The network."""

    def reset(self) -> None:
        """Forget what was seen before."""


class Task(Protocol):
    """One kind of detection, on the data that a config validates on.

    Attributes:
        config: the config.
        unit: what the data set has many of, in words.
    """

    config: Config
    unit: str

    def detector(self, checkpoint: Path | str) -> TaskDetector:
        """The config's detector with the weights of a checkpoint."""

    def detect(self, checkpoint: Path | str, *, amp: bool, progress: Progress) -> Mapping[Any, Any] | None:
        """What the detector finds in each frame or image; None in processes other than the first."""

    def write(self, path: Path, found: Mapping[Any, Any]) -> None:
        """Write a results file."""

    def table(self, found: Mapping[Any, Any]) -> str:
        """The metrics for a terminal."""


class SceneTask:
    """3D boxes in frames of several cameras: nuScenes' results and metrics."""

    unit = "frames"

    def __init__(self, config: Config) -> None:
        self.config = config

    def detector(self, checkpoint: Path | str) -> Detector:
        """See `Task`."""
        return Detector.from_config(self.config, checkpoint)

    def detect(self, checkpoint: Path | str, *, amp: bool, progress: Progress) -> Mapping[str, Boxes3D] | None:
        """See `detection.running.detector.detect`."""
        results = detect(self.config, checkpoint, amp=amp, progress=progress)
        return None if results is None else results.boxes

    def write(self, path: Path, found: Mapping[str, Boxes3D]) -> None:
        """See `scenes.write_detections`."""
        write_detections(path, Results(dict(found)))

    def table(self, found: Mapping[str, Boxes3D]) -> str:
        """See `Task`."""
        try:
            return metrics_table(evaluate(self.config, Results(dict(found))))
        except NotAnnotatedError as notice:
            return str(notice)


class ImageTask:
    """Boxes in single images: COCO's results and metrics."""

    unit = "images"

    def __init__(self, config: Config) -> None:
        self.config = config

    def detector(self, checkpoint: Path | str) -> ImageDetector:
        """See `Task`."""
        return ImageDetector.from_config(self.config, checkpoint)

    def detect(
        self, checkpoint: Path | str, *, amp: bool, progress: Progress
    ) -> Mapping[CocoId, ImageDetections] | None:
        """See `detection.running.image_detector.detect_images`."""
        return detect_images(self.config, checkpoint, amp=amp, progress=progress)

    def write(self, path: Path, found: Mapping[CocoId, ImageDetections]) -> None:
        """See `write_coco_results`."""
        write_coco_results(path, found_rows(self.config, found))

    def table(self, found: Mapping[CocoId, ImageDetections]) -> str:
        """See `Task`."""
        scores = evaluate_images(self.config, found)
        return text_table(["metric", ""], [[name, f"{value:.4f}"] for name, value in scores.items()])


def task_of(config: Config) -> SceneTask | ImageTask:
    """The task of a config, by the data set that it validates on.

    Raises:
        InputError: it has none.
    """
    data_set = DATASETS.get(setting(config, "val_dataloader")["dataset"]["type"])
    return ImageTask(config) if data_set is CocoDataset else SceneTask(config)
