"""When a training writes checkpoints, and how many stay."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from detection.training.checkpoint import checkpoint_path, checkpoints_of, set_aside_from


class TrainingCheckpointHook(Hook):  # type: ignore[misc]  # mmengine is untyped
    """Writes checkpoints and removes old ones.

    Args:
        interval: iterations from one to the next; the last iteration always has one.
        keep: how many stay, the newest ones.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int, keep: int) -> None:
        self._interval = interval
        self._keep = keep

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Write a checkpoint if one is due."""
        done = runner.iter + 1
        if done % self._interval and done != runner.max_iters:
            return
        # A run that goes on from an older checkpoint has another future than those that lie there.
        if is_main_process() and (folder := set_aside_from(runner.work_path, done)):
            runner.logger.info(f"Checkpoints of an earlier run from iteration {done} on: moved to {folder}")
        path = checkpoint_path(runner.work_path, done)
        runner.write_checkpoint(path, done)
        runner.logger.info(f"Checkpoint: {path}")
        if is_main_process():
            for old in checkpoints_of(runner.work_path)[: -self._keep]:
                old.unlink()
