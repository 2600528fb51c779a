"""Accuracy, tracking, speed and arithmetic of a dynamic detector at every threshold, on the data set of its config.

Frames, or single images, per second run from images in memory to boxes, one after the other; reading images is not
part of them. GFLOPs count convolutions and matrix products, two a multiply-add: those of a frame of each path, weighed
by the share of frames that took it. The dashed line of the picture is what mixing the two fixed detectors, all easy and
all hard, would give.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from detection.config import add_overrides, read_config
from detection.data.loading import batches
from detection.models.routing.budget import HardBudget
from detection.models.routing.thresholds import HARD_SHARES
from detection.running.benchmark import multiply_adds_of
from detection.running.operating_point import read_thresholds, set_threshold
from detection.running.scoring import Metric, Scoring, Track
from detection.running.tasks import Task, task_of
from evaluation.table import number, text_table
from scenes import InputError
from scenes.files import atomic_path, write_atomically


@dataclass(frozen=True)
class RoutedRun:
    """One run over the data set.

    Attributes:
        routing: `router`, or `random <seed>`.
        wanted_share: of hard frames.
        hard_share: that it had.
        threshold: at which it ran.
        metrics: the official ones.
        frames_per_second: on average.
        gflops: of a frame on average.
    """

    routing: str
    wanted_share: float
    hard_share: float
    threshold: float
    metrics: Mapping[str, float]
    frames_per_second: float
    gflops: float

    def row(self) -> dict[str, Any]:
        """What the file says of it. JSON knows no NaN, which AMOTA is where no class has an annotation."""
        own = asdict(self)
        found = {name: None if math.isnan(value) else value for name, value in own.pop("metrics").items()}
        return own | found


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
    parser.add_argument(
        "--config", type=Path, required=True, help="configs/dynamic/*_step2.py, configs/dynamic_yolo/*_step2.py"
    )
    parser.add_argument("--checkpoint", type=Path, help="of step 2, with its thresholds beside it")
    parser.add_argument("--shares", type=float, nargs="+", default=HARD_SHARES, help="of hard frames; default: 0 to 1")
    parser.add_argument("--random-seeds", type=int, default=0, help="runs of random routing beside it, at every share")
    parser.add_argument("--warm-up", type=int, default=3, help="frames of each run that are not timed")
    parser.add_argument("--out", type=Path, default=Path("out/benchmark/dynamic"), help="default: %(default)s")
    parser.add_argument(
        "--arithmetic-only",
        action="store_true",
        help="print the GFLOPs of every share, and no more; needs no checkpoint, and for single images no data set",
    )
    add_overrides(parser)


def run(arguments: argparse.Namespace, track: Track) -> None:
    """Measure every share, print a table, write it with a picture.

    Args:
        arguments: see `add_arguments`.
        track: from detections of scenes to tracks.
    """
    config = read_config(arguments.config, arguments.cfg_options)
    set_threshold(config, 0.0)
    if outside := [share for share in arguments.shares if not 0 <= share <= 1]:
        raise InputError(f"--shares {outside[0]:g}: expected numbers from 0 to 1")
    task = task_of(config)
    if arguments.arithmetic_only:
        print(_arithmetic_table(arguments.shares, _arithmetic(*task.untrained())))
        return
    if arguments.checkpoint is None:
        raise InputError("--checkpoint: needed for everything but --arithmetic-only")
    thresholds = read_thresholds(arguments.checkpoint)
    scoring = task.scoring(track)
    bench = _Bench(task, arguments.checkpoint, scoring, arguments.warm_up)
    measured = []
    for share in arguments.shares:
        measured.append(bench.measure("router", share, thresholds.at(share)))
        if share in (0, 1):  # nothing is decided
            continue
        if task.has_streams:
            with bench.spending(HardBudget(**thresholds.budget(share))):
                measured.append(bench.measure("budget", share, thresholds.at(share)))
        for seed in range(arguments.random_seeds):
            measured += bench.measure_by_chance(seed, share, spread=task.has_streams)
    print(_table(measured, bench.arithmetic, scoring.shown))
    content = {"arithmetic": asdict(bench.arithmetic), "runs": [one.row() for one in measured]}
    write_atomically(arguments.out / "dynamic.json", json.dumps(content, indent=2).encode())
    write_picture(measured, scoring.shown, arguments.out / "dynamic.png")
    print(f"-> {arguments.out / 'dynamic.json'}, {arguments.out / 'dynamic.png'}")


class _Bench:
    """A detector on its data set, run at one threshold after the other."""

    def __init__(self, task: Task, checkpoint: Path, scoring: Scoring, warm_up: int) -> None:
        self._scoring = scoring
        self._warm_up = warm_up
        self._detector = task.detector(checkpoint)
        self._loader = task.one_by_one()
        self.arithmetic = _arithmetic(self._detector.model, batches(self._loader))

    def measure(self, routing: str, share: float, threshold: float) -> RoutedRun:
        """One run over the data set."""
        model = self._detector.model
        model.threshold = threshold
        self._detector.reset()
        found: dict[Any, Any] = {}
        took_hard, latencies_s = 0, []
        for batch in batches(self._loader):
            started_s = time.perf_counter()
            found.update(self._detector.detect_batch(batch))  # waits for the device
            latencies_s.append(time.perf_counter() - started_s)
            took_hard += int(model.last_routing.hard.sum())
        if len(latencies_s) <= self._warm_up:
            raise InputError(f"--warm-up {self._warm_up}: the data set has {len(latencies_s)} frames")
        timed_s = latencies_s[self._warm_up :]
        hard_share = took_hard / len(found)
        return RoutedRun(
            routing=routing,
            wanted_share=share,
            hard_share=hard_share,
            threshold=threshold,
            metrics=self._scoring.metrics(found),
            frames_per_second=len(timed_s) / sum(timed_s),
            gflops=self.arithmetic.at(hard_share, threshold),
        )

    def measure_by_chance(self, seed: int, share: float, spread: bool) -> list[RoutedRun]:
        """Runs in which chance takes the place of the router: at a threshold, and if asked within a budget."""
        with self.random_routing(seed):
            measured = [self.measure(f"random {seed}", share, share)]
            if spread:
                with self.spending(HardBudget(share, HARD_SHARES, HARD_SHARES)):
                    measured.append(self.measure(f"random {seed}, budget", share, share))
        return measured

    @contextmanager
    def spending(self, budget: HardBudget) -> Iterator[None]:
        """Inside the block, streams spend a budget."""
        self._detector.model.budget = budget
        try:
            yield
        finally:
            self._detector.model.budget = None

    @contextmanager
    def random_routing(self, seed: int) -> Iterator[None]:
        """Inside the block, chance takes the place of the router, frame by frame."""
        model = self._detector.model
        hysteresis = getattr(model, "hysteresis", 0.0)  # which detectors of single images do not have
        model.router.forward, model.hysteresis = _random_scores(seed), 0.0
        try:
            yield
        finally:
            del model.router.forward  # the class's own is seen again
            model.hysteresis = hysteresis


def _random_scores(seed: int) -> Callable[..., Tensor]:
    """In the place of a router's `forward`: scores that have nothing to do with the input, evenly over [0, 1)."""
    generator = torch.Generator().manual_seed(seed)

    def scores(features: Sequence[Tensor], summary: Tensor | None = None) -> Tensor:
        return torch.rand(len(features[0]), generator=generator).to(features[0].device)

    return scores


