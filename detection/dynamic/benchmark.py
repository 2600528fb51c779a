"""Accuracy, tracking, speed and arithmetic of a dynamic detector at every threshold, on the data set of its config.

Frames per second run from images in memory to boxes; reading images is not part of them. GFLOPs count convolutions and
matrix products, two a multiply-add: those of a frame of each path, weighed by the share of frames that took it. The
dashed line of the picture is what mixing the two fixed detectors, all easy and all hard, would give.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config, DictAction
from torch import Tensor, nn
from torch.utils.data import DataLoader

from detection.benchmark import count_multiply_adds
from detection.config import read_config
from detection.dynamic.operating_point import read_thresholds, set_threshold
from detection.dynamic.thresholds import HARD_SHARES
from detection.frames import FrameBatch
from detection.inference import Detector, evaluate
from detection.loading import batches, build_loader
from evaluation import evaluate_tracking
from evaluation.table import text_table
from scenes import Boxes3D, InputError, Results, Scene, read_scenes
from scenes.files import atomic_path, write_atomically

Track = Callable[[Results, list[Scene]], Results]

_PANELS = {"mean_ap": "mAP", "amota": "AMOTA", "identity_switches": "identity switches"}


@dataclass(frozen=True)
class Measurement:
    """One run over the data set.

    Attributes:
        routing: `router`, or `random <seed>`.
        wanted_share: of hard frames.
        hard_share: that it had.
        threshold: at which it ran.
        mean_ap, nd_score, amota, identity_switches: the official metrics.
        frames_per_second: on average.
        gflops: of a frame on average.
    """

    routing: str
    wanted_share: float
    hard_share: float
    threshold: float
    mean_ap: float
    nd_score: float
    amota: float
    identity_switches: float
    frames_per_second: float
    gflops: float


@dataclass(frozen=True)
class Arithmetic:
    """GFLOPs of a frame on each path, and of the router."""

    easy: float
    hard: float
    router: float

    def at(self, hard_share: float, threshold: float) -> float:
        """GFLOPs of a frame on average; the router is not asked at the thresholds 0 and 1."""
        mixed = (1 - hard_share) * self.easy + hard_share * self.hard
        return mixed + (self.router if 0 < threshold < 1 else 0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--config", type=Path, required=True, help="configs/dynamic/*_step2.py")
    parser.add_argument("--checkpoint", type=Path, required=True, help="of step 2, with its thresholds beside it")
    parser.add_argument("--shares", type=float, nargs="+", default=HARD_SHARES, help="of hard frames; default: 0 to 1")
    parser.add_argument("--random-seeds", type=int, default=0, help="runs of random routing beside it, at every share")
    parser.add_argument("--warm-up", type=int, default=3, help="frames of each run that are not timed")
    parser.add_argument("--out", type=Path, default=Path("out/benchmark/dynamic"), help="default: %(default)s")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help="values by dotted key"
    )


def run(arguments: argparse.Namespace, track: Track) -> None:
    """Measure every share, print a table, write it with a picture.

    Args:
        arguments: see `add_arguments`.
        track: from detections of scenes to tracks.
    """
    config = read_config(arguments.config, arguments.cfg_options)
    set_threshold(config, 0.0)
    thresholds = read_thresholds(arguments.checkpoint)
    if outside := [share for share in arguments.shares if not 0 <= share <= 1]:
        raise InputError(f"--shares {outside[0]:g}: expected numbers from 0 to 1")
    bench = _Bench(config, arguments.checkpoint, track, arguments.warm_up)
    measured = []
    for share in arguments.shares:
        measured.append(bench.measure("router", share, thresholds.at(share)))
        if 0 < share < 1:
            for seed in range(arguments.random_seeds):
                with bench.random_routing(seed):
                    measured.append(bench.measure(f"random {seed}", share, share))
    print(_table(measured, bench.arithmetic))
    content = {"arithmetic": asdict(bench.arithmetic), "runs": [_without_nan(asdict(one)) for one in measured]}
    write_atomically(arguments.out / "dynamic.json", json.dumps(content, indent=2).encode())
    write_picture(measured, arguments.out / "dynamic.png")
    print(f"-> {arguments.out / 'dynamic.json'}, {arguments.out / 'dynamic.png'}")


class _Bench:
    """A detector on its data set, run at one threshold after the other."""

    def __init__(self, config: Config, checkpoint: Path, track: Track, warm_up: int) -> None:
        self._config = config
        self._track = track
        self._warm_up = warm_up
        self._detector = Detector.from_config(config, checkpoint)
        self._loader = build_loader(config["val_dataloader"])
        evaluator = config["val_evaluator"]
        self._root = (evaluator["dataroot"], evaluator["version"], evaluator["split"])
        self._scenes = list(read_scenes(*self._root))
        self.arithmetic = _arithmetic(self._detector.model, self._loader)

    def measure(self, routing: str, share: float, threshold: float) -> Measurement:
        """One run over the data set."""
        model = self._detector.model
        model.threshold = threshold
        self._detector.reset()
        found: dict[str, Boxes3D] = {}
        took_hard, latencies_s = 0, []
        for batch in batches(self._loader):
            frame: FrameBatch = batch["frames"][-1]
            started_s = time.perf_counter()
            found.update(zip(frame.sample_tokens, self._detector.step(frame), strict=True))  # waits for the device
            latencies_s.append(time.perf_counter() - started_s)
            took_hard += int(model.last_routing.hard.sum())
        if len(latencies_s) <= self._warm_up:
            raise InputError(f"--warm-up {self._warm_up}: the data set has {len(latencies_s)} frames")
        results = Results(found)
        detection = evaluate(self._config, results).summary
        tracking = evaluate_tracking(self._track(results, self._scenes), *self._root).summary
        timed_s = latencies_s[self._warm_up :]
        hard_share = took_hard / len(found)
        return Measurement(
            routing=routing,
            wanted_share=share,
            hard_share=hard_share,
            threshold=threshold,
            mean_ap=float(detection["mean_ap"]),
            nd_score=float(detection["nd_score"]),
            amota=float(tracking["amota"]),
            identity_switches=float(tracking["ids"]),
            frames_per_second=len(timed_s) / sum(timed_s),
            gflops=self.arithmetic.at(hard_share, threshold),
        )

    @contextmanager
    def random_routing(self, seed: int) -> Iterator[None]:
        """Inside the block, chance takes the place of the router, frame by frame."""
        model = self._detector.model
        router, hysteresis = model.router, model.hysteresis
        model.router, model.hysteresis = _RandomRouter(seed), 0.0
        try:
            yield
        finally:
            model.router, model.hysteresis = router, hysteresis


class _RandomRouter(nn.Module):
    """Scores that have nothing to do with the frame."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self, features: Sequence[Tensor], summary: Tensor) -> Tensor:
        """(B,) scores, evenly spread over [0, 1)."""
        return torch.rand(len(summary), generator=self._generator).to(summary.device)


