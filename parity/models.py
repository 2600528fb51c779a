"""The recorded models: which released config they are of, and how they are built with the weights of the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from detection.config import read_config
from detection.frames import FrameBatch
from detection.models.detectors import MultiViewDetector
from detection.models.layers.attention import MultiheadAttention
from detection.registry import MODELS
from parity.rule import Rule
from scenes import InputError

_CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class RecordedModel:
    """A released config and what the recording changed in it.

    Attributes:
        config: name of the config file, without folder and suffix.
        changes: config values by dotted key.
    """

    config: str
    changes: Mapping[str, Any] = field(default_factory=dict)


RECORDED_MODELS: Final = {
    "r50_428q": RecordedModel("stream_petr_r50_flash_704_bs2_seq_428q_nui_60e"),
    "r50_428q_focaltopk05": RecordedModel(
        "stream_petr_r50_flash_704_bs2_seq_428q_nui_60e", {"model.img_roi_head.infer_ratio": 0.5}
    ),
    "r50_900q": RecordedModel("stream_petr_r50_flash_704_bs2_seq_24e"),
    "vov_900q": RecordedModel("stream_petr_vov_flash_800_bs2_seq_24e"),
    "petrv1": RecordedModel("petrv1_r50_flash_704_24e"),
    "focal_petrv1": RecordedModel("focal_petrv1_r50_flash_704_24e"),
    "repdetr3d_vov": RecordedModel("repdetr3d_vov_800_bs2_seq_24e"),
    "stream_petr_r50_428q": RecordedModel("stream_petr_r50_flash_704_bs2_seq_428q_nui_60e"),
}


@dataclass(frozen=True)
class Workshop:
    """Where recorded models come from.

    Attributes:
        configs: folder of the configs.
        rule: gives them their weights.
        device: on which detectors and frames lie.
    """

    configs: Path
    rule: Rule
    device: torch.device = _CPU

    def has(self, model: RecordedModel) -> bool:
        """Whether there is a config of a model."""
        return any(self.configs.rglob(f"{model.config}.py"))

    def path_of(self, config: str) -> Path:
        """The config of a name without folder and suffix.

        Raises:
            InputError: there is none.
        """
        paths = sorted(self.configs.rglob(f"{config}.py"))
        if not paths:
            raise InputError(f"{self.configs}: has no config {config}.py, which a recording needs")
        return paths[0]

    def bare(self, model: RecordedModel) -> MultiViewDetector:
        """A detector as its config has it, with its initial weights.

        Raises:
            InputError: there is no such config.
        """
        config = read_config(self.path_of(model.config), model.changes)
        detector: MultiViewDetector = MODELS.build(config.model)
        return detector

    def recorded(self, model: RecordedModel) -> MultiViewDetector:
        """A detector as it was recorded: weights of the rule, nothing random, no recomputed activations."""
        detector = self.bare(model)
        self.rule.load_weights(detector)
        make_deterministic(detector)
        detector.to(self.device)
        return detector

    def frame(self, sequences: Sequence[str], number: int, boxes: bool = True) -> FrameBatch:
        """A frame that the models saw, see `Rule.frame`."""
        return self.rule.frame(sequences, number, boxes).to(self.device)


def make_deterministic(detector: MultiViewDetector) -> None:
    """Take from a detector what draws random numbers, and the recomputation of activations."""
    detector.grid_mask = None
    for module in detector.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, MultiheadAttention):
            module.dropout = 0.0
        if hasattr(module, "with_cp"):
            module.with_cp = False


def model_of(path: Path, name: str) -> RecordedModel:
    """The recorded model of a name.

    Raises:
        InputError: no model has it.
    """
    if name not in RECORDED_MODELS:
        raise InputError(f"{path}: no model is known as '{name}'; known: {', '.join(sorted(RECORDED_MODELS))}")
    return RECORDED_MODELS[name]
