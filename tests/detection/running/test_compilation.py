"""Compiled detectors, detectors in half precision: what they find, and what happens where compiling fails."""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from detection.config import read_config
from detection.registry import MODELS
from detection.running.benchmark import made_stream
from detection.running.compilation import (
    compile_for_inference,
    for_inference,
    inference_precision,
    set_gpu_arithmetic,
    speed_of,
)
from detection.running.detector import Detector, detect
from detection.running.image_detector import ImageDetector
from detection.running.speed_options import add_speed_options
from scenes import InputError

ROOT = Path(__file__).resolve().parents[3]
IMAGE_SIZE = (64, 96)
TinyConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch.compiler.reset()  # type: ignore[no-untyped-call]


def _model(config: Config) -> Any:
    torch.manual_seed(0)
    return MODELS.build(config["model"]).eval()


def _assert_equal_boxes(model: Any, compiled: Any, frames: int = 3) -> None:
    with torch.no_grad():
        for frame in made_stream(frames, 2, IMAGE_SIZE, torch.device("cpu")):
            (expected,), (found,) = model([frame]), compiled([frame])
            torch.testing.assert_close(found.scores, expected.scores)
            torch.testing.assert_close(found.boxes, expected.boxes)
            assert torch.equal(found.query_ids, expected.query_ids)


@pytest.mark.slow
@pytest.mark.parametrize("shipped", [False, True])
def test_compiled_detector_gives_the_same_boxes(tiny_config: TinyConfig, shipped: bool) -> None:
    model = _model(read_config(ROOT / "configs/repdetr3d/city_r18.py") if shipped else tiny_config())
    compiled = copy.deepcopy(model)
    compile_for_inference(compiled, backend="aot_eager")
    assert compiled.state_dict().keys() == model.state_dict().keys()
    _assert_equal_boxes(model, compiled)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_compiled_dynamic_detector_gives_the_same_boxes(dynamic_config: TinyConfig, threshold: float) -> None:
    model = _model(dynamic_config(1, model__threshold=threshold))
    compiled = copy.deepcopy(model)
    compile_for_inference(compiled, backend="aot_eager")
    _assert_equal_boxes(model, compiled, frames=2)


@pytest.mark.slow
def test_compiled_image_detector_finds_the_same() -> None:
    model = MODELS.build(dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.03, num_classes=3)).eval()
    nn.init.normal_(model.router.layer2.weight)
    detectors = [ImageDetector(model, ("a", "b", "c"), device="cpu") for _ in range(2)]
    compile_for_inference(detectors[1].model, backend="aot_eager")
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for threshold in (0.0, 1.0, 0.5):
        for detector in detectors:
            detector.model.threshold = threshold
        (expected,), (found,) = (detector.detect([image]) for detector in detectors)
        torch.testing.assert_close(found.boxes_px, expected.boxes_px)
        torch.testing.assert_close(found.scores, expected.scores)


def test_what_does_not_compile_runs_as_it_is_and_says_why_once(
    tiny_config: TinyConfig, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("no compiler\non this machine")

    model = _model(tiny_config())
    compiled = copy.deepcopy(model)
    with caplog.at_level(logging.INFO, logger="detection.running.compilation"):
        compile_for_inference(compiled, backend=broken)
        _assert_equal_boxes(model, compiled)
    assert [record.getMessage() for record in caplog.records if record.name == "detection.running.compilation"] == [
        "compiling: the first frames of each size are slow",
        "goes on without compilation: OSError: no compiler",
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_finds_about_the_same(tiny_config: TinyConfig, tmp_path: Path, dtype: torch.dtype) -> None:
    config = tiny_config()
    checkpoint = tmp_path / "weights.pth"
    torch.save(_model(config).state_dict(), checkpoint)
    whole, half = detect(config, checkpoint, device="cpu"), detect(config, checkpoint, device="cpu", dtype=dtype)
    assert whole is not None and half is not None and whole.boxes.keys() == half.boxes.keys()
    differences = [np.abs(boxes.score[:5] - half.boxes[token].score[:5]).max() for token, boxes in whole.boxes.items()]
    assert 0 < max(differences) < 0.02


@torch.no_grad()
def test_the_form_for_inference_finds_the_same_and_leaves_the_network_alone(tiny_config: TinyConfig) -> None:
    model = _model(tiny_config())
    before = copy.deepcopy(model)
    form = for_inference(model, torch.device("cpu"), torch.float32)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in form.modules())
    assert form.image_format == torch.channels_last and model.image_format == torch.contiguous_format
    to_compile = for_inference(model, torch.device("cpu"), torch.float32, compiled=True)
    assert to_compile.image_format == torch.contiguous_format
    _assert_equal_boxes(model, form)
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in model.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["repdetr3d/city_r18_proposals", "dynamic/city_step1", None])
def test_weights_rounded_once_find_what_autocast_finds(
    tiny_config: TinyConfig, dtype: torch.dtype, name: str | None
) -> None:
    """Bit by bit: the same weights are rounded, before the first frame instead of in each."""
    model = _model(tiny_config() if name is None else read_config(ROOT / f"configs/{name}.py"))
    form = for_inference(model, torch.device("cpu"), dtype)
    by_autocast = for_inference(model, torch.device("cpu"), torch.float32)
    assert {value.dtype for value in form.parameters()} == {torch.float32, dtype}
    stream = made_stream(2, 2, IMAGE_SIZE, torch.device("cpu"))
    with inference_precision(torch.device("cpu"), dtype):
        for frame in stream:
            (expected,), (found,) = by_autocast([frame]), form([frame])
            assert torch.equal(found.scores, expected.scores) and torch.equal(found.boxes, expected.boxes)


def test_gpus_compute_float32_unless_told_otherwise() -> None:
    flags = [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")]
    flags.append((torch.backends.cudnn, "benchmark"))
    before = [getattr(owner, flag) for owner, flag in flags]
    try:
        for tf32, cudnn_benchmark in ((False, False), (True, True)):
            set_gpu_arithmetic(tf32, cudnn_benchmark)
            assert [getattr(owner, flag) for owner, flag in flags] == [tf32, tf32, cudnn_benchmark]
    finally:
        for (owner, flag), value in zip(flags, before, strict=True):
            setattr(owner, flag, value)


def test_options_are_what_detectors_take(tiny_config: TinyConfig) -> None:
    parser = argparse.ArgumentParser()
    add_speed_options(parser)
    speed = speed_of(parser.parse_args(["--dtype", "float16", "--tf32"]))
    assert speed == dict(dtype=torch.float16, compile=False, tf32=True, cudnn_benchmark=False)
    Detector(_model(tiny_config()), "cpu", **speed)


def test_other_precisions_are_refused(tiny_config: TinyConfig) -> None:
    with pytest.raises(InputError, match=r"dtype torch\.float64: expected torch\.float32, torch\.bfloat16, torch\."):
        Detector(_model(tiny_config()), "cpu", dtype=torch.float64)


def test_only_detectors_are_compiled() -> None:
    with pytest.raises(InputError, match="a Linear cannot be compiled, only a detector"):
        compile_for_inference(nn.Linear(1, 1))
