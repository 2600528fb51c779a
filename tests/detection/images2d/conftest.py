"""Fixtures: a small COCO data set, and a way to write one's own."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

CATEGORIES = [{"id": 90, "name": "zebra"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}]


@pytest.fixture
def write_coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes an instances file and images of 60x40 with ids 0, 10, 20, ...; gives the folder that both are in."""

    def write(rows: list[dict[str, Any]], images: int = 3, **changes: Any) -> Path:
        named = [dict(id=10 * index, file_name=f"{index}.png", width=60, height=40) for index in range(images)]
        # An annotation's id may be anything, even the 0 that COCO's program takes for none.
        numbered = [{"id": index, **row} for index, row in enumerate(rows)]
        content = {"images": named, "categories": CATEGORIES, "annotations": numbered, **changes}
        (tmp_path / "instances.json").write_text(json.dumps(content))
        random = np.random.default_rng(1)
        for row in content["images"]:
            pixels = random.integers(0, 256, (row["height"], row["width"], 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / row["file_name"]), pixels)
        return tmp_path

    return write


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that are logged; mmengine's logger hands them to nobody else."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