def _arithmetic(model: Any, data: Iterable[Mapping[str, Any]]) -> Arithmetic:
    """GFLOPs of the second batch of some data, which may remember the first one."""
    first = [model.data_preprocessor(batch) for batch in islice(data, 2)]
    counted = [_multiply_adds(model, first, threshold) for threshold in (0.0, 1.0)]
    # The router's convolutions see one pixel: each of their weights is one multiply-add.
    of_router = sum(weight.numel() for name, weight in model.router.named_parameters() if name.endswith("weight"))
    easy, hard = (2e-9 * count for count in counted)
    return Arithmetic(easy, hard, router=2e-9 * of_router)


@torch.no_grad()
def _multiply_adds(model: Any, inputs: Sequence[Mapping[str, Any]], threshold: float) -> int:
    """Of the last one of some inputs."""
    if model.memory is not None:
        model.memory.reset()
    model.threshold = threshold
    for given in inputs[:-1]:
        model(**given)
    return multiply_adds_of(model, lambda: model(**inputs[-1]))["all"]


def write_picture(measured: Sequence[RoutedRun], shown: Mapping[str, Metric], path: Path) -> None:
    """Draw metrics over GFLOPs.

    Args:
        measured: all runs.
        shown: metrics, of which those of the picture are drawn.
        path: PNG file to write.
    """
    panels = {name: metric.title for name, metric in shown.items() if metric.in_picture}
    figure = Figure(figsize=(4 * len(panels), 3.8), layout="constrained")
    routed = [one for one in measured if one.routing == "router"]
    spent = [one for one in measured if one.routing == "budget"]
    by_chance = [one for one in measured if one.routing.startswith("random") and not one.routing.endswith("budget")]
    for axes, (metric, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        _draw_panel(axes, routed, spent, by_chance, metric)
        axes.set(xlabel="GFLOPs a frame", title=title)
        axes.grid(color="#e5e5e5", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def _draw_panel(
    axes: Axes,
    routed: Sequence[RoutedRun],
    spent: Sequence[RoutedRun],
    by_chance: Sequence[RoutedRun],
    metric: str,
) -> None:
    ends = [one for one in routed if one.threshold in (0, 1)]
    axes.plot(*_points(ends, metric), color="#999999", linestyle="--", label="the fixed detectors, mixed")
    if by_chance:
        axes.plot(*_points(by_chance, metric), "x", color="#d62728", markersize=5, label="random routing")
    axes.plot(*_points(routed, metric), color="#1f77b4", marker="o", markersize=4, label="router, threshold")
    if spent:
        with_ends = sorted([*ends, *spent], key=lambda one: one.gflops)
        axes.plot(*_points(with_ends, metric), color="#2ca02c", marker="s", markersize=4, label="router, budget")


def _points(measured: Sequence[RoutedRun], metric: str) -> tuple[list[float], list[float]]:
    return [one.gflops for one in measured], [one.metrics[metric] for one in measured]


def _table(measured: Sequence[RoutedRun], arithmetic: Arithmetic, shown: Mapping[str, Metric]) -> str:
    titles = (metric.title for metric in shown.values())
    header = ["routing", "wanted", "hard", "threshold", *titles, "frames/s", "GFLOPs"]
    rows = [
        [
            one.routing,
            f"{one.wanted_share:.0%}",
            f"{one.hard_share:.0%}",
            f"{one.threshold:.3f}",
            *(number(one.metrics[name], metric.decimals) for name, metric in shown.items()),
            f"{one.frames_per_second:.2f}",
            f"{one.gflops:.2f}",
        ]
        for one in measured
    ]
    return f"{text_table(header, rows)}\n{_costs(arithmetic)}"


def _arithmetic_table(shares: Sequence[float], arithmetic: Arithmetic) -> str:
    rows = [[f"{share:.0%}", f"{arithmetic.at(share, share):.1f}"] for share in shares]
    return f"{text_table(['hard', 'GFLOPs'], rows)}\n{_costs(arithmetic)}"


def _costs(arithmetic: Arithmetic) -> str:
    return "GFLOPs of a frame: " + ", ".join(f"{part} {gflops:.4g}" for part, gflops in asdict(arithmetic).items())
