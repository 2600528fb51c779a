"""Reading weights: every kind of file, no code run, clear refusals."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from detection.checkpoints import (
    describe,
    in_half_precision,
    load_part,
    load_weights,
    read_checkpoint,
    read_saved,
    write_weights,
)
from detection.models.backbones import ResNet
from detection.models.routing import Router
from detection.models.yolo import DynamicYoloDetector
from scenes import InputError

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.0, 2.0])}


def _model() -> nn.Module:
    return nn.ModuleDict({"a": nn.Linear(3, 2)})


def _assert_read(path: Path, expected: dict[str, Tensor] = WEIGHTS) -> None:
    weights = read_checkpoint(path)
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod.", "student.", "model.", "ema."])
def test_pytorch_files(tmp_path: Path, key: str | None, wrapper: str) -> None:
    weights = {wrapper + name: value for name, value in WEIGHTS.items()}
    path = tmp_path / "weights.pth"
    torch.save(weights if key is None else {key: weights, "meta": {"epoch": 3, "config": "model = ..."}}, path)
    _assert_read(path)


def test_of_teacher_and_student_the_student_is_read(tmp_path: Path) -> None:
    path = tmp_path / "distilled.pth"
    both = {
        f"{who}.{name}": value + (who == "teacher") for who in ("teacher", "student") for name, value in WEIGHTS.items()
    }
    torch.save({"state_dict": both}, path)
    _assert_read(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_written_weights_are_read_back(tmp_path: Path, suffix: str) -> None:
    shared = {**WEIGHTS, "again.bias": WEIGHTS["a.bias"], "turned": WEIGHTS["a.weight"].t()}
    path = tmp_path / f"weights{suffix}"
    write_weights(shared, path)
    assert {name: value.tolist() for name, value in read_checkpoint(path).items()} == {
        name: value.tolist() for name, value in shared.items()
    }
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_weights_in_half_precision_load_like_others(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    whole = {"a.weight": torch.randn(2, 3), "a.bias": torch.randn(2)}
    write_weights(in_half_precision(whole, "here"), path)
    assert all(value.dtype == torch.float16 for value in read_checkpoint(path).values())
    model = _model()
    load_weights(model, path)
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("iterations", [0, 3])
def test_routers_of_older_dynamic_detectors(tmp_path: Path, iterations: int) -> None:
    """They were never zero; a number beside them said whether they had learned."""
    model = nn.ModuleDict({"router": Router([8])})
    weights = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    torch.save({**weights, "router_iterations": torch.tensor(iterations)}, tmp_path / "old.pth")
    load_weights(model, tmp_path / "old.pth")
    assert model["router"].is_trained == bool(iterations)
    assert torch.equal(model["router"].layer1.weight, weights["router.layer1.weight"])


def test_numbers_that_half_precision_cannot_hold_are_named() -> None:
    with pytest.raises(InputError, match=r"w\.pth: b holds numbers that float16 cannot hold"):
        in_half_precision({"a": torch.ones(2), "n": torch.tensor(7), "b": torch.tensor([1.0, 7e4])}, "w.pth")


def test_other_file_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights\.onnx: expected a name that ends in \.safetensors or \.pth"):
        write_weights(WEIGHTS, tmp_path / "weights.onnx")


def test_what_mmengine_keeps_beside_the_weights_is_read(tmp_path: Path) -> None:
    history = HistoryBuffer()
    for value in (1.0, 2.0, 6.0):
        history.update(value)
    numbers = {
        "best": np.float64(0.5),
        "iter": np.int64(7),
        "flag": np.bool_(True),
        "lr": np.arange(3, dtype=np.float32),
    }
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": WEIGHTS, "message_hub": {"log_scalars": {"loss": history}, **numbers}}, path)
    _assert_read(path)
    hub = read_saved(path)["message_hub"]
    assert hub["log_scalars"]["loss"].mean() == 3.0
    assert (hub["best"], hub["iter"], hub["flag"], hub["lr"].tolist()) == (0.5, 7, True, [0.0, 1.0, 2.0])


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (_Call(os.system, "touch ran"), "system"),
        (_Call(getattr, np.ndarray, "tofile"), "builtins.getattr"),
        (_Call(getattr, HistoryBuffer, "register_statistics"), "builtins.getattr"),
    ],
)
def test_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": WEIGHTS, "extra": content}, "more.pth")
    with pytest.raises(
        InputError, match=rf"more\.pth: holds a Python object \([\w.]*{named}\).*save its weights alone"
    ) as said:
        read_checkpoint("more.pth")
    assert "\n" not in str(said.value)
    assert [one.name for one in tmp_path.iterdir()] == ["more.pth"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", None, "cannot be read: No such file"),
        ("a.safetensors", None, "cannot be read: No such file"),
        ("a.pth", b"", "is no PyTorch file, or not a whole one"),
        ("a.pth", b"hello", "is no PyTorch file, or not a whole one"),
        ("a.pth", b"PK\x03\x04cut", "is no PyTorch file, or not a whole one"),
        ("a.safetensors", b"hello", "is no safetensors file, or not a whole one"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {"meta": {}}, {}, {"state_dict": {"epoch": 3}}])
def test_files_without_weights(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match="holds no weights"):
        read_checkpoint(tmp_path / "other.pth")


def test_strict_load(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "weights.pth")
    model = _model()
    load_weights(model, tmp_path / "weights.pth")
    assert torch.equal(model.state_dict()["a.weight"], WEIGHTS["a.weight"])


def test_other_weights_are_refused_and_nothing_is_loaded(tmp_path: Path) -> None:
    other = {"a.weight": torch.zeros(2, 4), **{f"b.{index}": torch.zeros(1) for index in range(4)}}
    torch.save(other, tmp_path / "other.pth")
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError) as said:
        load_weights(model, tmp_path / "other.pth")
    assert str(said.value).endswith(
        "1 missing (a.bias); 4 unexpected (b.0, b.1, b.2, ...); 1 of another shape (a.weight 2x4 instead of 2x3)"
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_messages_name_the_kind_of_model(golden: Path) -> None:
    said = {}
    for path in golden.glob("keys_*.txt"):
        rows = [line.split("\t") for line in path.read_text().splitlines() if not line.startswith("#")]
        shapes = {name: [int(one) for one in shape.split("x")] if shape != "scalar" else [] for name, shape, _ in rows}
        said[path.stem[5:]] = describe({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    assert said["petrv1_r50_flash_704_24e"] == "PETR, ResNet-50, 900 queries"
    assert said["focal_petrv1_r50_flash_704_24e"] == "Focal-PETR, ResNet-50, 900 queries"
    assert said["stream_petr_r50_flash_704_bs2_seq_428q_nui_60e"] == "StreamPETR, ResNet-50, 300 queries"
    assert said["stream_petr_vov_flash_800_bs2_seq_24e"] == "StreamPETR, V2-99, 644 queries"
    assert said["repdetr3d_vov_800_bs2_seq_24e"] == "RepDETR3D, V2-99, 644 queries"
    assert said["repdetr3d_eva02_800_bs2_seq_24e"] == "RepDETR3D, EVA02-L, 644 queries"
    assert describe(WEIGHTS) == "no detector of this project"


@pytest.mark.parametrize(("variant", "name"), [("dy-yolov7", "Dy-YOLOv7"), ("dy-yolov7-w6", "Dy-YOLOv7-W6")])
def test_messages_name_the_kind_of_2d_model(variant: str, name: str) -> None:
    with torch.device("meta"):
        weights = DynamicYoloDetector(variant, num_classes=7, width=0.03).state_dict()
    assert describe(weights) == f"{name}, 7 classes"


def test_a_2d_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    torch.save(DynamicYoloDetector("dy-yolov7", width=0.03).state_dict(), tmp_path / "weights.pth")
    model = DynamicYoloDetector("dy-yolov7", width=0.03, num_classes=10)
    with pytest.raises(
        InputError, match="holds Dy-YOLOv7, 80 classes; the model is Dy-YOLOv7, 10 classes: 18 of anoth"
    ):
        load_weights(model, tmp_path / "weights.pth")


@pytest.mark.parametrize("place", ["", "backbone.", "img_backbone.", "module.encoder.bottom_up."])
def test_a_backbone_is_found_at_any_place(tmp_path: Path, place: str) -> None:
    source, target = ResNet(18, base_channels=2), ResNet(18, base_channels=2)
    source.init_weights()
    weights = {place + name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    torch.save({"state_dict": {**weights, f"{place}fc.weight": torch.zeros(3)}}, tmp_path / "whole.pth")
    target.pretrained = str(tmp_path / "whole.pth")
    target.init_weights()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    torch.save(ResNet(34, base_channels=2).state_dict(), tmp_path / "deep.pth")
    with pytest.raises(InputError, match=r"deep\.pth: holds no weights of a ResNet like this one: .*another shape"):
        load_part(ResNet(34, base_channels=4), tmp_path / "deep.pth")
    torch.save(WEIGHTS, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: holds no weights of a ResNet like this one: \d+ missing"):
        load_part(ResNet(18), tmp_path / "other.pth")
