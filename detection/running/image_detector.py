"""Running a trained 2D detector: over the images of a data set, or on any images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.config import Config

from detection.config import building
from detection.data.dataset import path_below
from detection.data.image_reading import RgbImage
from detection.data.loading import batches, build_loader
from detection.image_batch import ImageBatch, ImageDetections, detections_by_image
from detection.images2d.annotations import chosen_categories, read_instances
from detection.images2d.sample import ImageSample, ImageTransform, image_batch
from detection.metrics.coco import CocoRow, coco_results, evaluate_coco
from detection.models.yolo.detector import DynamicYoloDetector
from detection.registry import MODELS, TRANSFORMS
from detection.running.trained import Progress, TrainedDetector, found_by_all, setting, trained_model
from scenes import InputError
from scenes.boxes2d import Boxes2D
from scenes.coco import CocoId


class ImageDetector(TrainedDetector):
    """A trained 2D detector.

    Args:
        model: with its weights; a copy runs, see `detection.running.compilation.for_inference`.
        classes: what its labels index.
        transforms: from an image as it was read to what the network sees.
        device: where to run; by default a GPU if there is one.
        dtype: in what precision to run where that keeps the results: float32, bfloat16 or float16.
        compile: whether to compile it, see `detection.running.compilation.compile_for_inference`.
        tf32, cudnn_benchmark: how a GPU computes, see `detection.running.compilation.set_gpu_arithmetic`.
    """

    def __init__(
        self,
        model: DynamicYoloDetector,
        classes: Sequence[str],
        transforms: Sequence[ImageTransform] = (),
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        tf32: bool = False,
        cudnn_benchmark: bool = False,
    ) -> None:
        model.check_classes(classes)
        super().__init__(model, classes, transforms, device, dtype, compile, tf32, cudnn_benchmark)

    @classmethod
    def _of(cls, config: Config, checkpoint: Path | str, **how: Any) -> ImageDetector:
        _check_kind(config)
        model: Any = trained_model(config, checkpoint)
        return cls(model, class_names(config), validation_transforms(config), **how)

    def detect(self, images: Sequence[RgbImage]) -> list[ImageDetections]:
        """Detect in images of any sizes, as one batch.

        Args:
            images: (H, W, 3) uint8 RGB.

        Returns:
            The objects of each image, in its pixels.
        """
        if not images:
            return []
        return list(self.detect_batch({"images": self.prepare(images)}).values())

    def find(self, images: Sequence[RgbImage]) -> list[tuple[Boxes2D, bool]]:
        """See `detection.running.found_images.Finder`."""
        found = [Boxes2D(one.boxes_px.numpy(), one.labels.numpy(), one.scores.numpy()) for one in self.detect(images)]
        if not found:
            return []
        assert self.model.last_routing is not None
        return list(zip(found, self.model.last_routing.hard.tolist(), strict=True))

    def prepare(self, images: Sequence[RgbImage]) -> ImageBatch:
        """Images as the network sees them, with running numbers for ids."""
        still = np.random.default_rng(0)  # nothing in validation is drawn
        samples = []
        for number, image in enumerate(images):
            sample = ImageSample.of(image, number, f"image {number}")
            for transform in self._transforms:
                sample = transform(sample, still, _no_other)
            samples.append(sample)
        return image_batch(samples)

    def named(self, predictions: Sequence[Any], batch: Mapping[str, Any]) -> dict[CocoId, ImageDetections]:
        """What was found in a batch by image id, in pixels of the image as it was read."""
        return detections_by_image(predictions, batch)


def detect_images(
    config: Config, checkpoint: Path | str, *, progress: Progress | None = None, **how: Any
) -> dict[CocoId, ImageDetections] | None:
    """Detect in every image of the data set that a config validates on.

    Several processes, joined before, share the images.

    Args:
        config: of it, `model` and `val_dataloader` are read.
        checkpoint: weights of the model.
        progress: see `found_by_all`.
        how: device, dtype and compile of the `ImageDetector`.

    Returns:
        The objects of all images by image id, in the order of the data set; None in processes other than the first.

    Raises:
        InputError: the config, the checkpoint or a file of the data set cannot be used.
    """
    loader = build_loader(setting(config, "val_dataloader"))
    data = batches(loader)  # which is read while the network is built
    detector = ImageDetector.from_config(config, checkpoint, **how)
    ids = loader.dataset.image_ids  # type: ignore[attr-defined]
    return found_by_all(detector, data, len(loader.sampler), ids, progress)  # type: ignore[arg-type]


def found_rows(config: Config, found: Mapping[CocoId, ImageDetections]) -> list[CocoRow]:
    """Detections as rows of a COCO results file, with the category ids of the data that a config validates on."""
    path, classes = _annotated(config)
    categories = chosen_categories(read_instances(path).categories, classes, path)
    return coco_results(list(found), list(found.values()), [category.id for category in categories])


def evaluate_images(config: Config, found: Mapping[CocoId, ImageDetections]) -> dict[str, float]:
    """COCO's AP and its companions on the data that a config validates on.

    Args:
        config: of it, `val_evaluator` is read.
        found: the objects of every image.

    Raises:
        InputError: the evaluator is not COCO's, or its file cannot be used.
    """
    return evaluate_coco(_annotated(config)[0], found_rows(config, found))


def set_score_threshold(config: Config, score: float) -> None:
    """Let the detector of a config find only what has a higher score.

    Raises:
        InputError: the config is of no 2D detector, or the score is not in [0, 1].
    """
    _check_kind(config)
    if not 0 <= score <= 1:
        raise InputError(f"score {score:g}: expected a number from 0 to 1")
    config.merge_from_dict({"model.postprocess.score_threshold": score})


def validation_transforms(config: Config) -> list[ImageTransform]:
    """What a config does to the images that it validates on."""
    with building("val_dataloader.dataset.pipeline"):
        return [TRANSFORMS.build(step) for step in _data_set(config)["pipeline"]]


def class_names(config: Config) -> tuple[str, ...]:
    """The classes of the data that a config validates on: as it states them, or else as the instances file does.

    Raises:
        InputError: neither does.
    """
    data_set = _data_set(config)
    if data_set.get("classes"):
        return tuple(data_set["classes"])
    path = path_below(Path(data_set["dataroot"]), Path(data_set["ann_file"]))
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, and val_dataloader.dataset.classes does not say the names of the classes either"
        )
    return tuple(category.name for category in chosen_categories(read_instances(path).categories, None, path))


def _check_kind(config: Config) -> None:
    kind = setting(config, "model").get("type")
    if MODELS.get(kind) is not DynamicYoloDetector:
        raise InputError(f"{config.filename}: model is a {kind}; expected a DynamicYoloDetector, for single images")


def _data_set(config: Config) -> Mapping[str, Any]:
    data_set: Mapping[str, Any] = setting(config, "val_dataloader")["dataset"]
    return data_set


def _annotated(config: Config) -> tuple[Path, Sequence[str] | None]:
    """The instances file to compare with, and the classes that were looked for."""
    evaluator = setting(config, "val_evaluator")
    try:
        return Path(evaluator["ann_file"]), evaluator.get("classes")
    except (KeyError, TypeError) as error:
        raise InputError("val_evaluator has to be a CocoMetric with ann_file") from error


def _no_other() -> NoReturn:
    raise InputError("val_dataloader.dataset.pipeline: a step asks for another image, and there is only this one")
