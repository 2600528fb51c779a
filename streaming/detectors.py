"""What the pipeline asks of a detector, and how the command line's is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from detection.data.sample import FrameSample
from scenes import Boxes3D, InputError, Taxonomy


class StreamDetector(Protocol):
    """A detector that takes one step after the other: `detection.Detector`, or its counterpart of ONNX files."""

    taxonomy: Taxonomy

    def prepare(self, samples: Sequence[FrameSample], continues_scene: Sequence[bool]) -> Any:
        """What `step` takes, from images; see `Detector.prepare`."""

    def step(self, frame: Any) -> list[Boxes3D]:
        """The boxes of the next step, in global coordinates."""

    def reset(self) -> None:
        """Forget what was seen before."""

    def state(self) -> dict[str, NDArray[Any]]:
        """What it remembers, as arrays."""

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state()`."""


def open_detector(config: Any, checkpoint: str, taxonomy: Taxonomy | None = None, **how: Any) -> StreamDetector:
    """The detector of a config and a checkpoint, or of a folder of ONNX files.

    Args:
        config: a config as `detection.config.read_config` gives it.
        checkpoint: weights, or the folder that `streamtrack export` wrote.
        taxonomy: the classes of the data, where it has its own; a config says them by its data root.
        how: device, dtype, compile and the rest of how a network of torch runs.

    Raises:
        InputError: see `Detector.from_config`.
    """
    # Inside, since either may be on a machine that the other's packages are not on.
    if Path(checkpoint).is_dir():
        from detection.deployment.detector import OnnxDetector

        return OnnxDetector.from_onnx(Path(checkpoint), taxonomy=taxonomy)
    from detection import Detector

    return Detector.from_config(config, checkpoint, **how)


def check_classes(detector: StreamDetector, taxonomy: Taxonomy | None, where: str) -> None:
    """Check that a detector finds the classes of the data.

    Raises:
        InputError: it does not.
    """
    if taxonomy is not None and taxonomy != detector.taxonomy:
        raise InputError(f"{where}: has the classes of {taxonomy}, the detector those of {detector.taxonomy}")
