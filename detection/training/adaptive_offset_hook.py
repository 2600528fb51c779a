"""Keeps the running median of a router's training in its checkpoints, so that resuming goes on exactly."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from detection.models.routing.adaptive_offset import AdaptiveOffset
from detection.registry import HOOKS

_KEY = "adaptive_offset"


@HOOKS.register_module()
class AdaptiveOffsetHook(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Saves and restores `adaptive_offset` of a detector; for every config that trains a router."""

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Put the state beside the weights."""
        checkpoint[_KEY] = _offset_of(runner).state()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take it from there, where a training of the router has left it."""
        if _KEY in checkpoint:
            _offset_of(runner).load_state(checkpoint[_KEY])


def _offset_of(runner: Any) -> AdaptiveOffset:
    detector = runner.model.module if is_model_wrapper(runner.model) else runner.model
    offset: AdaptiveOffset = detector.adaptive_offset
    return offset
