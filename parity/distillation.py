"""Recordings of distillation: a RayDN of ResNet-18 beside one of ResNet-50, in the published setting and in others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch import Tensor

from detection.distillation.detector import DistilledDetector
from detection.distillation.record import HeadRecord, recorded
from detection.distillation.terms import BEVReceptiveField
from detection.distillation.terms.teacher_boxes import best_boxes
from detection.registry import MODELS
from parity import tolerances
from parity.comparison import Array, Comparison
from parity.distillation_losses import WITHOUT_PROGRESS
from parity.matches import compare_matches
from parity.methods_rule import MethodsRule
from parity.models import Workshop, make_deterministic
from parity.recording import read_arrays, read_json
from parity.tracing import FrameTrace, traced

_STUDENT: Final = "raydn_r18_704_bs2_seq_428q_nui_24e"
_TEACHER: Final = "raydn_r50_704_bs2_seq_428q_nui_60e"
_AS_RECORDED: Final = """
_base_ = {base!r}
train_dataloader = dict(_delete_=True)  # the recorded images are smaller than the released ones
model = dict(pts_bbox_head=dict(denoising=dict(published=True)))
"""
_SEQUENCE: Final = "A"
_THINNED: Final = 8  # of the two finest levels every so manieth channel is recorded
_KL: Final = dict(type="BalancedKL", published=True)
_WITHOUT_PROGRESS: Final = dict(**_KL, **WITHOUT_PROGRESS)
_PYRAMID: Final[dict[str, Any]] = dict(level_weights=(1.0, 1.0, 1.0, 0.1))
_FPN: Final = dict(type="NeckFeatures", **_PYRAMID)
_CORRELATION: Final = dict(type="QueryFeatureCorrelation", published=True, **_PYRAMID)
_TEMPERED: Final = dict(**_WITHOUT_PROGRESS, temperature=2.0)
_FADING: Final = dict(type="LinearSchedule", start=WITHOUT_PROGRESS["weight"], end=0.0)  # multiplied by alpha
_TERMS: Final[Mapping[str, dict[str, Any]]] = {
    "bkl_fpn": dict(**_FPN, loss=dict(**_KL, weight=0.7)),
    "bkl_tfpn": dict(type="PositionEncodedFeatures", loss=_TEMPERED, **_PYRAMID),
    "bkl_attn": dict(**_CORRELATION, loss=_TEMPERED),
    "l2_attn": dict(**_CORRELATION, loss=dict(type="FeatureL2", weight=0.1, published=True)),
    "bkl_bevattn": dict(type="BEVReceptiveField", published=True, loss={**_WITHOUT_PROGRESS, "weight": _FADING}),
}
_TERM: Final = "bkl_fpn"
_NO_PROGRESS: Final = "no_progress"
_RELEASED: Final = {_TERM: _TERMS[_TERM], _NO_PROGRESS: dict(**_FPN, loss=_WITHOUT_PROGRESS)}
_SMALLEST_LOSS: Final = "fpn_3"
_UNDEFINED: Final = "diff_dim"  # an option of the published code that is not described with the recording
_ADAPTERS: Final = (("s", "student_adapters"), ("t", "teacher_adapters"))


@dataclass(frozen=True, eq=False)
class _Iteration:
    """What one iteration led to."""

    losses: dict[str, Tensor]
    student: HeadRecord
    teacher: HeadRecord
    trace: FrameTrace


def check_distillation(path: Path, workshop: Workshop) -> Comparison:
    """Compare iterations of the released configuration: losses, gradients, matches, feature maps, predictions.

    Args:
        path: `harmo_distill_r50_r18.json`, with the arrays in the `.npz` beside it.
        workshop: for configs and rule.
    """
    content, arrays = read_json(path), read_arrays(path.with_suffix(".npz"))
    rule = MethodsRule(path.parent, workshop.rule)
    comparison = Comparison()
    entries = _iterations_in(content)
    comparison.not_compared += [_UNDEFINED] if entries.pop(_UNDEFINED, None) else []
    in_a_row = [key for key in entries if key.startswith("frame")]
    detector = _detector(_RELEASED, workshop, rule)
    iterations = []
    with rule.recorded_numbers():
        for number, key in enumerate(in_a_row):
            iterations.append(_iteration(detector, workshop, number, entries[key]))
    for key, done in zip(in_a_row, iterations, strict=True):
        detector.zero_grad()
        losses = [loss for name, loss in done.losses.items() if _NO_PROGRESS not in name]
        torch.autograd.backward(torch.stack(losses).sum())
        _compare_losses(comparison, key, done, entries[key])
        _compare_gradients(comparison, key, detector, entries[key])
        _compare_arrays(comparison, key, done, arrays)
    for key in entries.keys() - set(in_a_row):  # the first frame again, with other weights of the terms
        _compare_losses(comparison, key, _reweighed(detector, iterations[0], key, entries[key]), entries[key])
    for key, entry in entries.items():
        done = iterations[in_a_row.index(key) if key in in_a_row else 0]
        compare_matches(comparison, f"{key} ", detector.student, [done.trace], entry)
    return comparison


def check_distillation_branches(path: Path, workshop: Workshop) -> Comparison:
    """Compare what the released configuration switches off, a branch at a time, and the teacher's boxes.

    Args:
        path: `harmo_branches.json`, with the arrays in the `.npz` beside it.
        workshop: for configs and rule.
    """
    content, arrays = read_json(path), read_arrays(path.with_suffix(".npz"))
    rule = MethodsRule(path.parent, workshop.rule)
    comparison = Comparison()
    entries = _iterations_in(content)
    for with_boxes in (False, True):
        branches = {key: entry for key, entry in entries.items() if key.startswith("dn") == with_boxes}
        if not branches:
            continue
        extra = {"boxes": dict(type="TeacherBoxes", published=True)} if with_boxes else {}
        detector = _detector({**_TERMS, **extra}, workshop, rule)
        with torch.no_grad(), rule.recorded_numbers():
            done = _iteration(detector, workshop, 0, next(iter(branches.values())))
        denoising = done.student.outputs.denoising
        for key, entry in branches.items():
            _compare_losses(comparison, key, _reweighed(detector, done, key, entry), entry)
            compare_matches(comparison, f"{key} ", detector.student, [done.trace], entry)
            if with_boxes and denoising is not None:
                comparison.equal(f"{key}_labels", denoising.labels, arrays[f"{key}_labels"])
                comparison.within(f"{key}_bboxes", denoising.boxes, arrays[f"{key}_bboxes"], tolerances.BOXES)
    for key, entry in content.get("pseudo_labels", {}).items():
        _compare_teacher_boxes(comparison, rule, key, entry)
    return comparison


def _iterations_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a recording holds of iterations, beside other things."""
    return {key: entry for key, entry in content.items() if isinstance(entry, dict) and "losses" in entry}


