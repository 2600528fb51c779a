"""Activations are recomputed in the backward pass where a part says so, or where the config says it for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from detection.training.runner import build_training

PARTS = {"model.img_backbone.with_cp": True, "model.pts_bbox_head.decoder.with_cp": False}


@pytest.mark.parametrize(("said", "expected"), [({}, {True, False}), ({"with_cp": False}, {False})])
def test_one_key_is_for_all_parts(
    tiny_config: Callable[..., Config], tmp_path: Path, said: dict[str, bool], expected: set[bool]
) -> None:
    config = tiny_config(validate=False, **{**PARTS, **said})
    config.work_dir = str(tmp_path)
    detector = build_training(config).detector
    assert {part.with_cp for part in detector.modules() if hasattr(part, "with_cp")} == expected
