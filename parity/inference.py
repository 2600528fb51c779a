"""Recordings of inference: a detector sees the frames of one or several sequences, one after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from detection.frames import FrameBatch
from detection.models.detectors import MultiViewDetector
from detection.models.heads import FocalHead
from parity.comparison import Array, Comparison, array_of
from parity.decoded_boxes import compare_detections
from parity.frame_arrays import frame_arrays, image_arrays, location, tolerance_of
from parity.models import Workshop, model_of
from parity.ranking import compare_ranking, compare_remembered, remembered_as_recorded
from parity.recording import by_prefix, read_arrays
from parity.tracing import FrameTrace, traced
from scenes import InputError

_SEQUENCES: Final = re.compile(r"b_(?P<model>\w+)_(?:seq|batch)(?P<sequences>[A-Z]+)")
_IMAGE_HEAD: Final = re.compile(r"b_(?P<model>\w+)_roi_eval_(?P<sequence>[A-Z])(?P<number>\d+)")
_DECODED: Final = re.compile(r"(b\d+_)?(decoded_(bboxes|scores|labels)|result_boxes)")
_RANKING: Final = "post_update_topk_indexes"


def check_sequence(path: Path, workshop: Workshop) -> Comparison:
    """Compare everything recorded of the frames of a sequence, or of several as one batch.

    Args:
        path: such as `b_r50_428q_seqA.npz`.
        workshop: makes the model.
    """
    named = _parsed(_SEQUENCES, path)
    groups = by_prefix(read_arrays(path))
    detector = workshop.recorded(model_of(path, named["model"])).eval()
    comparison = Comparison()
    for prefix, arrays in groups.items():
        if re.fullmatch(r"f\d+", prefix):
            frame = workshop.frame(named["sequences"], int(prefix[1:]))
            _check_frame(comparison, f"{prefix}_", arrays, detector, frame)
        else:
            comparison.not_compared += [f"{prefix}_{name}" for name in arrays]
    return comparison


def check_image_head(path: Path, workshop: Workshop) -> Comparison:
    """Compare what the 2D head says of one frame, which inference itself does not ask it.

    Args:
        path: such as `b_r50_428q_roi_eval_A0.npz`.
        workshop: makes the model.
    """
    named = _parsed(_IMAGE_HEAD, path)
    detector = workshop.recorded(model_of(path, named["model"])).eval()
    head = detector.img_roi_head
    if not isinstance(head, FocalHead):
        raise InputError(f"{path}: the config of this model has no focal head")
    frame = workshop.frame(named["sequence"], int(named["number"]))
    with torch.no_grad():
        features = detector.extract_features(frame.images)
        predictions = head(features, frame)
    made = image_arrays(predictions)
    made["img_feats"] = array_of(features[0])
    made["location"] = array_of(location(features[0], frame.image_size_px))
    scores = head.token_scores(predictions, len(frame.images))
    comparison = Comparison()
    for name, recorded in read_arrays(path).items():
        if name == "topk_indexes":
            ranking = scores.topk(recorded.shape[1], dim=1).indices
            compare_ranking(comparison, name, scores, ranking, recorded[..., 0])
        elif name in made:
            comparison.within(name, made[name], recorded, tolerance_of(name))
        else:
            comparison.not_compared.append(name)
    return comparison


def _parsed(pattern: re.Pattern[str], path: Path) -> re.Match[str]:
    named = pattern.fullmatch(path.stem)
    if named is None:
        raise InputError(f"{path}: its name does not say which model saw which sequence")
    return named


def _check_frame(
    comparison: Comparison, prefix: str, arrays: Mapping[str, Array], detector: MultiViewDetector, frame: FrameBatch
) -> None:
    """Compare one frame, with what came before it in memory."""
    ranking = arrays.get(_RANKING)
    with torch.no_grad(), remembered_as_recorded(detector.memory, ranking), traced(detector) as traces:
        detections = detector([frame], mode="predict")
    (trace,) = traces
    made = frame_arrays(trace)
    compare_remembered(comparison, f"{prefix}{_RANKING}", trace.outputs, ranking)
    for name, recorded in arrays.items():
        if name == "roi_topk_indexes":
            _compare_tokens(comparison, f"{prefix}{name}", detector, trace, recorded)
        elif name in made:
            comparison.within(f"{prefix}{name}", made[name], recorded, tolerance_of(name))
        elif not _DECODED.fullmatch(name) and name != _RANKING:
            comparison.not_compared.append(f"{prefix}{name}")
    for stream, found in enumerate(detections):
        infix = f"b{stream}_" if len(detections) > 1 else ""
        decoded = {name.removeprefix(infix): array for name, array in arrays.items() if name.startswith(infix)}
        compare_detections(comparison, f"{prefix}{infix}", found, decoded)


def _compare_tokens(
    comparison: Comparison, name: str, detector: MultiViewDetector, trace: FrameTrace, recorded: Array
) -> None:
    head = detector.img_roi_head
    if trace.image_predictions is None or trace.tokens is None or not isinstance(head, FocalHead):
        comparison.lacks(name, "no tokens were chosen")
        return
    scores = head.token_scores(trace.image_predictions, len(trace.frame.images))
    compare_ranking(comparison, name, scores, trace.tokens[..., 0], recorded[..., 0])
