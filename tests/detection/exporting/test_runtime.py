"""Exported detectors at work: without torch, from files that may be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from detection import Detector
from detection.deployment.contract import FILES
from detection.deployment.detector import OnnxDetector
from detection.deployment.images import network_image
from detection.deployment.over_scenes import data_frames, detect_scenes
from detection.exporting.export import Export, Options, export_model, write_export
from detection.exporting.pipeline import image_pipeline
from detection.registry import MODELS
from scenes import Boxes3D, InputError, Taxonomy, read_detections
from scenes.city import VAL_SPLIT, VERSION
from scenes.taxonomy import ObjectClass

ROOT = Path(__file__).resolve().parents[3]
Exporter = Callable[..., Any]

# Torch is not there: the finder of installed packages does not find it, as on a machine without it.
WITHOUT_TORCH = """
import runpy, sys
from importlib.machinery import PathFinder
hidden, find = ("torch", "safetensors", "onnx", "onnxscript"), PathFinder.find_spec
def finds(cls, name, path=None, target=None):
    return None if name.split(".")[0] in hidden else find(name, path, target)
PathFinder.find_spec = classmethod(finds)
sys.argv = sys.argv[1:]
from detection import Detector
assert Detector.from_onnx
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _assert_same(one: Boxes3D, other: Boxes3D) -> None:
    np.testing.assert_array_equal(one.center_m, other.center_m)
    assert one.query_id is not None and np.array_equal(one.query_id, other.query_id)


def test_a_data_root_without_torch(exported: Exporter, tiny_city: Path, tmp_path: Path) -> None:
    made = exported("StreamPETR")
    where = ["--dataroot", tiny_city, "--version", VERSION, "--split", VAL_SPLIT]
    tool, out = ROOT / "tools" / "test.py", tmp_path / "found.json"
    command = [sys.executable, "-c", WITHOUT_TORCH, tool, "--onnx", made.folder, "--out", out, *where]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 frames: ")
    expected = detect_scenes(made.folder, tiny_city, VERSION, VAL_SPLIT).boxes
    found = read_detections(out).boxes
    assert list(found) == list(expected)
    for token, boxes in found.items():
        np.testing.assert_allclose(boxes.center_m, expected[token].center_m, atol=1e-3)
        assert np.array_equal(boxes.query_id, expected[token].query_id)


def test_streams_do_not_mind_each_other(exported: Exporter, tiny_city: Path) -> None:
    folder = exported("StreamPETR").folder
    frames = [sample for sample, _ in data_frames(tiny_city, VERSION, VAL_SPLIT)]
    first, second = frames[:4], frames[4:8]
    together, alone = Detector.from_onnx(folder), Detector.from_onnx(folder)
    pairs = []
    for index, samples in enumerate(zip(first, second, strict=True)):
        pairs.append(together.step(together.prepare(samples, [index > 0] * 2)))
    for stream, scene in enumerate((first, second)):
        for index, sample in enumerate(scene):
            (boxes,) = alone.step(alone.prepare([sample], [index > 0]))
            _assert_same(boxes, pairs[index][stream])
    with pytest.raises(InputError, match="every batch has to hold the same streams"):
        together.step(together.prepare(first[:1], [True]))


def test_goes_on_from_a_state(exported: Exporter, tiny_city: Path) -> None:
    folder = exported("StreamPETR").folder
    frames = [sample for sample, _ in data_frames(tiny_city, VERSION, VAL_SPLIT, 4)]
    one, other = Detector.from_onnx(folder), Detector.from_onnx(folder)
    for index, sample in enumerate(frames[:2]):
        one.step(one.prepare([sample], [index > 0]))
    other.load_state(one.state())
    for sample in frames[2:]:
        (expected,), (found,) = (each.step(each.prepare([sample], [True])) for each in (one, other))
        _assert_same(expected, found)
    with pytest.raises(InputError, match="a state of another detector"):
        other.load_state({"0.embedding": np.zeros(3)})


