"""Frames a second, latency and memory of a detector, eager and compiled, in every precision."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch

from detection.running.benchmark import SpeedMeasurement, made_stream, measure
from detection.running.compilation import DTYPES, compile_for_inference, for_inference
from gpu_check.cases import TRAINED, case_of
from gpu_check.parts import Settings
from gpu_check.record import Record
from parity.arithmetic import tensor_float32

_TARGET_RATIO, _TARGET_FPS = 4.0, 400.0  # of the model with 428 queries, on one H100 or H200


@dataclass(frozen=True)
class Way:
    """A way of running a detector.

    Attributes:
        dtype: a name in `DTYPES`.
        compiled: whether it is compiled.
        tf32: whether float32 products may be rounded.
    """

    dtype: str
    compiled: bool = False
    tf32: bool = False

    def __str__(self) -> str:
        precision = "TF32" if self.tf32 else self.dtype
        return f"{'compiled' if self.compiled else 'eager'} {precision}"


_BASELINE: Final = Way("float32")
_FASTEST: Final = Way("bfloat16", compiled=True)
_USUAL: Final = (_BASELINE, _FASTEST, Way("bfloat16"))
_FURTHER: Final = (  # of the first model only: compiling takes its time
    Way("float32", tf32=True),
    Way("float32", compiled=True),
    Way("float32", compiled=True, tf32=True),
    Way("float16"),
    Way("float16", compiled=True),
)


def run(settings: Settings, record: Record, subject: str) -> None:
    """Time a detector in every way, each beside eager float32 of the same run."""
    case = case_of(subject, settings.on_gpu)
    device = torch.device(settings.device)
    model = case.model().to(device).eval()
    warm_up, frames = _lengths(settings)
    stream = made_stream(warm_up + frames, case.cameras, case.image_size, device)
    baseline: SpeedMeasurement | None = None
    for way in _ways(settings, subject):
        started_s = time.perf_counter()
        variant = _variant(model, way, device)
        with tensor_float32(way.tf32) if settings.on_gpu else nullcontext():
            measured = measure(str(way), variant, stream, warm_up, DTYPES[way.dtype])
        begun_s = time.perf_counter() - started_s - measured.latencies_s.sum()
        baseline = baseline or measured
        record.row(**_columns(measured, baseline, begun_s))
        if subject == TRAINED and way == _FASTEST and settings.on_gpu:
            record.note(_beside_targets(measured, baseline))
        del variant
        torch.compiler.reset()


def _variant(model: Any, way: Way, device: torch.device) -> Any:
    """The network as it runs in a way; its precision is that of `measure`."""
    if way == _BASELINE:
        return model
    variant = for_inference(model, device, DTYPES[way.dtype], compiled=way.compiled)
    if way.compiled:
        compile_for_inference(variant)
    return variant


def _lengths(settings: Settings) -> tuple[int, int]:
    """Frames of the warm-up, and those that are timed."""
    if not settings.on_gpu:
        return 3, 5
    return (10, 50) if settings.quick else (20, 200)


def _ways(settings: Settings, subject: str) -> Iterator[Way]:
    if settings.quick:
        yield from (_BASELINE, _FASTEST)
        return
    yield from _USUAL
    if subject == TRAINED:
        yield from (way for way in _FURTHER if settings.on_gpu or not (way.tf32 or way.dtype == "float16"))


def _columns(measured: SpeedMeasurement, baseline: SpeedMeasurement, begun_s: float) -> dict[str, Any]:
    return {
        "way": measured.name,
        "frames_per_second": round(measured.frames_per_second, 2),
        "ratio": round(measured.frames_per_second / baseline.frames_per_second, 2),
        "median_ms": round(float(torch.tensor(measured.latencies_s).median()) * 1e3, 2),
        "longest_ms": round(float(measured.latencies_s.max()) * 1e3, 2),
        "peak_mb": round(measured.peak_memory_bytes / 1e6),
        "scores_apart": float(f"{measured.largest_score_difference(baseline):.1g}"),
        "warm_up_s": round(begun_s, 1),
    }


def _beside_targets(measured: SpeedMeasurement, baseline: SpeedMeasurement) -> str:
    ratio = measured.frames_per_second / baseline.frames_per_second
    return (
        f"{measured.name}: {ratio:.2f} times eager float32, wanted {_TARGET_RATIO:g}; "
        f"{measured.frames_per_second:.0f} frames a second, wanted {_TARGET_FPS:g} on an H100 or H200"
    )
