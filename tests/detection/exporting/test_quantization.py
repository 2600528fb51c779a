"""Convolutions in int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from detection.deployment.contract import FILES
from detection.deployment.detector import OnnxDetector
from detection.deployment.over_scenes import data_frames
from scenes.city import VAL_SPLIT, VERSION


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), [("StreamPETR", "features"), ("Focal-PETR", "single")])
def test_convolutions_alone_are_quantised(exported: Callable[..., Any], tiny_city: Path, name: str, part: str) -> None:
    whole = exported(name)
    int8 = exported(name, "--int8", tiny_city, VERSION, VAL_SPLIT, "--int8-frames", 4)
    assert (int8.folder / FILES[part]).stat().st_size < 0.8 * (whole.folder / FILES[part]).stat().st_size
    model = onnx.load(str(int8.folder / FILES[part]))
    types = [node.op_type for node in model.graph.node]
    assert types.count("QuantizeLinear") >= types.count("Conv") > 0
    assert all(node.domain in ("", "ai.onnx") for node in model.graph.node)
    (sample, _), *_ = data_frames(tiny_city, VERSION, VAL_SPLIT, 1)
    one, other = (OnnxDetector.from_onnx(each.folder) for each in (whole, int8))
    assert other.description.int8 and not one.description.int8
    (expected,), (found,) = (each.step(each.prepare([sample], [False])) for each in (one, other))
    assert 0 < np.abs(expected.score[:20] - found.score[:20]).max() < 0.1
