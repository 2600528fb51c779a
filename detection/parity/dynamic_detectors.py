"""Recordings of the 2D detectors of DynamicDet: names and shapes of their weights, and what comes of an image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from detection.dynamic.router import pooled
from detection.models.yolo import VARIANTS, DynamicYolo
from detection.parity.comparison import Array, Comparison
from detection.parity.dynamic import compare_methods, load_dynamic_weights
from detection.parity.keys import compare_names
from detection.parity.methods_rule import MethodsRule
from detection.parity.models import Workshop
from detection.parity.recording import read_arrays, read_json

_KEYS: Final = re.compile(r"keys_(?P<model>dy_yolov7\w*)_step(?P<step>[12])")
_IMAGE_PX: Final = 128
_EVERY: Final = 41  # rows of the boxes are recorded

# Ten times the noise that the recordings state.
_POOLED: Final = 2e-5
_LOGITS: Final = 1.7e-3
_BOXES_PX: Final = 1e-2


def check_dynamic_keys(path: Path, workshop: Workshop) -> Comparison | None:
    """Compare every name, shape and type of a detector's weights.

    Args:
        path: `keys_<model>_step<1 or 2>.txt`; the first step has no router.
        workshop: not needed.

    Returns:
        None where there is no such model.
    """
    named = _KEYS.fullmatch(path.stem)
    variant = VARIANTS.get(named["model"].replace("_", "-")) if named else None
    if named is None or variant is None:
        return None
    with torch.device("meta"):  # names and shapes need no memory
        model = DynamicYolo(variant, router=named["step"] == "2")
    return compare_names(model, path)


def check_dynamic_detectors(path: Path, workshop: Workshop) -> Comparison:
    """Compare all that `compare_methods` does, and both paths of an image through each detector.

    Args:
        path: `dynamicdet.json`, with the arrays in the `.npz` beside it.
        workshop: for the rule.
    """
    content, arrays = read_json(path), read_arrays(path.with_suffix(".npz"))
    rule = MethodsRule(path.parent, workshop.rule)
    comparison = Comparison()
    compare_methods(comparison, rule, content, arrays)
    for name in VARIANTS:
        compare_detector(comparison, rule, name, content[f"forward_{name}-step2"], arrays)
    comparison.not_compared = [name for name in arrays if name not in comparison.compared]
    return comparison


def compare_detector(
    comparison: Comparison, rule: MethodsRule, name: str, recorded: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Compare what the router sees and says of an image, and what either detector finds in it."""
    model = DynamicYolo(VARIANTS[name]).eval()
    load_dynamic_weights(model, rule, name)
    image = torch.from_numpy(rule.module.dy_image(_IMAGE_PX))
    with torch.inference_mode():
        maps = model.first_maps(image)
        means = pooled(model.routed_maps(maps))
        comparison.within(f"{name}-step2_router_pooled", means, arrays[f"{name}-step2_router_pooled"], _POOLED)
        for path, logits in (("easy", model.easy_logits(maps)), ("hard", model.hard_logits(image, maps))):
            prefix = f"{name}-step2_{path}"
            for level, of_level in enumerate(logits):
                if f"{prefix}_raw{level}" in arrays:
                    comparison.within(f"{prefix}_raw{level}", of_level, arrays[f"{prefix}_raw{level}"], _LOGITS)
            boxes = model.decode(logits)
            rows = f"{prefix}_pred_every_{_EVERY}st"
            comparison.within(rows, boxes[:, ::_EVERY], arrays[rows], _BOXES_PX)
            # The sum of many coordinates with that noise each.
            noise_px = _BOXES_PX * float(boxes[..., :4].numel()) ** 0.5
            comparison.within(f"{prefix} pred_sum", boxes.double().sum(), recorded[path]["pred_sum"], noise_px)
            comparison.equal(f"{prefix} pred_shape", boxes.shape, recorded[path]["pred_shape"])
        # The score is the recorded one up to rounding; just above it the image is hard.
        score = model(image, 0.0).scores
        comparison.within(f"{name} score of the image", score, recorded["score"], _POOLED)
        above = torch.nextafter(score, torch.ones(1))
        for path, threshold in (("easy", score), ("hard", above)):
            comparison.equal(f"{name} path {path}", model(image, threshold).easy, [path == "easy"])