def test_cameras_are_known_by_their_names(exported: Exporter, tiny_city: Path) -> None:
    detector = Detector.from_onnx(exported("StreamPETR").folder)
    (sample, _), *_ = data_frames(tiny_city, VERSION, VAL_SPLIT, 1)
    turned = replace(sample, views=sample.views[::-1])
    first, second = (detector.prepare([one], [False]) for one in (sample, turned))
    assert np.array_equal(first.images, second.images)
    with pytest.raises(InputError, match="has the cameras CAM_FRONT, CAM_FRONT_RIGHT, the network CAM_FRONT, "):
        detector.prepare([replace(sample, views=sample.views[:2])], [False])


def test_the_nodes_filter_sees_nearly_the_same(exported: Exporter) -> None:
    """Both widen as the image shrinks; nothing is shifted."""
    rows, columns = np.mgrid[:128, :352]
    image = np.stack([rows, columns / 2, rows + columns / 4], axis=-1).astype(np.uint8)
    image[60:70, 100:110] = 255
    one, other = (network_image(image, np.eye(4), (64, 176), name) for name in ("bicubic", "triangle"))
    difference = one[0].astype(float) - other[0]
    assert 0 < np.abs(difference).mean() < 0.3 and abs(difference.mean()) < 0.02
    np.testing.assert_array_equal(one[1], np.diag([0.5, 0.5, 1, 1]))
    with pytest.raises(InputError, match="filter 'nearest': expected bicubic or triangle"):
        Detector.from_onnx(exported("StreamPETR").folder, filter_="nearest")


def test_classes_are_those_of_the_data(exported: Exporter) -> None:
    folder = exported("StreamPETR").folder
    with pytest.raises(InputError):
        Detector.from_onnx(folder, taxonomy=Taxonomy((ObjectClass("forklift", 50.0, ("forklift",)),)))


def _changed(folder: Path, file: str, change: Callable[[Any], object]) -> None:
    model = onnx.load(str(folder / file))
    change(model)
    (folder / file).write_bytes(model.SerializeToString())


def _rename(model: Any) -> None:
    model.graph.input[0].name = "y"
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = "y" if name == "x" else name


def _of_another_export(model: Any) -> None:
    said = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**said, "export": "other"})


def _of_another_length(model: Any) -> None:
    said = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**said, "memory_length": 12})


def _of_another_version(model: Any) -> None:
    model.metadata_props[0].value = "{}"


