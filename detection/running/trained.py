"""What trained detectors share: they come from a config and a checkpoint, and run over the batches of a data loader."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, is_main_process
from torch import nn

from detection.checkpoints import load_weights
from detection.config import building, read_config
from detection.registry import MODELS
from detection.running.compilation import (
    compile_for_inference,
    for_inference,
    inference_precision,
    set_gpu_arithmetic,
)
from scenes import InputError

Progress = Callable[[int, int], None]

_logger = logging.getLogger(__name__)

_DetectorT = TypeVar("_DetectorT", bound="TrainedDetector")


class TrainedDetector(ABC):
    """A network with its weights, and what comes before and after it.

    Args:
        model: with its weights; a copy runs, see `for_inference`.
        classes: what its labels index.
        transforms: from an image as it was read to what the network sees.
        device: where to run; by default a GPU if there is one.
        dtype: in what precision to run where that keeps the results: float32, bfloat16 or float16.
        compile: whether to compile it, see `compile_for_inference`.
        tf32, cudnn_benchmark: how a GPU computes, in the whole process, see `set_gpu_arithmetic`.

    Raises:
        InputError: another precision.
    """

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        transforms: Sequence[Any],
        device: torch.device | str | None,
        dtype: torch.dtype,
        compile: bool,
        tf32: bool,
        cudnn_benchmark: bool,
    ) -> None:
        self.classes = tuple(classes)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._precision = inference_precision(self._device, dtype)
        if self._device.type == "cuda":
            set_gpu_arithmetic(tf32, cudnn_benchmark)
        self._model: Any = for_inference(model, self._device, dtype, compile)
        self._transforms = tuple(transforms)
        if compile:
            compile_for_inference(self._model)

    @classmethod
    def from_config(
        cls: type[_DetectorT],
        config: Config | Path | str,
        checkpoint: Path | str,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        compile: bool = False,
        tf32: bool = False,
        cudnn_benchmark: bool = False,
    ) -> _DetectorT:
        """The detector of a config with the weights of a checkpoint. The data set itself need not be there.

        Args:
            config: a config file, or what `detection.config.read_config` made of it.
            checkpoint: see `detection.checkpoints.read_checkpoint`.
            device, dtype, compile, tf32, cudnn_benchmark: see the class.

        Raises:
            InputError: the config is wrong or of another kind of detector, the checkpoint is broken or of another
                model, or nothing says what the classes are.
        """
        if not isinstance(config, Config):
            config = read_config(config)
        return cls._of(
            config,
            checkpoint,
            device=device,
            dtype=dtype,
            compile=compile,
            tf32=tf32,
            cudnn_benchmark=cudnn_benchmark,
        )

    @classmethod
    @abstractmethod
    def _of(cls: type[_DetectorT], config: Config, checkpoint: Path | str, **how: Any) -> _DetectorT:
        """See `from_config`; `how` it runs: device, dtype, compile and the rest."""

    @property
    def model(self) -> Any:
        """The network."""
        return self._model

    def detect_batch(self, batch: Mapping[str, Any]) -> Mapping[Any, Any]:
        """What is found in a batch of a data loader, by what names a frame or an image of the data set."""
        return self.named(self.predicted(batch), batch)

    @torch.no_grad()
    def predicted(self, batch: Mapping[str, Any]) -> Sequence[Any]:
        """What the network finds in a batch of a data loader, as it sees it."""
        with self._precision:
            found: Sequence[Any] = self._model(**self._model.data_preprocessor(batch), mode="predict")
        return found

    @abstractmethod
    def named(self, predictions: Sequence[Any], batch: Mapping[str, Any]) -> Mapping[Any, Any]:
        """What `predicted` has found in a batch as results hold it, by what names a frame or an image."""

    def reset(self) -> None:
        """Forget what was seen before."""
        if self._model.memory is not None:
            self._model.memory.reset()


def trained_model(config: Config, checkpoint: Path | str) -> nn.Module:
    """The model of a config with the weights of a checkpoint.

    Raises:
        InputError: see `TrainedDetector.from_config`.
    """
    model = untrained_model(config)
    load_weights(model, checkpoint)
    return model


def untrained_model(config: Config) -> nn.Module:
    """The model of a config with random weights.

    Raises:
        InputError: the config is wrong.
    """
    model_config = setting(config, "model")
    with building("model"):
        model: nn.Module = MODELS.build(model_config)
    return model


def found_by_all(
    detector: TrainedDetector,
    data: Iterator[Mapping[str, Any]],
    total: int,
    names: Sequence[Any],
    progress: Progress | None = None,
) -> dict[Any, Any] | None:
    """What the processes find in their shares of a data set, together; None in processes other than the first.

    Reading, the network, and turning into results what it has found go on side by side.

    Args:
        detector: of this process.
        data: batches of its share, as `detection.data.loading.batches` gives them.
        total: frames or images of its share.
        names: of all frames or images, in the order that is wanted.
        progress: called with the number of frames or images that this process has seen, first with 0, and that of its
            share.
    """
    report = progress or _silent
    report(0, total)
    started_s = time.perf_counter()
    network_s, seen = 0.0, 0
    with ThreadPoolExecutor(max_workers=1) as pool:
        converted: list[Future[Mapping[Any, Any]]] = []
        for batch in data:
            began_s = time.perf_counter()
            predictions = detector.predicted(batch)
            network_s += time.perf_counter() - began_s
            converted.append(pool.submit(detector.named, predictions, batch))
            seen += len(predictions)
            report(seen, total)
    found = {name: boxes for future in converted for name, boxes in future.result().items()}
    elapsed_s = time.perf_counter() - started_s
    shares = all_gather_object(found)
    if not is_main_process():
        return None
    _logger.info("%d in %.1f s, of which the network took %.1f s", seen, elapsed_s, network_s)
    together = {name: boxes for share in shares for name, boxes in share.items()}
    return {name: together[name] for name in names}


def _silent(done: int, total: int) -> None:
    pass


def setting(config: Config, key: str) -> Any:
    """A part of a config.

    Raises:
        InputError: it is not there.
    """
    if key not in config:
        raise InputError(f"the config has no '{key}'")
    return config[key]
