"""The speed at which a dynamic detector runs: its threshold, and the file of thresholds beside its checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from detection.checkpoints import read_checkpoint
from detection.data.loading import batches, build_loader
from detection.models.routing.thresholds import HARD_SHARES, percentile_thresholds
from detection.running.tasks import task_of
from scenes import InputError
from scenes.files import write_atomically
from scenes.json_text import read_json

_DYNAMIC = ("DynamicDetector", "DynamicYoloDetector")
_HOW = "`streamtrack dynamic_thresholds CONFIG CHECKPOINT`"


@dataclass(frozen=True)
class RouterThresholds:
    """Thresholds of one router.

    Attributes:
        weights: digest of the weights that it is of, see `digest_of_weights`.
        frames: number of frames, or images, whose scores they are percentiles of.
        hard_shares: of these.
        thresholds: for each of these shares.
    """

    weights: str
    frames: int
    hard_shares: list[float]
    thresholds: list[float]

    def at(self, hard_share: float) -> float:
        """The threshold for a share in [0, 1], between two known ones by interpolation."""
        return float(np.interp(hard_share, self.hard_shares, self.thresholds))

    def budget(self, hard_share: float) -> dict[str, Any]:
        """Settings of a `HardBudget` for a share between 0 and 1."""
        return dict(share=hard_share, hard_shares=self.hard_shares, thresholds=self.thresholds)


def thresholds_path(checkpoint: Path | str) -> Path:
    """Where the thresholds of a checkpoint lie: `iter_100.thresholds.json` beside `iter_100.pth`."""
    return Path(checkpoint).with_suffix(".thresholds.json")


def find_thresholds(
    config: Config, checkpoint: Path | str, progress: Callable[[int, int], None] | None = None
) -> RouterThresholds:
    """Thresholds by the scores that a router gives to the frames or images that a config validates on.

    Scores of frames depend a little on the paths of the frames before, by the memory that the router is told of: they
    are taken at the threshold of the config, and the share of hard frames at another one is about the wanted one, not
    exactly. Those of single images depend on nothing else.

    Args:
        config: of it, `model` and `val_dataloader` are read.
        checkpoint: of step 2.
        progress: called with the number of frames or images done, and of all.

    Raises:
        InputError: the config is of no dynamic detector, or its threshold leaves nothing to decide; the router has
            never been trained; the checkpoint or the data cannot be read.
    """
    _check_dynamic(config)
    if not 0 < config.model.get("threshold", 0.5) < 1:
        raise InputError("model.threshold: the router is asked between 0 and 1 only; take the config of its training")
    detector = task_of(config).detector(checkpoint)
    loader = build_loader(config["val_dataloader"])
    scores: list[float] = []
    for batch in batches(loader):
        detector.detect_batch(batch)
        scores += detector.model.last_routing.scores.tolist()
        if progress is not None:
            progress(len(scores), len(loader.sampler))  # type: ignore[arg-type]  # ours have a length
    thresholds = percentile_thresholds(scores).tolist()
    return RouterThresholds(digest_of_weights(read_checkpoint(checkpoint)), len(scores), list(HARD_SHARES), thresholds)


def write_thresholds(thresholds: RouterThresholds, checkpoint: Path | str) -> Path:
    """Write thresholds beside their checkpoint; returns where."""
    path = thresholds_path(checkpoint)
    write_atomically(path, json.dumps(asdict(thresholds), indent=2).encode())
    return path


def read_thresholds(checkpoint: Path | str) -> RouterThresholds:
    """The thresholds beside a checkpoint.

    Raises:
        InputError: there are none, or they are those of other weights.
    """
    path = thresholds_path(checkpoint)
    if not path.is_file():
        raise InputError(f"{path}: no such file; {_HOW} makes it")
    try:
        content = read_json(path)
        found = RouterThresholds(
            str(content["weights"]),
            int(content["frames"]),
            *([float(value) for value in content[name]] for name in ("hard_shares", "thresholds")),
        )
        found.at(0.5)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: holds no thresholds of a router; {_HOW} makes them") from error
    if found.weights != digest_of_weights(read_checkpoint(checkpoint)):
        raise InputError(f"{path}: holds the thresholds of another checkpoint than {checkpoint}; {_HOW} makes its own")
    return found


def set_threshold(config: Config, threshold: float) -> None:
    """Let the detector of a config run at a threshold.

    Raises:
        InputError: the config is of no dynamic detector, or the threshold is not in [0, 1].
    """
    _check_dynamic(config)
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold:g}: expected a number from 0 (all easy) to 1 (all hard)")
    config.model.threshold = threshold
    config.model.pop("budget", None)


def set_hard_share(config: Config, hard_share: float, checkpoint: Path | str) -> None:
    """Let the detector of a config send a share of its input through its second half.

    Of a detector of scenes every stream spends the share evenly, see `HardBudget`; of single images about the share is
    hard.

    Raises:
        InputError: the config is of no dynamic detector, the share is not in [0, 1], or see `read_thresholds`.
    """
    _check_dynamic(config)
    if not 0 <= hard_share <= 1:
        raise InputError(f"hard fraction {hard_share:g}: expected a number from 0 (none) to 1 (all)")
    if hard_share in (0, 1):  # which any weights can do
        set_threshold(config, hard_share)
        return
    thresholds = read_thresholds(checkpoint)
    set_threshold(config, thresholds.at(hard_share))
    if task_of(config).has_streams:
        config.model.budget = thresholds.budget(hard_share)


def digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: the same for the same weights in a file of another format."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_dynamic(config: Config) -> None:
    kind = config.get("model", {}).get("type")
    if kind not in _DYNAMIC:
        raise InputError(f"{config.filename}: model is a {kind}; only a {' or '.join(_DYNAMIC)} has a router")