def _arithmetic(model: Any, loader: DataLoader[Any]) -> Arithmetic:
    """GFLOPs of the second frame of a data set."""
    window = [batch["frames"][-1] for batch, _ in zip(batches(loader), range(2), strict=False)]
    stream = model.data_preprocessor({"frames": window})["frames"]
    counted: dict[float, dict[str, int]] = {}
    for threshold in (0.0, 0.5, 1.0):
        model.memory.reset()
        model.threshold = threshold
        counted[threshold] = count_multiply_adds(model, stream)
    in_all = {threshold: 2e-9 * counts["all"] for threshold, counts in counted.items()}
    return Arithmetic(easy=in_all[0.0], hard=in_all[1.0], router=2e-9 * counted[0.5]["router"])


def write_picture(measured: Sequence[Measurement], path: Path) -> None:
    """Draw accuracy, AMOTA and identity switches over GFLOPs."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    routed = [one for one in measured if one.routing == "router"]
    by_chance = [one for one in measured if one.routing != "router"]
    for axes, (metric, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        _draw_panel(axes, routed, by_chance, metric)
        axes.set(xlabel="GFLOPs a frame", title=title)
        axes.grid(color="#e5e5e5", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _draw_panel(axes: Axes, routed: Sequence[Measurement], by_chance: Sequence[Measurement], metric: str) -> None:
    ends = [one for one in routed if one.threshold in (0, 1)]
    axes.plot(*_points(ends, metric), color="#999999", linestyle="--", label="the fixed detectors, mixed")
    if by_chance:
        axes.plot(*_points(by_chance, metric), "x", color="#d62728", markersize=5, label="random routing")
    axes.plot(*_points(routed, metric), color="#1f77b4", marker="o", markersize=4, label="router")


def _points(measured: Sequence[Measurement], metric: str) -> tuple[list[float], list[float]]:
    return [one.gflops for one in measured], [getattr(one, metric) for one in measured]


def _table(measured: Sequence[Measurement], arithmetic: Arithmetic) -> str:
    header = ["routing", "wanted", "hard", "threshold", "mAP", "NDS", "AMOTA", "IDS", "frames/s", "GFLOPs"]
    rows = [
        [
            one.routing,
            f"{one.wanted_share:.0%}",
            f"{one.hard_share:.0%}",
            f"{one.threshold:.3f}",
            f"{one.mean_ap:.3f}",
            f"{one.nd_score:.3f}",
            f"{one.amota:.3f}",
            f"{one.identity_switches:.0f}",
            f"{one.frames_per_second:.2f}",
            f"{one.gflops:.2f}",
        ]
        for one in measured
    ]
    costs = ", ".join(f"{part} {gflops:.4g}" for part, gflops in asdict(arithmetic).items())
    return f"{text_table(header, rows)}\nGFLOPs of a frame: {costs}"


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN, which AMOTA is where no class has an annotation."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
