"""What a detector of single images finds in the images of a source, whatever runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from detection.data.image_reading import RgbImage
from detection.running.sources import SourceImage
from scenes import InputError
from scenes.boxes2d import Boxes2D


@dataclass(frozen=True, eq=False)
class FoundImage:
    """An image of a source, and what was found in it.

    Attributes:
        image: of the source.
        boxes: in its pixels, best first; their labels index the detector's classes.
        hard: whether it took the hard path.
    """

    image: SourceImage
    boxes: Boxes2D
    hard: bool


class Finder(Protocol):
    """A detector of single images: `detection.ImageDetector`, or its counterpart of an ONNX file.

    Attributes:
        classes: what its labels index.
    """

    classes: tuple[str, ...]

    def find(self, images: Sequence[RgbImage]) -> list[tuple[Boxes2D, bool]]:
        """The boxes of images (H, W, 3) uint8 RGB of any sizes, best first, and whether each took the hard path."""


def detect_in_source(finder: Finder, source: Iterable[SourceImage], batch_size: int) -> Iterator[FoundImage]:
    """Detect in the images of a source, batch by batch.

    Raises:
        InputError: the batch size is below 1, or see `Source`.
    """
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: expected at least 1")
    waiting: list[SourceImage] = []
    for image in source:
        waiting.append(image)
        if len(waiting) == batch_size:
            yield from _found(finder, waiting)
            waiting = []
    yield from _found(finder, waiting)


def _found(finder: Finder, images: Sequence[SourceImage]) -> Iterator[FoundImage]:
    found = finder.find([image.image for image in images])
    for image, (boxes, hard) in zip(images, found, strict=True):
        yield FoundImage(image, boxes, hard)
