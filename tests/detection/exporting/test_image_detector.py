"""Dy-YOLOv7 as one graph with two paths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from detection.config import read_config
from detection.deployment.contract import FILES
from detection.deployment.detector import OnnxDetector
from detection.deployment.image_detector import OnnxImageDetector
from detection.registry import MODELS
from detection.running.image_detector import ImageDetector
from scenes import InputError

CONFIG = """
model = dict(type="DynamicYoloDetector", variant="{variant}", width=0.03, num_classes=2, threshold=0.5)
val_dataloader = dict(
    dataset=dict(
        type="CocoDataset", dataroot="", ann_file="", classes=["car", "zebra"], test_mode=True,
        pipeline=[dict(type="Letterbox", size={size})],
    ),
    sampler=dict(type="EvaluationSampler"),
)
"""


def _files(folder: Path, variant: str, size: tuple[int, int], trained: bool = True) -> tuple[Path, Path]:
    path, weights = folder / "tiny.py", folder / "weights.pth"
    path.write_text(CONFIG.format(variant=variant, size=size))
    torch.manual_seed(0)
    model = MODELS.build(read_config(path)["model"])
    with torch.no_grad():
        if trained:
            nn.init.normal_(model.router.layer2.weight)
        # Signals that neither fade nor grow through many layers: else all cells score alike, and chance orders them.
        for part in model.modules():
            if isinstance(part, nn.Conv2d) and part.bias is None:
                nn.init.kaiming_normal_(part.weight).mul_(1.2)
        for part in (model.model_h, model.model_h2):
            for convolution in part[-1].m:
                nn.init.normal_(convolution.weight, std=0.3)
                convolution.bias.normal_()
    torch.save(model.state_dict(), weights)
    return path, weights


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "size"), [("dy-yolov7", (64, 96)), ("dy-yolov7-w6", (64, 128))])
def test_finds_what_the_detector_finds_on_either_path(
    run: Callable[..., Any], tmp_path: Path, variant: str, size: tuple[int, int]
) -> None:
    path, weights = _files(tmp_path, variant, size)
    assert run("export.py", path, weights, "--out", tmp_path / "onnx").returncode == 0
    model = onnx.load(str(tmp_path / "onnx" / FILES["single"]))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node].count("If") == 1
    detector = ImageDetector.from_config(path, weights, device="cpu")
    image = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for threshold, hard in ((0.0, False), (1.0, True), (0.5, None)):
        exported = OnnxImageDetector.from_onnx(tmp_path / "onnx", threshold)
        detector.model.threshold = threshold
        (expected,), found = detector.detect([image]), exported.detect(image)
        assert found.hard == bool(detector.model.last_routing.hard[0]) and hard in (None, found.hard)
        assert len(expected) == len(found.boxes) > 10
        np.testing.assert_allclose(found.boxes.score, expected.scores, atol=1e-4)
        # Boxes of equal scores come in any order.
        apart = np.abs(found.boxes.edges_px[:, None] - expected.boxes_px.numpy()).max(axis=2)
        apart += np.where(found.boxes.label[:, None] == expected.labels.numpy(), 0.0, np.inf)
        assert (apart.min(axis=1) < 0.05).mean() > 0.95
    _assert_the_tool_finds_as_much(run, tmp_path, image, path, weights)
    with pytest.raises(InputError, match="tiny finds boxes in single images"):
        OnnxDetector.from_onnx(tmp_path / "onnx")
    with pytest.raises(InputError, match="threshold is 2, expected a number from 0 to 1"):
        OnnxImageDetector.from_onnx(tmp_path / "onnx", 2)


def _assert_the_tool_finds_as_much(
    run: Callable[..., Any], folder: Path, image: NDArray[np.uint8], config: Path, weights: Path
) -> None:
    """`detect --onnx` writes what `detect` writes."""
    cv2.imwrite(str(folder / "image.png"), image[..., ::-1])
    written = []
    for number, detector in enumerate(([config, weights], ["--onnx", folder / "onnx"])):
        out = folder / f"found{number}"
        done = run("detect.py", *detector, "--source", folder / "image.png", "--out", out, "--score", 0.05)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in out.iterdir()) == ["detections.json", "image.png"]
        written.append(json.loads((out / "detections.json").read_text()))
    expected, found = written
    assert found["images"] == expected["images"] and found["categories"] == expected["categories"]
    assert len(found["annotations"]) == len(expected["annotations"]) > 10
    for own, other in zip(found["annotations"][:3], expected["annotations"][:3], strict=True):
        assert own["score"] == pytest.approx(other["score"], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what is to detect? say CONFIG CHECKPOINT, or --onnx DIR"),
        (("--onnx", "{folder}", "config.py", "weights.pth"), "takes no config and no checkpoint"),
        (("--onnx", "{folder}", "--hard-fraction", 0.5), "--hard-fraction: belongs to a checkpoint"),
        (("--onnx", "{folder}", "--dtype", "bfloat16"), "--dtype, --compile, --tf32 and --cudnn-benchmark are torch's"),
        (("--onnx", "{folder}"), "no such folder"),
        (("--onnx", "{folder}", "--score", 2), "--score 2.0: expected 0 to 1"),
    ],
)
def test_calls_of_the_tool_that_make_no_sense(
    run: Callable[..., Any], tmp_path: Path, arguments: tuple[object, ...], said: str
) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((8, 8, 3), dtype=np.uint8))
    words = [str(word).format(folder=tmp_path / "none") for word in arguments]
    done = run("detect.py", *words, "--source", tmp_path / "image.png", "--out", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_router_that_nobody_trained_is_not_exported(run: Callable[..., Any], tmp_path: Path) -> None:
    path, weights = _files(tmp_path, "dy-yolov7", (64, 96), trained=False)
    for options, said in (
        ((), "weights.pth: the router has never been trained"),
        (("--format", "autoware"), "tiny: a detector of single images"),
    ):
        done = run("export.py", path, weights, "--out", tmp_path / "onnx", *options)
        assert done.returncode == 2 and said in done.stderr
    assert not (tmp_path / "onnx").exists()


def test_a_detector_of_scenes_is_not_one_of_images(exported: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="streampetr finds boxes in scenes"):
        OnnxImageDetector.from_onnx(exported("StreamPETR").folder)  # type: ignore[attr-defined]
