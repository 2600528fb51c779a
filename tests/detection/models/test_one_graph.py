"""The step of every model as graphs that are captured whole and once, whatever frames come."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from detection.frames import FrameBatch
from detection.registry import MODELS

FRAMES = 20
MakeFrame = Callable[..., FrameBatch]

# Graphs of each: the whole frame, or what lies before and behind the answer of a router.
GRAPHS = {
    "PETR": 1,
    "Focal-PETR": 1,
    "StreamPETR": 1,
    "RepDETR3D": 1,
    "RepDETR3D V2": 1,
    "RepDETR3D EVA02": 1,
    "RepDETR3D proposals": 1,
    "RayDN": 1,
    "perspective": 1,
    "dynamic": 3,
}
SLOW = ("RepDETR3D V2", "RepDETR3D EVA02", "RepDETR3D proposals", "RayDN", "dynamic")


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch.compiler.reset()  # type: ignore[no-untyped-call]


def _captured(model: Any) -> CompileCounter:
    """Compiles the functions of a model; what cannot be captured whole is an error, and graphs are counted."""
    counter = CompileCounter()
    for owner, name in model.tensor_functions():
        setattr(owner, name, torch.compile(getattr(owner, name), fullgraph=True, dynamic=False, backend=counter))
    return counter


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in GRAPHS]
)
def test_a_step_is_captured_whole_and_once(
    name: str, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    """Over twenty frames with a change of scene and a reset."""
    torch.manual_seed(0)
    model = MODELS.build(model_config(name)).eval()
    if name == "dynamic":
        nn.init.normal_(model.router.layer2.weight)
        model._is_hard = lambda scores, continues: scores > 2 * (model.calls % 2)  # easy and hard in turn
    compiled = copy.deepcopy(model)
    counter = _captured(compiled)
    with torch.no_grad():
        for t in range(FRAMES):
            frame = make_frame(t, [t not in (0, 9)])
            for one in (model, compiled):
                one.calls = t
                if t == 15 and one.memory is not None:
                    one.memory.reset()
            expected, found = model.step(frame), compiled.step(frame)
            torch.testing.assert_close(found.scores, expected.scores)
            torch.testing.assert_close(found.boxes, expected.boxes)
            assert torch.equal(found.valid, expected.valid)
            if expected.query_ids is not None:
                assert torch.equal(found.query_ids, expected.query_ids)
    assert counter.frame_count == GRAPHS[name]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_fixed_paths_of_a_cascade_are_two_graphs(
    threshold: float, model_config: Callable[[str], dict[str, Any]], make_frame: MakeFrame
) -> None:
    model = MODELS.build({**model_config("dynamic"), "threshold": threshold}).eval()
    counter = _captured(model)
    with torch.no_grad():
        for t in range(3):
            model.step(make_frame(t, [t > 0]))
    assert counter.frame_count == 2


@pytest.mark.slow
def test_detectors_of_single_images_are_captured_part_by_part() -> None:
    """What comes before a router, each path behind it, and their boxes."""
    config = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.03, num_classes=3)
    model = MODELS.build(config).eval()
    nn.init.normal_(model.router.layer2.weight)
    counter = _captured(model)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for easy in ([True, True], [False, False], [True, True]):
            maps = model.first_maps(images)
            model.router.forward(model.routed_maps(maps))
            model.boxes(images, maps, torch.tensor(easy))
    assert counter.frame_count == len(model.tensor_functions())
