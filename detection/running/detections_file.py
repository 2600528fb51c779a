"""The JSON file of what was found in a source: images, categories and boxes as in the COCO format, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from detection.running.found_images import FoundImage
from scenes.coco_results import coco_row
from scenes.files import write_atomically


class DetectionsFile:
    """What was found so far. All ids are running numbers of the file's own, those of categories from 1 on.

    Args:
        classes: names of the labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._images: list[dict[str, Any]] = []
        self._boxes: list[dict[str, Any]] = []

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self._images)

    @property
    def hard(self) -> int:
        """Number of images that took the hard path."""
        return sum(image["hard"] for image in self._images)

    @property
    def boxes(self) -> int:
        """Number of boxes."""
        return len(self._boxes)

    def add(self, found: FoundImage) -> None:
        """Note what was found in an image."""
        image_id = self.images + 1
        height, width = found.image.image.shape[:2]
        self._images.append(
            {
                "id": image_id,
                "file_name": found.image.name,
                "frame": found.image.frame,
                "width": width,
                "height": height,
                "hard": found.hard,
            }
        )
        boxes = found.boxes
        rows = zip(boxes.edges_px.tolist(), boxes.label.tolist(), boxes.score.tolist(), strict=True)
        for edges_px, label, score in rows:
            row = coco_row(image_id, label + 1, edges_px, score)
            self._boxes.append({"id": self.boxes + 1, **row, "category": self._classes[label]})

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        categories = [{"id": number, "name": name} for number, name in enumerate(self._classes, start=1)]
        content = {"images": self._images, "categories": categories, "annotations": self._boxes}
        write_atomically(path, msgspec.json.encode(content))
