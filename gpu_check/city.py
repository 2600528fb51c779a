"""The synthetic city, made from its seed: the detector that ships, in float32 and, compiled on a GPU, in bfloat16."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from detection.config import read_config
from detection.data.create_infos import create_infos
from detection.running.detector import detect, evaluate
from gpu_check.parts import Settings
from gpu_check.record import Record
from parity.arithmetic import tensor_float32
from scenes.city import VERSION, make_city

_ROOT: Final = Path(__file__).resolve().parents[1]
_CONFIG: Final = _ROOT / "configs" / "perspective" / "city_perspective.py"
_WEIGHTS: Final = _ROOT / "detection" / "weights" / "perspective_city_r18.safetensors"
_IMAGE_SIZE: Final = (704, 396)
_SEED: Final = 2026  # not one of the towns that the detector has seen
_MOST: Final = 0.002  # of mAP
_BASELINE: Final[Mapping[str, Mapping[str, Any]]] = {"eager float32": dict(dtype=torch.float32)}
_FASTEST: Final[Mapping[str, Mapping[str, Any]]] = {"compiled bfloat16": dict(dtype=torch.bfloat16, compile=True)}
_ON_A_CPU: Final[Mapping[str, Mapping[str, Any]]] = {"eager bfloat16": dict(dtype=torch.bfloat16)}
"""Its compiler takes minutes, for a few frames; `gpu_check.speed` has it compile a small network."""


def run(settings: Settings, record: Record, subject: str) -> None:
    """Detect in both ways and compare the official mean average precision."""
    city = settings.folder / "city"
    scenes, frames = _size(settings)
    make_city(city, train_scenes=0, val_scenes=scenes, frames=frames, image_size=_IMAGE_SIZE, seed=_SEED)
    create_infos(city, VERSION)
    places = ("val_dataloader.dataset.dataroot", "val_evaluator.dataroot")
    config = read_config(_CONFIG, {**dict.fromkeys(places, str(city)), "val_evaluator.version": VERSION})
    found: dict[str, float] = {}
    for name, how in {**_BASELINE, **(_FASTEST if settings.on_gpu else _ON_A_CPU)}.items():
        found[name] = _detected(config, name, {**how, "device": settings.device}, record)
    first, last = found.values()
    difference = f"{last - first:+.4f}, tolerated {_MOST}"
    if settings.on_gpu:
        record.check("mAP in bfloat16", abs(last - first) <= _MOST, difference)
    else:
        record.note(f"mAP in bfloat16: {difference}; so few frames decide nothing")


def _size(settings: Settings) -> tuple[int, int]:
    """Scenes and frames of each."""
    if not settings.on_gpu:
        return 1, 2
    return (2, 10) if settings.quick else (4, 20)


def _detected(config: Any, name: str, how: dict[str, Any], record: Record) -> float:
    """The mean average precision of a way, of which a row is written."""
    started_s = time.perf_counter()
    with tensor_float32(False):
        results = detect(config, _WEIGHTS, **how)
    elapsed_s = time.perf_counter() - started_s
    assert results is not None, "there is one process"
    summary = evaluate(config, results).summary
    record.row(
        way=name,
        frames=len(results.boxes),
        boxes=sum(map(len, results.boxes.values())),
        mAP=round(float(summary["mean_ap"]), 4),
        NDS=round(float(summary["nd_score"]), 4),
        seconds=round(elapsed_s, 1),
    )
    return float(summary["mean_ap"])