def _detector(terms: Mapping[str, dict[str, Any]], workshop: Workshop, rule: MethodsRule) -> DistilledDetector:
    """Student and teacher as they were recorded."""
    with _recorded_configs(workshop) as (student, teacher):
        detector: DistilledDetector = MODELS.build(
            dict(
                type="DistilledDetector",
                student=str(student),
                teacher=str(teacher),
                teacher_checkpoint="",
                terms=dict(terms),
                mask_images=False,
            )
        )
    workshop.rule.load_weights(detector.teacher)
    rule.load_student_weights(detector.student)
    for one in (detector.student, detector.teacher):
        make_deterministic(one)
    for term in detector.terms.values():
        if isinstance(term, BEVReceptiveField):
            _set_adapter_biases(term, rule)
    detector.to(workshop.device).train()
    return detector


@contextmanager
def _recorded_configs(workshop: Workshop) -> Iterator[list[Path]]:
    """Config files of student and teacher with the changes of the recording."""
    with TemporaryDirectory() as folder:
        paths = []
        for name in (_STUDENT, _TEACHER):
            path = Path(folder, f"{name}.py")
            path.write_text(_AS_RECORDED.format(base=str(workshop.path_of(name))), encoding="utf-8")
            paths.append(path)
        yield paths


def _set_adapter_biases(term: BEVReceptiveField, rule: MethodsRule) -> None:
    for side, adapters in _ADAPTERS:
        for index, adapter in enumerate(getattr(term, adapters)):
            name = f"loss_bkl_bevattn_{index}.adapter_layer_{side}.1.bias"
            bias = rule.module.layer_weight(name, tuple(adapter.bias.shape), "distill_losses")
            adapter.bias.data = torch.from_numpy(bias)


