"""Which iterations of a training are logged."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import LoggerHook


class TrainingLoggerHook(LoggerHook):  # type: ignore[misc]  # mmengine is untyped
    """Logs every so many iterations and the last one, so that the shortest run has a line and a point of its curves.

    The first line is marked: workers start and kernels are chosen in the iterations that its times are the mean of.
    """

    _has_logged = False

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log an iteration if it is due."""
        done = runner.iter + 1
        if done % self.interval and done != runner.max_iters:
            return
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        runner.logger.info(line if self._has_logged else f"{line}  (warming up)")
        self._has_logged = True
        runner.visualizer.add_scalars(tag, step=done, file_path=self.json_log_path)
