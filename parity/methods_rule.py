"""The rule behind the recordings of RayDN and HarmoDistill-BEV: `rule2.py` beside them, which builds on `rule.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from parity.rule import Rule, imported_rule
from scenes import InputError

_FILE: Final = "rule2.py"
_FUNCTIONS: Final = (
    "dn_noise",
    "ray_beta",
    "ray_reset",
    "student_weight",
    "layer_weight",
    "distill_feats",
    "fgd_boxes",
    "dy_weight",
)
_KEPT: Final = "num_batches_tracked"


class MethodsRule:
    """The functions of that rule, in the language of this package."""

    def __init__(self, folder: Path, rule: Rule) -> None:
        """Import the rule in a folder of recordings.

        Args:
            folder: of the recordings.
            rule: what it builds on.

        Raises:
            InputError: there is none, or it is no such rule.
        """
        path = folder / _FILE
        with patch.dict(sys.modules, {"rule": rule.module}):
            self.module: ModuleType = imported_rule(path)
        missing = [name for name in _FUNCTIONS if not callable(getattr(self.module, name, None))]
        if missing:
            raise InputError(f"{path}: is no rule of these recordings, it has no function {missing[0]}")

    def load_student_weights(self, model: nn.Module) -> None:
        """Give a student its weights, which differ from those that a teacher has by the other rule."""
        state = model.state_dict()
        for name, value in state.items():
            made = self.module.student_weight(name, tuple(value.shape))
            if made is not None:
                state[name] = torch.from_numpy(made)
        model.load_state_dict(state)

    def load_layer_weights(self, layers: nn.Module, tag: str, recorded_name: Callable[[str], str] = str) -> None:
        """Give the small layers of a loss their weights.

        Args:
            layers: of the loss.
            tag: of the case.
            recorded_name: from a name here to the recorded one.
        """
        state = layers.state_dict()
        for name, value in state.items():
            if not name.endswith(_KEPT):
                made = self.module.layer_weight(recorded_name(name), tuple(value.shape), tag)
                state[name] = torch.from_numpy(np.asarray(made))
        layers.load_state_dict(state)

    def maps(self, case: str) -> tuple[Tensor, Tensor]:
        """The maps (M, C, h, w) of a student and a teacher."""
        student, teacher = self.module.distill_feats(case)
        return torch.from_numpy(student), torch.from_numpy(teacher)

    def teacher_predictions(self, streams: int) -> tuple[Tensor, Tensor]:
        """Logits (6, B, 40, classes) and codes (6, B, 40, 10) from which boxes of a teacher were picked."""
        logits = np.random.RandomState(95005 + streams).standard_normal((6, streams, 40, 10))
        codes = np.random.RandomState(95015 + streams).uniform(-3, 3, (6, streams, 40, 10))
        return torch.from_numpy(logits.astype(np.float32)), torch.from_numpy(codes.astype(np.float32))

    @contextmanager
    def recorded_numbers(self) -> Iterator[None]:
        """Inside the block, the random numbers of the denoising queries are the recorded ones, call by call."""
        calls = dict.fromkeys(("noise", "beta", "reset"), 0)

        def drawn(source: str, make: Callable[[tuple[int, ...], int], Any], shape: Sequence[int]) -> Tensor:
            calls[source] += 1
            return torch.from_numpy(make(tuple(shape), calls[source] - 1))

        def rand_like(like: Tensor) -> Tensor:
            return drawn("noise", self.module.dn_noise, like.shape).to(like.device)

        def rand(*shape: int, device: torch.device | None = None) -> Tensor:
            return drawn("reset", self.module.ray_reset, shape).to(device)

        def sample(distribution: torch.distributions.Beta, shape: Sequence[int]) -> Tensor:
            return drawn("beta", self.module.ray_beta, shape).to(distribution.concentration1.device)

        with ExitStack() as stack:
            stack.enter_context(patch.object(torch, "rand_like", rand_like))
            stack.enter_context(patch.object(torch, "rand", rand))
            stack.enter_context(patch.object(torch.distributions.Beta, "sample", sample))
            yield
