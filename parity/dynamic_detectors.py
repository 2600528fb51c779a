"""Recordings of the 2D detectors of DynamicDet: names and shapes of weights, what comes of an image, losses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from detection.image_batch import ImageTargets
from detection.models.box_overlap import corners_from_center_size
from detection.models.matching.sim_ota import Candidates, SimOTAAssigner
from detection.models.routing.router import pooled
from detection.models.yolo import VARIANTS, DynamicYolo, YoloLoss
from detection.models.yolo.assignment import AnchorAssigner
from parity.comparison import Array, Comparison
from parity.dynamic import compare_methods, load_dynamic_weights
from parity.keys import compare_names
from parity.methods_rule import MethodsRule
from parity.models import Workshop
from parity.recording import read_arrays, read_json

_KEYS: Final = re.compile(r"keys_(?P<model>dy_yolov7\w*)_step(?P<step>[12])")
_IMAGE_PX: Final = 128
_EVERY: Final = 41  # rows of the boxes are recorded

# Ten times the noise that the recordings state.
_POOLED: Final = 2e-5
_LOGITS: Final = 1.7e-3
_BOXES_PX: Final = 1e-2
_LOSS: Final = 8e-6  # relative to the whole loss of a head


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
        recorded = content[f"forward_{name}-step2"]
        compare_detector(comparison, rule, name, recorded, arrays, workshop.device)
        compare_losses(comparison, rule, name, recorded["train"], workshop.device)
    comparison.not_compared = [name for name in arrays if name not in comparison.compared]
    return comparison


def compare_detector(
    comparison: Comparison,
    rule: MethodsRule,
    name: str,
    recorded: Mapping[str, Any],
    arrays: Mapping[str, Array],
    device: torch.device,
) -> None:
    """Compare what the router sees and says of an image, and what either detector finds in it."""
    model = DynamicYolo(VARIANTS[name]).eval()
    load_dynamic_weights(model, rule, name)
    model.to(device)
    image = torch.from_numpy(rule.module.dy_image(_IMAGE_PX)).to(device)
    with torch.no_grad():
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
        above = torch.nextafter(score, torch.ones_like(score))
        for path, threshold in (("easy", score), ("hard", above)):
            comparison.equal(f"{name} path {path}", model(image, threshold).easy, [path == "easy"])


class _RecordedMatcher(SimOTAAssigner):
    """Matches by the recorded cost, which is no number where a probability has been rounded to 0 or 1.

    Such pairs are taken last, and where objects compete for a cell first, whatever else they cost. That takes logits of
    17 and more, which the second and third recorded image have. The same cost without this is the base class's.
    """

    def _cost(self, image: Candidates) -> Tensor:
        wanted = one_hot(image.labels, image.scores.shape[1]).float().expand(*image.overlaps.shape, -1)
        logits = image.scores.sqrt().logit()[:, None].expand_as(wanted)
        entropy = binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1)
        return self.class_weight * entropy - self.iou_weight * (image.overlaps + 1e-8).log()


def compare_losses(
    comparison: Comparison,
    rule: MethodsRule,
    name: str,
    iterations: Sequence[Mapping[str, Any]],
    device: torch.device,
) -> None:
    """Compare what both detectors lose in the recorded images, which normalize by their running statistics."""
    model = DynamicYolo(VARIANTS[name]).eval()
    load_dynamic_weights(model, rule, name)
    model.to(device)
    criterion = YoloLoss(assigner=AnchorAssigner(matcher=_RecordedMatcher()), reference_batch=1)
    for index, recorded in enumerate(iterations):
        image = torch.from_numpy(rule.module.dy_image(_IMAGE_PX, index)).to(device)
        targets = _recorded_targets(rule, index).to(device)
        with torch.no_grad():
            maps = model.first_maps(image)
            for head, logits in (("head1", model.easy_logits(maps)), ("head2", model.hard_logits(image, maps))):
                of_head = f"{head}_box_obj_cls_total"
                losses = [float(loss) for loss in criterion.losses(model.prediction, logits, targets).values()]
                tolerance = _LOSS * recorded[of_head][-1]
                comparison.within(
                    f"{name} train {index} {of_head}", [*losses, sum(losses)], recorded[of_head], tolerance
                )


def _recorded_targets(rule: MethodsRule, index: int) -> ImageTargets:
    image, label, *box = torch.from_numpy(rule.module.dy_targets(index)).unbind(1)
    boxes_px = corners_from_center_size(_IMAGE_PX * torch.stack(box, dim=1))
    return ImageTargets(image.long(), boxes_px, label.long())
