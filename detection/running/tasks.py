"""What a config's detector is for, objects in scenes or in single images: how it runs, what is written and scored.

Whatever depends on the kind of detection asks `task_of(config)`: nothing else tells the two apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch.utils.data import DataLoader

from detection.data.loading import batches, build_loader
from detection.global_boxes import boxes_by_sample
from detection.image_batch import ImageDetections, detections_by_image
from detection.images2d.dataset import CocoDataset
from detection.metrics.coco import write_coco_results
from detection.registry import DATASETS
from detection.running.class_counts import check_class_counts
from detection.running.detector import Detector, detect, evaluate
from detection.running.image_detector import (
    ImageDetector,
    detect_images,
    evaluate_images,
    found_rows,
    validation_transforms,
)
from detection.running.scoring import ImageScoring, SceneScoring, Scoring, Track
from detection.running.trained import Progress, TrainedDetector, setting, untrained_model
from evaluation import NotAnnotatedError
from evaluation.table import metrics_table, text_table
from scenes import Boxes3D, Results, Taxonomy, read_taxonomy, write_detections
from scenes.coco import CocoId

_MADE_SHAPE = (480, 640, 3)  # of an image that costs what any other one costs


class Task(ABC):
    """One kind of detection, on the data that a config validates on.

    Attributes:
        config: the config.
        unit: what the data set has many of, in words.
        has_streams: whether these follow each other.
    """

    unit: str
    has_streams: bool

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def detector(self, checkpoint: Path | str) -> TrainedDetector:
        """The config's detector with the weights of a checkpoint."""

    @abstractmethod
    def untrained(self) -> tuple[Any, Iterable[Mapping[str, Any]]]:
        """The config's network with random weights, in evaluation mode, and batches of one to run it on."""

    @abstractmethod
    def check_classes(self, model: Any, classes: Sequence[str]) -> None:
        """Check that a network is one for the classes of a data set.

        Raises:
            InputError: it is not.
        """

    @abstractmethod
    def detect(self, checkpoint: Path | str, *, progress: Progress, **how: Any) -> Mapping[Any, Any] | None:
        """What the detector finds in each frame or image; None in processes other than the first.

        Args:
            checkpoint, progress: see `detection.running.detector.detect`.
            how: device, dtype and compile of the detector.
        """

    @abstractmethod
    def found(self, detections: Sequence[Any], batch: Mapping[str, Any], classes: Sequence[str]) -> Mapping[Any, Any]:
        """What a network has found in a batch, by what names a frame or an image, as results hold it."""

    @abstractmethod
    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """Names of all frames or images of a batch, for messages."""

    @abstractmethod
    def write(self, path: Path, found: Mapping[Any, Any]) -> None:
        """Write a results file."""

    @abstractmethod
    def table(self, found: Mapping[Any, Any]) -> str:
        """The metrics for a terminal."""

    @abstractmethod
    def scoring(self, track: Track) -> Scoring:
        """The metrics for a benchmark; `track` makes tracks where there are any."""

    def one_by_one(self) -> DataLoader[Any]:
        """The data set in batches of one."""
        return build_loader({**setting(self.config, "val_dataloader"), "batch_size": 1})