HEAD = FILES["head"]
BROKEN = {
    "missing": (lambda folder: (folder / HEAD).unlink(), f"{HEAD}: is missing; an exported detector has simplify_"),
    "no folder": (shutil.rmtree, "onnx: no such folder"),
    "cut off": (lambda folder: (folder / HEAD).write_bytes(b"\x08\x07"), f"{HEAD}: onnxruntime cannot load it: "),
    "name": (lambda folder: _changed(folder, HEAD, _rename), f"{HEAD}: has no input 'x'"),
    "foreign": (
        lambda folder: _changed(folder, HEAD, lambda model: model.metadata_props.pop()),
        f"{HEAD}: was not written by `streamtrack export`",
    ),
    "mixed": (
        lambda folder: _changed(folder, HEAD, _of_another_export),
        f"{HEAD}: is of another export than {FILES['features']} beside it",
    ),
    "version": (
        lambda folder: _changed(folder, HEAD, _of_another_version),
        f"{HEAD}: was exported by another version",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_files_that_do_not_fit_end_in_one_line(
    exported: Exporter, tiny_city: Path, tmp_path: Path, fault: str, run_tool_badly: Callable[..., str]
) -> None:
    break_, message = BROKEN[fault]
    folder = tmp_path / "onnx"
    shutil.copytree(exported("StreamPETR").folder, folder)
    break_(folder)
    out = tmp_path / "out.json"
    where = ["--dataroot", tiny_city, "--version", VERSION, "--split", VAL_SPLIT]
    line = run_tool_badly("test.py", "--onnx", folder, "--out", out, *where)
    assert message in line
    assert not out.exists()


def test_a_shape_that_does_not_fit_is_named(exported: Exporter, tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(exported("StreamPETR").folder, folder)
    for file in FILES.values():
        if (folder / file).exists():
            _changed(folder, file, _of_another_length)
    with pytest.raises(InputError, match=r"input 'pre_memory_embedding' is 1x40x32, expected 1x12x32"):
        OnnxDetector.from_onnx(folder)
    with pytest.raises(InputError, match=r"GpuOfTomorrow: this onnxruntime has .*CPUExecutionProvider"):
        OnnxDetector.from_onnx(folder, providers=["GpuOfTomorrow"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--onnx", "{onnx}", "--eval"], "--onnx: say --dataroot, --version and --split, too"),
        (["{config}", "{checkpoint}", "--onnx", "{onnx}", "--eval"], "takes no config and no checkpoint"),
        (["--eval"], "say CONFIG CHECKPOINT, or --onnx DIR"),
    ],
)
def test_command_lines_of_test_that_say_too_little_or_too_much(
    exported: Exporter, arguments: list[str], message: str, run_tool_badly: Callable[..., str]
) -> None:
    made = exported("StreamPETR")
    files = dict(onnx=made.folder, config=made.config_path, checkpoint=made.checkpoint)
    assert message in run_tool_badly("test.py", *(argument.format(**files) for argument in arguments))


def _pose_file(folder: Path, text: str) -> Path:
    (folder / "pose.txt").write_text(text)
    return folder / "pose.txt"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Focal-PETR", ["--format", "autoware"], "a detector of single frames has no memory"),
        ("StreamPETR", ["--base-link-from-lidar", "1 0 0\n"], "pose.txt: expected four rows of four numbers"),
        ("StreamPETR", ["--base-link-from-lidar", "1 0 0 x\n"], "pose.txt: expected four rows of four numbers"),
        (
            "StreamPETR",
            ["--base-link-from-lidar", "2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"],
            "expected four rows of four numbers, a rotation and a translation",
        ),
        ("StreamPETR", ["--cfg-options", "model.type=DynamicDetector"], "there is no 'img_backbone'"),
    ],
)
def test_exports_that_cannot_be(
    exported: Exporter,
    tmp_path: Path,
    name: str,
    options: list[str],
    message: str,
    run_tool_badly: Callable[..., str],
) -> None:
    made = exported(name)
    if options[0] == "--base-link-from-lidar":
        options = [options[0], str(_pose_file(tmp_path, options[1]))]
    line = run_tool_badly("export.py", made.config_path, made.checkpoint, "--out", tmp_path / "new", *options)
    assert message in line
    assert not (tmp_path / "new").exists()


def test_weights_of_another_model_and_a_folder_of_another_format(
    exported: Exporter, run_tool_badly: Callable[..., str], tmp_path: Path
) -> None:
    one, other = exported("StreamPETR"), exported("Focal-PETR")
    line = run_tool_badly("export.py", one.config_path, other.checkpoint, "--out", tmp_path / "new")
    assert "weights.pth: holds" in line and not (tmp_path / "new").exists()
    before = sorted(one.folder.iterdir())
    description = OnnxDetector.from_onnx(other.folder).description
    with pytest.raises(InputError, match="this folder holds an export of the format 'autoware'"):
        write_export(Export(description, {"single": onnx.ModelProto()}, None), one.folder)
    assert sorted(one.folder.iterdir()) == before


def test_models_that_have_no_export_are_named(dynamic_config: Callable[..., Any], exported: Exporter) -> None:
    config = dynamic_config(1)
    with pytest.raises(InputError, match="a DynamicDetector has no export: a router decides frame by frame"):
        export_model(MODELS.build(config["model"]), image_pipeline(config), ("car",) * 10, "cascade", Options())
