"""Recorded statistics of freshly initialised weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from parity.comparison import Comparison
from parity.models import Workshop, model_of
from parity.recording import read_table

_PRINTED: Final = 1e-5  # the statistics are written with five decimals
_STANDARD_ERRORS: Final = 6.0  # that two random weights of the same distribution may lie apart
_OTHERS: Final = "img_backbone."  # starts from a checkpoint, which the recording has left out


def check_initialization(path: Path, workshop: Workshop) -> Comparison:
    """Compare which weights are trained, what they start with, and how far the random ones spread.

    Args:
        path: `init_stats_<model>.txt`, rows of name, shape, requires_grad, mean, std, min, max.
        workshop: makes the model.
    """
    model = model_of(path, path.stem.removeprefix("init_stats_"))
    with torch.random.fork_rng(), _quiet():
        torch.manual_seed(0)
        detector = workshop.bare(replace(model, changes={"model.img_backbone.pretrained": None}))
        detector.init_weights()
    values = detector.state_dict()
    trained = {name for name, parameter in detector.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    comparison = Comparison()
    for name, _, requires_grad, *numbers in read_table(path):
        if name not in values:
            comparison.lacks(name, "is missing")
            continue
        comparison.equal(f"{name} is trained", name in trained, requires_grad == "True")
        if name.startswith(_OTHERS):
            continue
        mean, std = (float(number) for number in numbers[:2])
        value = values[name].double()
        error = _STANDARD_ERRORS * std * (2 / value.numel()) ** 0.5
        comparison.within(f"{name} mean", value.mean().item(), mean, _PRINTED + error)
        comparison.within(f"{name} std", value.std(correction=0).item(), std, _PRINTED + error)
    return comparison


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside the block mmengine does not log three lines for each weight."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
