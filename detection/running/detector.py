"""Running a trained detector: over the scenes of a data set, or frame by frame on one's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

from detection.config import building
from detection.data.batch import frame_batch
from detection.data.collate import collate
from detection.data.loading import batches, build_loader
from detection.data.sample import FrameSample, Transform
from detection.deployment.detector import OnnxDetector
from detection.frames import FrameBatch
from detection.global_boxes import boxes_by_sample, global_boxes
from detection.registry import TRANSFORMS
from detection.running.class_counts import check_class_counts
from detection.running.trained import Progress, TrainedDetector, found_by_all, setting, trained_model
from evaluation import Evaluation, evaluate_detection
from scenes import NUSCENES, Boxes3D, InputError, Results, Taxonomy, read_taxonomy


class Detector(TrainedDetector):
    """A trained detector that takes one time step after the other and remembers the objects it has seen.

    One's own images go through `prepare`, frames of a data set straight to `step`.

    Args:
        model: with its weights; a copy runs, see `detection.running.compilation.for_inference`.
        device: where to run; by default a GPU if there is one.
        classes: what its labels index; None for those of the taxonomy in their order.
        transforms: from images as the cameras give them to what the network sees.
        dtype: in what precision to run where that keeps the results: float32, bfloat16 or float16.
        compile: whether to compile it, see `detection.running.compilation.compile_for_inference`.
        taxonomy: the classes of the data, which the labels of the boxes mean.
        tf32, cudnn_benchmark: how a GPU computes, see `detection.running.compilation.set_gpu_arithmetic`.

    Raises:
        InputError: a class is none of the taxonomy's.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str | None = None,
        classes: Sequence[str] | None = None,
        transforms: Sequence[Transform] = (),
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        taxonomy: Taxonomy = NUSCENES,
        tf32: bool = False,
        cudnn_benchmark: bool = False,
    ) -> None:
        known = taxonomy.names if classes is None else classes
        taxonomy.labels(known)
        self.taxonomy = taxonomy
        super().__init__(model, known, transforms, device, dtype, compile, tf32, cudnn_benchmark)

    @classmethod
    def _of(cls, config: Config, checkpoint: Path | str, **how: Any) -> Detector:
        dataset = config.get("val_dataloader", {}).get("dataset", {})
        taxonomy = read_taxonomy(dataset.get("dataroot", ""))
        check_class_counts(config, dataset, taxonomy)
        model = trained_model(config, checkpoint)
        with building("val_dataloader.dataset.pipeline"):
            transforms = [
                TRANSFORMS.build(step) for step in dataset.get("pipeline", ()) if step["type"] != "LoadImages"
            ]
        return cls(model, classes=dataset.get("classes"), transforms=transforms, taxonomy=taxonomy, **how)

    @classmethod
    def from_onnx(cls, folder: Path | str, **how: Any) -> OnnxDetector:
        """The detector in the files that `streamtrack export` has written, which runs without torch.

        Args:
            folder: of the files.
            how: see `OnnxDetector.from_onnx`.
        """
        return OnnxDetector.from_onnx(folder, **how)

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
            frames.append([frame_batch(sample, continues)])
        return collate(frames)["frames"][0]

    def step(self, frame: FrameBatch) -> list[Boxes3D]:
        """Detect in the next time step.

        Args:
            frame: of B streams, of which each either continues its scene or begins one.

        Returns:
            B `Boxes3D` in global coordinates, best first. An object keeps its `query_id` from step to step.
        """
        return global_boxes(self.predicted({"frames": [frame]}), frame, self.classes, self.taxonomy)

    def state(self) -> dict[str, NDArray[Any]]:
        """What it remembers, as arrays that `np.savez` writes and `load_state` takes; empty before the first step."""
        memory = self._model.memory
        return {} if memory is None else {name: value.cpu().numpy() for name, value in memory.state().items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the detector was that gave `state`.

        Raises:
            InputError: the state of a detector with another memory.
        """
        memory = self._model.memory
        if memory is not None:
            memory.load_state({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
        elif state:
            raise InputError("memory: a state of a detector that remembers, for one that does not")

    def predicted(self, batch: Mapping[str, Any]) -> Sequence[Any]:
        """What the network finds in the last frame of a batch."""
        return super().predicted({"frames": batch["frames"][-1:]})

    def named(self, predictions: Sequence[Any], batch: Mapping[str, Any]) -> dict[str, Boxes3D]:
        """What was found in the last frame of a batch by sample token; see `step`."""
        return boxes_by_sample(predictions, {"frames": batch["frames"][-1:]}, self.classes, self.taxonomy)


def detect(config: Config, checkpoint: Path | str, *, progress: Progress | None = None, **how: Any) -> Results | None:
    """Detect in every frame of the data set that a config validates on.

    Several processes, joined before, take whole scenes each, so that they find exactly what one process finds.

    Args:
        config: of it, `model` and `val_dataloader` are read.
        checkpoint: weights of the model.
        progress: see `found_by_all`.
        how: device, dtype, compile and the rest of how the `Detector` runs.

    Returns:
        The boxes of all frames, in the order of the data set; None in processes other than the first.

    Raises:
        InputError: the config, the checkpoint or a file of the data set cannot be used.
    """
    loader_config = setting(config, "val_dataloader")
    if loader_config.get("batch_size", 1) != 1:
        raise InputError("val_dataloader.batch_size: a process tests one stream at a time")
    loader = build_loader(loader_config)
    data = batches(loader)  # which is read while the network is built
    detector = Detector.from_config(config, checkpoint, **how)
    tokens = loader.dataset.sample_tokens  # type: ignore[attr-defined]
    found = found_by_all(detector, data, len(loader.sampler), tokens, progress)  # type: ignore[arg-type]
    return None if found is None else Results(found, taxonomy=detector.taxonomy)


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
