"""Running a trained detector: over the scenes of a data set, or frame by frame on one's own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, is_main_process
from torch import nn
from torch.utils.data import DataLoader

from detection.checkpoints import load_weights
from detection.config import building, read_config
from detection.data import collate
from detection.data.loading import batches, build_loader
from detection.data.sample import FrameSample, Transform
from detection.frames import FrameBatch
from detection.global_boxes import global_boxes, labels_of_classes
from detection.registry import MODELS, TRANSFORMS
from evaluation import Evaluation, evaluate_detection
from scenes import DETECTION_CLASSES, Boxes3D, InputError, Results


class Detector:
    """A trained detector that takes one time step after the other and remembers the objects it has seen.

    One's own images go through `prepare`, frames of a data set straight to `step`.

    Args:
        model: with its weights.
        device: where to run; by default a GPU if there is one.
        classes: what its labels index.
        transforms: from images as the cameras give them to what the network sees.
        amp: whether to run in bfloat16 where that keeps the results.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str | None = None,
        classes: Sequence[str] = DETECTION_CLASSES,
        transforms: Sequence[Transform] = (),
        amp: bool = False,
    ) -> None:
        labels_of_classes(classes)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model: Any = model.to(self._device).eval()
        self._classes = tuple(classes)
        self._transforms = tuple(transforms)
        self._amp = amp

    @classmethod
    def from_config(
        cls,
        config: Config | Path | str,
        checkpoint: Path | str,
        device: torch.device | str | None = None,
        amp: bool = False,
    ) -> Detector:
        """The detector of a config with the weights of a checkpoint.

        Args:
            config: a config file, or what `detection.config.read_config` made of it.
            checkpoint: see `detection.checkpoints.read_checkpoint`.
            device, amp: see `Detector`.

        Raises:
            InputError: the config is wrong, or the checkpoint is broken or of another model.
        """
        if not isinstance(config, Config):
            config = read_config(config)
        model = trained_model(config, checkpoint)
        dataset = config.get("val_dataloader", {}).get("dataset", {})
        with building("val_dataloader.dataset.pipeline"):
            transforms = [
                TRANSFORMS.build(step) for step in dataset.get("pipeline", ()) if step["type"] != "LoadImages"
            ]
        return cls(model, device, dataset.get("classes", DETECTION_CLASSES), transforms, amp)

    @property
    def model(self) -> Any:
        """The network."""
        return self._model

    def prepare(self, samples: Sequence[FrameSample], continues_scene: Sequence[bool]) -> FrameBatch:
        """The next time step of several streams, from images as the cameras give them.

        Args:
            samples: one for each stream, with images (H, W, 3) uint8 RGB.
            continues_scene: for each stream whether this is the next frame of the scene that it has shown.
        """
        still = np.random.default_rng(0)  # nothing in validation is drawn
        frames = []
        for sample, continues in zip(samples, continues_scene, strict=True):
            for transform in self._transforms:
                sample = transform(sample, still)
            frames.append([sample.to_batch(continues)])
        return collate(frames)["frames"][0]

    @torch.no_grad()
    def step(self, frame: FrameBatch) -> list[Boxes3D]:
        """Detect in the next time step.

        Args:
            frame: of B streams, of which each either continues its scene or begins one.

        Returns:
            B `Boxes3D` in global coordinates, best first. An object keeps its `query_id` from step to step.
        """
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._amp):
            detections = self._model(**self._model.data_preprocessor({"frames": [frame]}), mode="predict")
        return global_boxes(detections, frame, self._classes)

    def detect_batch(self, batch: Mapping[str, Any]) -> dict[str, Boxes3D]:
        """What is found in a batch of a data loader, by sample token; see `step`."""
        frame: FrameBatch = batch["frames"][-1]
        return dict(zip(frame.sample_tokens, self.step(frame), strict=True))

    def reset(self) -> None:
        """Forget all scenes."""
        if self._model.memory is not None:
            self._model.memory.reset()


def detect(
    config: Config, checkpoint: Path | str, *, amp: bool = False, progress: Callable[[int, int], None] | None = None
) -> Results | None:
    """Detect in every frame of the data set that a config validates on.

    Several processes, joined before, take whole scenes each, so that they find exactly what one process finds.

    Args:
        config: of it, `model` and `val_dataloader` are read.
        checkpoint: weights of the model.
        amp: see `Detector`.
        progress: called with the number of frames that this process has seen, and that of its share.

    Returns:
        The boxes of all frames, in the order of the data set; None in processes other than the first.

    Raises:
        InputError: the config, the checkpoint or a file of the data set cannot be used.
    """
    loader_config = setting(config, "val_dataloader")
    if loader_config.get("batch_size", 1) != 1:
        raise InputError("val_dataloader.batch_size: a process tests one stream at a time")
    loader = build_loader(loader_config)
    detector = Detector.from_config(config, checkpoint, amp=amp)
    found = found_by_all(detector, loader, progress)
    if found is None:
        return None
    return Results({token: found[token] for token in loader.dataset.sample_tokens})  # type: ignore[attr-defined]


def evaluate(config: Config, results: Results) -> Evaluation:
    """The official detection metrics of results on the data that a config validates on.

    Args:
        config: of it, `val_evaluator` is read.
        results: of every sample of its split.

    Raises:
        InputError: the evaluator is not nuScenes', or its split cannot be read.
    """
    evaluator = setting(config, "val_evaluator")
    try:
        where = (evaluator["dataroot"], evaluator["version"], evaluator["split"])
    except (KeyError, TypeError) as error:
        raise InputError("val_evaluator has to be a NuScenesMetric with dataroot, version and split") from error
    return evaluate_detection(results, *where)


def trained_model(config: Config, checkpoint: Path | str) -> nn.Module:
    """The model of a config with the weights of a checkpoint.

    Raises:
        InputError: see `Detector.from_config`.
    """
    model_config = setting(config, "model")
    with building("model"):
        model: nn.Module = MODELS.build(model_config)
    load_weights(model, checkpoint)
    return model


class BatchDetector(Protocol):
    """What finds objects in the batches of a data loader."""

    def detect_batch(self, batch: Mapping[str, Any]) -> Mapping[Any, Any]:
        """What is found, by what names a frame or an image of the data set."""


def found_by_all(
    detector: BatchDetector, loader: DataLoader[Any], progress: Callable[[int, int], None] | None = None
) -> dict[Any, Any] | None:
    """What the processes find in their shares of a data set, together; None in processes other than the first.

    Args:
        detector: of this process.
        loader: of its share.
        progress: see `detect`.
    """
    found: dict[Any, Any] = {}
    for batch in batches(loader):
        found.update(detector.detect_batch(batch))
        if progress is not None:
            progress(len(found), len(loader.sampler))  # type: ignore[arg-type]  # ours have a length
    shares = all_gather_object(found)
    if not is_main_process():
        return None
    return {name: boxes for share in shares for name, boxes in share.items()}


def setting(config: Config, key: str) -> Any:
    """A part of a config.

    Raises:
        InputError: it is not there.
    """
    if key not in config:
        raise InputError(f"the config has no '{key}'")
    return config[key]