def _iteration(detector: DistilledDetector, workshop: Workshop, number: int, entry: Mapping[str, Any]) -> _Iteration:
    """The student's iteration over frame `number`."""
    detector.progress = 1 - entry["alpha"]
    frame = workshop.frame(_SEQUENCE, number)
    with (
        traced(detector.student) as traces,
        recorded(detector.student) as student,
        recorded(detector.teacher) as teacher,
    ):
        losses = detector([frame], mode="loss")
    assert isinstance(losses, dict), "training gives losses"
    return _Iteration(losses, student[0], teacher[0], traces[0])


def _reweighed(detector: DistilledDetector, done: _Iteration, key: str, entry: Mapping[str, Any]) -> _Iteration:
    """The same iteration at another progress of the training, or without any."""
    detector.progress = 1 - entry["alpha"]
    with torch.no_grad():
        distilled = detector.distilled(done.student, done.teacher)
    if key == _NO_PROGRESS:
        distilled = {name.replace(_NO_PROGRESS, _TERM): loss for name, loss in distilled.items() if key in name}
    return replace(done, losses={**done.losses, **distilled})


def _compare_losses(comparison: Comparison, key: str, done: _Iteration, entry: Mapping[str, Any]) -> None:
    """Compare the recorded losses; other terms may have run beside them."""
    for name, wanted in entry["losses"].items():
        found = done.losses.get(name.replace("_layer", "_"))
        if found is None:
            comparison.lacks(f"{key} {name}", "is missing")
            continue
        comparison.within(f"{key} {name}", found.item(), wanted, _loss_tolerance(name) * abs(wanted))


def _loss_tolerance(name: str) -> float:
    if "bevattn" in name:
        return tolerances.UNORDERED_BEV_LOSS
    return tolerances.SMALLEST_DISTILLATION_LOSS if name.endswith(_SMALLEST_LOSS) else tolerances.LOSS


def _compare_gradients(comparison: Comparison, key: str, detector: DistilledDetector, entry: Mapping[str, Any]) -> None:
    """Compare the norms of the gradients; of those that are tiny beside the largest only that they are."""
    norms: Mapping[str, float] = entry.get("grad_norms", {})
    floor = tolerances.GRADIENT_FLOOR * max(norms.values(), default=0.0)
    gradients = {name: parameter.grad for name, parameter in detector.named_parameters()}
    for name, norm in norms.items():
        gradient = gradients.get(name)
        if gradient is None:
            comparison.lacks(f"{key} gradient of {name}", "is missing")
            continue
        tolerance = tolerances.GRADIENT_NORM * norm if norm > floor else floor
        comparison.within(f"{key} gradient of {name}", gradient.norm().item(), norm, tolerance)


def _compare_arrays(comparison: Comparison, key: str, done: _Iteration, arrays: Mapping[str, Array]) -> None:
    """Compare the maps that the terms compare, and the predictions of the last decoder layer."""
    for owner, record in (("student", done.student), ("teacher", done.teacher)):
        predictions = record.outputs.predictions
        values = {
            f"{key}_{owner}_cls_last": (predictions.logits[-1], tolerances.LOGITS),
            f"{key}_{owner}_box_last": (predictions.codes[-1], tolerances.BOXES),
        }
        for level, maps in record.features.items():
            step = _THINNED if level < 2 else 1
            values[f"{key}_{owner}_fpn{level}"] = (maps.flatten(0, 1)[:, ::step], tolerances.FEATURES)
        for name, (value, tolerance) in values.items():
            if name in arrays:
                comparison.within(name, value, arrays[name], tolerance)


def _compare_teacher_boxes(comparison: Comparison, rule: MethodsRule, key: str, entry: Mapping[str, Any]) -> None:
    """Compare which predictions of a teacher become targets of the student's denoising queries."""
    logits, codes = rule.teacher_predictions(int(key.removeprefix("batch")))
    for stream, count in enumerate(entry["n"]):
        boxes, labels = best_boxes(logits[:, stream], codes[:, stream], count, published=True)
        comparison.equal(f"pseudo_labels {key} labels", labels, entry["labels"][stream])
        comparison.within(f"pseudo_labels {key} boxes", boxes, entry["boxes"][stream], tolerances.BOXES)