class SceneTask(Task):
    """3D boxes in frames of several cameras: nuScenes' results and metrics."""

    unit = "frames"
    has_streams = True

    def detector(self, checkpoint: Path | str) -> Detector:
        """See `Task`."""
        return Detector.from_config(self.config, checkpoint)

    def untrained(self) -> tuple[Any, Iterable[Mapping[str, Any]]]:
        """See `Task`."""
        return untrained_model(self.config).eval(), batches(self.one_by_one())

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The classes of the data root that the config validates on, or trains on if it does not validate."""
        return read_taxonomy(self._dataset.get("dataroot", ""))

    @property
    def _dataset(self) -> Mapping[str, Any]:
        loader = self.config.get("val_dataloader") or self.config.get("train_dataloader") or {}
        dataset: Mapping[str, Any] = loader.get("dataset", {})
        return dataset

    def check_classes(self, model: Any, classes: Sequence[str]) -> None:
        """See `check_class_counts`."""
        check_class_counts(self.config, self._dataset, self.taxonomy)

    def detect(self, checkpoint: Path | str, *, progress: Progress, **how: Any) -> Mapping[str, Boxes3D] | None:
        """See `detection.running.detector.detect`."""
        results = detect(self.config, checkpoint, progress=progress, **how)
        return None if results is None else results.boxes

    def found(
        self, detections: Sequence[Any], batch: Mapping[str, Any], classes: Sequence[str]
    ) -> Mapping[str, Boxes3D]:
        """See `boxes_by_sample`."""
        return boxes_by_sample(detections, batch, classes, self.taxonomy)

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """See `Task`."""
        return [token for frame in batch["frames"] for token in frame.sample_tokens]

    def write(self, path: Path, found: Mapping[str, Boxes3D]) -> None:
        """See `scenes.write_detections`."""
        write_detections(path, Results(dict(found), taxonomy=self.taxonomy))

    def table(self, found: Mapping[str, Boxes3D]) -> str:
        """See `Task`."""
        try:
            return metrics_table(evaluate(self.config, Results(dict(found), taxonomy=self.taxonomy)))
        except NotAnnotatedError as notice:
            return str(notice)

    def scoring(self, track: Track) -> SceneScoring:
        """See `Task`."""
        return SceneScoring(self.config, track)


class ImageTask(Task):
    """Boxes in single images: COCO's results and metrics."""

    unit = "images"
    has_streams = False

    def detector(self, checkpoint: Path | str) -> ImageDetector:
        """See `Task`."""
        return ImageDetector.from_config(self.config, checkpoint)

    def untrained(self) -> tuple[Any, Iterable[Mapping[str, Any]]]:
        """See `Task`; the image is a made one."""
        model: Any = untrained_model(self.config)
        numbered = [str(label) for label in range(model.num_classes)]
        detector = ImageDetector(model, numbered, validation_transforms(self.config))
        return detector.model, [{"images": detector.prepare([np.zeros(_MADE_SHAPE, dtype=np.uint8)])}]

    def check_classes(self, model: Any, classes: Sequence[str]) -> None:
        """See `Task`."""
        model.check_classes(classes)

    def detect(
        self, checkpoint: Path | str, *, progress: Progress, **how: Any
    ) -> Mapping[CocoId, ImageDetections] | None:
        """See `detection.running.image_detector.detect_images`."""
        return detect_images(self.config, checkpoint, progress=progress, **how)

    def found(
        self, detections: Sequence[ImageDetections], batch: Mapping[str, Any], classes: Sequence[str]
    ) -> Mapping[CocoId, ImageDetections]:
        """See `detections_by_image`."""
        return detections_by_image(detections, batch)

    def names(self, batch: Mapping[str, Any]) -> list[str]:
        """See `Task`."""
        return list(batch["images"].names)

    def write(self, path: Path, found: Mapping[CocoId, ImageDetections]) -> None:
        """See `write_coco_results`."""
        write_coco_results(path, found_rows(self.config, found))

    def table(self, found: Mapping[CocoId, ImageDetections]) -> str:
        """See `Task`."""
        scores = evaluate_images(self.config, found)
        return text_table(["metric", ""], [[name, f"{value:.4f}"] for name, value in scores.items()])

    def scoring(self, track: Track) -> ImageScoring:
        """See `Task`."""
        return ImageScoring(self.config)


def task_of(config: Config) -> Task:
    """The task of a config, by the data set that it validates on, or trains on if it does not validate.

    Raises:
        InputError: it has neither.
    """
    loader = config.get("val_dataloader") or config.get("train_dataloader") or setting(config, "val_dataloader")
    data_set = DATASETS.get(loader["dataset"]["type"])
    of_images = isinstance(data_set, type) and issubclass(data_set, CocoDataset)
    return ImageTask(config) if of_images else SceneTask(config)
