"""Tells a distillation how far the training has come, since its weights change on the way."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from detection.registry import HOOKS


@HOOKS.register_module()
class DistillationProgressHook(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Sets `progress` of a `DistilledDetector` before every iteration."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """The share of the iterations that are done."""
        detector = runner.model.module if is_model_wrapper(runner.model) else runner.model
        detector.progress = runner.iter / runner.max_iters
