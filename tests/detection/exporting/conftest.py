"""Small detectors, exported as their users do it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from filelock import FileLock
from mmengine.config import Config
from torch import nn

from detection.config import read_config
from detection.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "tests" / "detection" / "city_tiny.py"
RANGE = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
BACKBONE = dict(type="ResNet", depth=18, base_channels=8, norm_eval=False)


class Exported(NamedTuple):
    """An exported detector, and what it was exported from."""

    config: Config
    config_path: Path
    checkpoint: Path
    folder: Path
    printed: str


def _petr() -> dict[str, Any]:
    model = read_config(TINY)["model"].to_dict()
    for name in ("memory", "denoising"):
        del model["pts_bbox_head"][name]
    model["pts_bbox_head"]["decoder"]["num_layers"] = 1
    return {**model, "pts_bbox_head": {**model["pts_bbox_head"], "type": "PETRHead"}}


def _proposals() -> dict[str, Any]:
    """RepDETR3D whose queries begin at a perspective head's boxes."""
    model = read_config(ROOT / "configs" / "repdetr3d" / "city_r18_proposals.py")["model"].to_dict()
    del model["pretrained"], model["frozen"]
    neck = dict(type="FPN", in_channels=[8, 16, 32, 64], out_channels=16, num_outs=4)
    model |= dict(img_backbone=BACKBONE, img_neck=neck)
    # Chance weights know no depth: what is said of its certainty would leave no score above any threshold.
    model["img_roi_head"] |= dict(in_channels=16, hidden_channels=32, peaks_per_camera=8, depth_penalty=0.02)
    decoder = dict(num_layers=2, num_heads=4, num_levels=4, num_points=3, feedforward_channels=32, sampling="in_view")
    model["pts_bbox_head"] |= dict(
        num_query=20,
        proposals=dict(count=12, in_channels=64 + 18),
        embed_dims=16,
        memory=dict(length=24, topk=8, num_propagated=8),
        decoder=decoder,
    )
    return model


def _perspective() -> dict[str, Any]:
    """A perspective head by itself, of seven peaks an image: which of two is the eighth would hang on a rounding."""
    model = {**_proposals(), "pts_bbox_head": None}
    model["img_roi_head"]["peaks_per_camera"] = 7
    return model


def _pyramid(strides_px: tuple[int, ...], **parts: Any) -> dict[str, Any]:
    """RepDETR3D on four levels, some of sizes that no stride divides."""
    head = {
        name: value for name, value in _petr()["pts_bbox_head"].items() if name not in ("in_channels", "position_range")
    }
    head |= dict(type="RepDETR3DHead", memory=dict(length=40, topk=20, num_propagated=20))
    head["decoder"] = dict(num_layers=2, num_heads=4, num_levels=4, num_points=3, feedforward_channels=32)
    roi = dict(type="YOLOXHead", num_classes=10, in_channels=32, strides_px=strides_px)
    return dict(type="MultiViewDetector", pts_bbox_head=head, img_roi_head=roi, **parts)


def _vovnet() -> dict[str, Any]:
    return _pyramid(
        (8, 16, 32, 64),
        img_backbone=dict(type="VoVNet", depth=39, out_indices=(1, 2, 3)),
        img_neck=dict(type="FPN", in_channels=[512, 768, 1024], out_channels=32, num_outs=4),
    )


def _eva02() -> dict[str, Any]:
    sizes = dict(embed_dims=32, depth=3, num_heads=2, window_size=2, global_window_size=3, global_blocks=(1,))
    return _pyramid((4, 8, 16, 32), img_backbone=dict(type="EVA02", out_channels=32, **sizes), img_neck=None)


MODELS_BY_NAME: dict[str, Callable[[], dict[str, Any]]] = {
    "StreamPETR": lambda: read_config(TINY)["model"].to_dict(),
    "proposals": _proposals,
    "PETR": _petr,
    "Focal-PETR": lambda: {
        **_petr(),
        "img_roi_head": dict(type="FocalHead", num_classes=10, in_channels=32, train_ratio=0.75, infer_ratio=0.5),
    },
    "perspective": _perspective,
    "RepDETR3D V2": _vovnet,
    "RepDETR3D EVA02": _eva02,
}


def make_config(name: str, folder: Path) -> tuple[Config, Path]:
    """The config of a small detector on the tiny city, in a file."""
    path = folder / f"{name.lower().replace('-', '_').replace(' ', '_')}.py"
    path.write_text(f"_base_ = {str(TINY)!r}\nmodel = dict(_delete_=True, **{MODELS_BY_NAME[name]()!r})\n")
    return read_config(path), path


def make_weights(config: Config, path: Path) -> None:
    """Chance weights, by which queries find different things."""
    torch.manual_seed(0)
    model = MODELS.build(config["model"])
    with torch.no_grad():
        if model.pts_bbox_head is not None:
            head = model.pts_bbox_head
            nn.init.normal_(head.cls_branches[0][-1].weight, std=0.6)
            if head.memory is None:  # whose queries have seen one layer, and are much alike after it
                for name, parameter in head.named_parameters():
                    if "attn" in name and name.endswith("weight"):
                        nn.init.normal_(parameter, std=0.6)
                nn.init.zeros_(head.cls_branches[0][-1].bias)
            for name, parameter in head.named_parameters():
                if name.endswith(("gamma.weight", "beta.weight", "output_proj.weight")):
                    nn.init.normal_(parameter, std=0.1)
        if hasattr(model.img_roi_head, "box_branch"):
            nn.init.normal_(model.img_roi_head.box_branch[-1].weight, std=0.1)
            model.img_roi_head.heat_map[-1].bias.fill_(3.0)
            nn.init.normal_(model.img_roi_head.class_branch[-1].weight, std=1.0)
            model.img_roi_head.class_branch[-1].bias.fill_(1.0)
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    torch.save(model.state_dict(), path)


@pytest.fixture(scope="session")
def exported(
    run: Callable[..., Any], tiny_city: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Exported]:
    """Exports a small detector by name with `tools/export.py`, once for each set of options and run of the tests."""
    own = tmp_path_factory.getbasetemp()
    common = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exported"
    common.mkdir(exist_ok=True)

    def export(name: str, *options: object) -> Exported:
        folder = common / hashlib.sha256(repr((name, *map(str, options))).encode()).hexdigest()
        checkpoint, printed = folder / "weights.pth", folder / "printed.txt"
        with pytest.MonkeyPatch.context() as patch, FileLock(f"{folder}.lock"):
            patch.setitem(os.environ, "CITY_ROOT", str(tiny_city))
            folder.mkdir(exist_ok=True)
            if not printed.exists():
                config, path = make_config(name, folder)
                make_weights(config, checkpoint)
                done = run("export.py", path, checkpoint, "--out", folder / "onnx", *options)
                assert done.returncode == 0, done.stderr
                printed.write_text(done.stdout)
            (path,) = folder.glob("*.py")
            config = read_config(path)
        return Exported(config, path, checkpoint, folder / "onnx", printed.read_text())

    return export


@pytest.fixture
def run_tool_badly(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_city: Path) -> Callable[..., str]:
    """The one line in which a tool ends, with exit code 2."""

    def run_and_check(name: str, *arguments: object) -> str:
        monkeypatch.setenv("CITY_ROOT", str(tiny_city))
        done = run(name, *arguments)
        assert done.returncode == 2 and not done.stdout
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ")
        return line

    return run_and_check
