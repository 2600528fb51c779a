"""Frames per second, latency, memory and arithmetic of a detector, on streams made for the purpose.

A frame is what a car shows: images of all cameras of one stream, batch 1, each frame continuing the one before, so
that the memory works as in use. Times run from the images in the device's memory to boxes; reading and resizing images
is not part of them. The network as it trains, in eager float32, is always measured first. What a `Detector` makes of it
in the precision that is asked for, and compiled if that is asked for, is compared with it: in speed, and in the scores
of the boxes. So are exported detectors, by ONNX Runtime.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from detection import models  # noqa: F401 - registers the networks
from detection.checkpoints import load_weights
from detection.config import read_config
from detection.deployment.detector import NodeFrame, OnnxDetector
from detection.frames import FrameBatch
from detection.registry import MODELS
from detection.running.compilation import (
    DTYPES,
    compile_for_inference,
    for_inference,
    inference_precision,
    set_gpu_arithmetic,
)
from detection.running.speed_options import add_speed_options
from scenes import InputError
from scenes.command import between, table_console

_KEY_FRAME_S = 0.5
_START_S = 1.5e9  # a time of today's size: arithmetic in float32 would show
_SPEED_MPS = 8.0
_FOCAL_OF_WIDTH = 0.8  # focal length as a share of the image's width, as of nuScenes' front cameras
_PERCENTILES = (50, 90, 99)
_IMAGES = 4  # of each camera, that frames show in turn


@dataclass(frozen=True)
class SpeedMeasurement:
    """How fast one way of running a detector is.

    Attributes:
        name: of the way, such as `compiled bfloat16`.
        latencies_s: of each frame after the warm-up.
        peak_memory_bytes: of the GPU; on a CPU of the whole process since its start.
        scores: of the boxes of each frame, the best first.
    """

    name: str
    latencies_s: NDArray[np.float64]
    peak_memory_bytes: int
    scores: tuple[Tensor, ...]

    @property
    def frames_per_second(self) -> float:
        """Frames a second on average."""
        return float(1 / self.latencies_s.mean())

    def largest_score_difference(self, other: SpeedMeasurement) -> float:
        """Over the boxes that both find in a frame, ranked by score."""
        pairs = zip(self.scores, other.scores, strict=True)
        ranked = [(one[: len(two)], two[: len(one)]) for one, two in pairs if len(one) and len(two)]
        return max((float((one - two).abs().max()) for one, two in ranked), default=0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--config", type=Path, required=True, help="configs/*/*.py")
    parser.add_argument("--checkpoint", help="weights; by default random ones, which cost the same time")
    parser.add_argument(
        "--image-size", type=int, action=between(1), nargs=2, default=[256, 704], metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--cameras", type=int, action=between(1), default=6)
    parser.add_argument("--frames", type=int, action=between(1), default=100, help="frames that are timed")
    parser.add_argument(
        "--warm-up", type=int, action=between(0), default=10, help="frames before them; compilation falls into these"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_speed_options(parser)
    parser.add_argument(
        "--onnx",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="exports of this model, to be measured beside it",
    )
    parser.add_argument("--flops", action="store_true", help="count multiply-adds, of the second frame")


def run(arguments: argparse.Namespace) -> None:
    """Print a table with the network as it trains and the one that runs as asked for."""
    device = _device(arguments.device)
    if device.type == "cuda":
        set_gpu_arithmetic(arguments.tf32, arguments.cudnn_benchmark)
    model = MODELS.build(read_config(arguments.config)["model"])
    if arguments.checkpoint:
        load_weights(model, arguments.checkpoint)
    model = model.to(device).eval()
    exported = [_exported(folder, arguments, device) for folder in arguments.onnx]
    stream = made_stream(arguments.warm_up + arguments.frames, arguments.cameras, arguments.image_size, device)
    console = table_console()
    console.print(f"{arguments.config.stem}: {_described(model, arguments, device)}")
    if arguments.flops:
        print_arithmetic(model, stream[:2], console)
    measured = [measure("eager float32", model, stream, arguments.warm_up)]
    dtype = DTYPES[arguments.dtype]
    form = for_inference(model, device, dtype)
    measured.append(measure(f"fused {arguments.dtype}", form, stream, arguments.warm_up, dtype))
    if arguments.compile:
        compiled = for_inference(model, device, dtype, compiled=True)
        compile_for_inference(compiled)
        measured.append(measure(f"compiled {arguments.dtype}", compiled, stream, arguments.warm_up, dtype))
    for folder, runtime in zip(arguments.onnx, exported, strict=True):
        name = f"ONNX Runtime {'int8' if runtime.description.int8 else 'float32'}, {folder.name}"
        measured.append(measure_exported(name, runtime, stream, arguments.warm_up))
    console.print(_table(measured, device))


def made_stream(count: int, cameras: int, image_size: Sequence[int], device: torch.device) -> list[FrameBatch]:
    """Frames of a car that drives straight on, with noise for images and cameras that look all around.

    A few images take turns, so that the stream itself takes little memory.

    Args:
        count: number of frames.
        cameras: number of cameras.
        image_size: height and width, pixels.
        device: of the tensors.
    """
    height, width = image_size
    image_from_camera = torch.eye(4)
    image_from_camera[0, 0] = image_from_camera[1, 1] = _FOCAL_OF_WIDTH * width
    image_from_camera[:2, 2] = torch.tensor([width / 2, height / 2])
    camera_from_lidar = torch.stack([_looking(2 * np.pi * index / cameras) for index in range(cameras)])
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randn(1, cameras, 3, height, width, generator=generator).to(device) for _ in range(min(count, _IMAGES))
    ]
    frames = []
    for index in range(count):
        global_from_lidar = torch.eye(4, dtype=torch.float64)
        global_from_lidar[1, 3] = _SPEED_MPS * _KEY_FRAME_S * index
        frame = FrameBatch(
            images=images[index % _IMAGES],
            image_from_lidar=(image_from_camera @ camera_from_lidar)[None],
            image_from_camera=image_from_camera.expand(1, cameras, 4, 4).contiguous(),
            camera_from_lidar=camera_from_lidar[None],
            global_from_lidar=global_from_lidar[None],
            timestamp_s=torch.tensor([_START_S + _KEY_FRAME_S * index], dtype=torch.float64),
            continues_scene=torch.tensor([index > 0]),
            scene_tokens=("made",),
            sample_tokens=(f"made-{index}",),
        )
        frames.append(frame.to(device))
    return frames


def measure(
    name: str, model: Any, stream: Sequence[FrameBatch], warm_up: int, dtype: torch.dtype = torch.float32
) -> SpeedMeasurement:
    """Time every frame of a stream from its images to its boxes, with the device idle before and after.

    Args:
        name: of the measurement.
        model: in evaluation mode, on the device of the stream.
        stream: frames of one scene.
        warm_up: frames at the beginning that do not count.
        dtype: one of `DTYPES`.
    """
    device = stream[0].images.device
    latencies_s, scores = [], []
    _reset_peak_memory(device)
    with torch.no_grad(), inference_precision(device, dtype):
        for frame in stream:
            _synchronize(device)
            started_s = time.perf_counter()
            (detections,) = model([frame])
            _synchronize(device)
            latencies_s.append(time.perf_counter() - started_s)
            scores.append(detections.scores.float().cpu())
    return SpeedMeasurement(name, np.array(latencies_s[warm_up:]), _peak_memory_bytes(device), tuple(scores[warm_up:]))


def measure_exported(name: str, runtime: OnnxDetector, stream: Sequence[FrameBatch], warm_up: int) -> SpeedMeasurement:
    """As `measure`, of an exported detector: from images in the memory of the CPU to boxes."""
    latencies_s, scores = [], []
    for frame in map(_node_frame, stream):
        started_s = time.perf_counter()
        (boxes,) = runtime.step(frame)
        latencies_s.append(time.perf_counter() - started_s)
        scores.append(torch.from_numpy(boxes.score).float())
    peak = _peak_memory_bytes(torch.device("cpu"))
    return SpeedMeasurement(name, np.array(latencies_s[warm_up:]), peak, tuple(scores[warm_up:]))


def _node_frame(frame: FrameBatch) -> NodeFrame:
    """A frame as an exported detector takes it, whose images are already what its network sees."""
    return NodeFrame(
        images=frame.images.cpu().numpy(),
        intrinsics=frame.image_from_camera.cpu().numpy(),
        base_from_image=frame.lidar_from_image.cpu().numpy(),
        global_from_base=frame.global_from_lidar.cpu().numpy(),
        timestamp_s=frame.timestamp_s.cpu().numpy(),
        continues_scene=frame.continues_scene.cpu().numpy(),
        sample_tokens=frame.sample_tokens,
    )


def _exported(folder: Path, arguments: argparse.Namespace, device: torch.device) -> OnnxDetector:
    """An export that takes the frames that are asked for.

    Raises:
        InputError: it takes others.
    """
    runtime = OnnxDetector.from_onnx(
        folder, providers=["CPUExecutionProvider"] if device.type == "cpu" else None, threads=torch.get_num_threads()
    )
    height, width = runtime.description.image_size_px
    if [height, width] != list(arguments.image_size) or len(runtime.description.cameras) != arguments.cameras:
        raise InputError(
            f"{folder}: takes {len(runtime.description.cameras)} images of {height}x{width}: say --cameras "
            f"{len(runtime.description.cameras)} --image-size {height} {width}"
        )
    return runtime


def count_multiply_adds(model: Any, stream: Sequence[FrameBatch]) -> dict[str, int]:
    """Multiply-adds of the last frame of a stream, in all and of each part of the detector; see `multiply_adds_of`."""
    with torch.no_grad():
        for frame in stream[:-1]:
            model([frame])
        return multiply_adds_of(model, lambda: model([stream[-1]]))


def multiply_adds_of(model: Any, run: Callable[[], object]) -> dict[str, int]:
    """Multiply-adds of one run of a model, in all and of each of its parts.

    Convolutions and matrix products are counted, those of attention too; norms and activations are not.
    """
    parts = [name for name, _ in model.named_children()]
    on_a_cpu = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    with FlopCounterMode(display=False, depth=2, custom_mapping=on_a_cpu) as counter:
        run()
    counts = counter.get_flop_counts()
    owner = type(model).__name__
    return {
        "all": counter.get_total_flops() // 2,
        **{name: sum(counts[f"{owner}.{name}"].values()) // 2 for name in parts if f"{owner}.{name}" in counts},
    }


def _attention_flops(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Of attention between tensors of these shapes; torch counts it on GPUs only."""
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def print_arithmetic(model: Any, stream: Sequence[FrameBatch], console: Console) -> None:
    """Print the multiply-adds of a frame."""
    table = Table(title="arithmetic of a frame; one multiply-add is two floating-point operations")
    for column in ("part", "10^9 multiply-adds", "GFLOPs"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, count in count_multiply_adds(model, stream).items():
        table.add_row(part, f"{count / 1e9:.2f}", f"{2 * count / 1e9:.2f}")
    console.print(table)


def _device(name: str) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device '{name}' is not there: {str(error).splitlines()[0]}") from error


def _looking(yaw_rad: float) -> Tensor:
    """camera_from_lidar (4, 4) of a camera at the lidar that looks along a direction in the plane, from y on."""
    sine, cosine = float(np.sin(yaw_rad)), float(np.cos(yaw_rad))
    matrix = torch.eye(4)
    matrix[:3, :3] = torch.tensor([[cosine, sine, 0.0], [0.0, 0.0, -1.0], [-sine, cosine, 0.0]])
    return matrix


def _described(model: Any, arguments: argparse.Namespace, device: torch.device) -> str:
    parameters = sum(weight.numel() for weight in model.parameters())
    height, width = arguments.image_size
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"{parameters / 1e6:.2f} million parameters; batch 1, {arguments.cameras} cameras, {height}x{width}; "
        f"{arguments.frames} frames after {arguments.warm_up} of warm-up; {where}, torch {torch.__version__}"
    )


def _table(measured: Sequence[SpeedMeasurement], device: torch.device) -> Table:
    table = Table(title="images to boxes: speed, latency, peak memory, largest difference of scores")
    memory = "GPU MB" if device.type == "cuda" else "RSS MB"
    columns = ("fps", "ratio", *(f"p{percent} ms" for percent in _PERCENTILES), memory, "score +-")
    table.add_column("model", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    baseline = measured[0]
    for one in measured:
        percentiles = np.percentile(one.latencies_s * 1e3, _PERCENTILES)
        table.add_row(
            one.name,
            f"{one.frames_per_second:.2f}",
            f"{one.frames_per_second / baseline.frames_per_second:.2f}",
            *(f"{latency_ms:.1f}" for latency_ms in percentiles),
            f"{one.peak_memory_bytes / 1e6:.0f}",
            "" if one is baseline else f"{one.largest_score_difference(baseline):.0e}",
        )
    return table


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # bytes on a Mac, kilobytes elsewhere
