"""The loops over the data: training by iterations, and validation over whole scenes or single images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop
from torch import Tensor
from torch.utils.data import DataLoader

from detection.data.loading import batches
from detection.running.tasks import Task
from detection.training.optimizer import NonFiniteGradientError
from detection.training.schedule import TrainingPlan
from detection.training.statistics import average_statistics
from scenes import InputError


class TrainingDivergedError(InputError):
    """A loss or its gradient is no finite number any more."""


class StreamTrainLoop(BaseLoop):  # type: ignore[misc]  # mmengine is untyped
    """Trains for the iterations of a plan, from wherever a checkpoint has left off.

    A checkpoint is written before the validation of the same iteration. A run that resumes at an iteration to be
    validated therefore begins with the validation: it goes on exactly as if it had never stopped.

    Args:
        runner: that it belongs to.
        dataloader: endless; its sampler knows where to begin.
        plan: iterations and intervals.
        task: of the detector.
    """

    max_epochs = 1  # mmengine's hooks see one long epoch, as they do in its own loop over iterations
    epoch = 0
    stop_training = False  # set by mmengine's EarlyStoppingHook

    def __init__(self, runner: Any, dataloader: DataLoader[Any], plan: TrainingPlan, task: Task) -> None:
        super().__init__(runner, dataloader)
        self._task = task
        self._plan = plan
        self.iter = 0

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""
        return self._plan.iterations

    def run(self) -> None:
        """Train to the end of the plan."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self.iter > 0:
            self._validate_if_due()
        data = batches(self.dataloader)
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(data))
            self._validate_if_due()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")

    def run_iter(self, batch: dict[str, Any]) -> None:
        """One step of the optimizer.

        Raises:
            TrainingDivergedError: a loss or the gradient is not finite. The parameters are untouched.
        """
        self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
        logged = self._step(batch)
        self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=logged)
        self.iter += 1

    def _step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        model, detector, optim_wrapper = self.runner.model, self.runner.detector, self.runner.optim_wrapper
        with optim_wrapper.optim_context(model):
            losses = model(**detector.data_preprocessor(batch, True), mode="loss")
        total, logged = detector.parse_losses(losses)
        self._check_losses(logged, batch)
        try:
            optim_wrapper.update_params(total)
        except NonFiniteGradientError as error:
            raise self._diverged(str(error), batch) from error
        finite_logged: dict[str, Tensor] = logged
        return finite_logged

    def _check_losses(self, losses: Mapping[str, Tensor], batch: dict[str, Any]) -> None:
        finite = torch.stack([loss.detach().float() for loss in losses.values()]).isfinite()
        if finite.all():  # one synchronisation with the device for all losses
            return
        bad = [f"{name} is {loss.item()}" for name, loss in losses.items() if name != "loss" and not loss.isfinite()]
        raise self._diverged(", ".join(bad) or "the sum of the losses overflows", batch)

    def _diverged(self, what: str, batch: dict[str, Any]) -> TrainingDivergedError:
        names = ", ".join(self._task.names(batch))
        last = self.runner.last_checkpoint
        kept = f"the last checkpoint is {last}" if last else "there is no checkpoint yet"
        return TrainingDivergedError(f"iteration {self.iter + 1}: {what}; samples of the batch: {names}; {kept}")

    def _validate_if_due(self) -> None:
        at_end = self.iter >= self.max_iters
        if self.runner.val_loop is not None and (at_end or self.iter % self._plan.validation_interval == 0):
            average_statistics(self.runner.detector)
            self.runner.val_loop.run()


class ValLoop(BaseLoop):  # type: ignore[misc]
    """Runs the detector over this process's share of the data and computes the metrics over all shares.

    Args:
        runner: that it belongs to.
        dataloader: of the share.
        evaluator: of pairs of what names a frame or an image, and what was found in it.
        task: of the detector.
    """

    def __init__(self, runner: Any, dataloader: DataLoader[Any], evaluator: Evaluator, task: Task) -> None:
        super().__init__(runner, dataloader)
        self._task = task
        self.evaluator = evaluator

    def run(self) -> dict[str, float]:
        """The metrics."""
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        for index, batch in enumerate(batches(self.dataloader)):
            self.run_iter(index, batch)
        metrics: dict[str, float] = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics

    @torch.no_grad()
    def run_iter(self, index: int, batch: dict[str, Any]) -> None:
        """Detect in one batch."""
        self.runner.call_hook("before_val_iter", batch_idx=index, data_batch=batch)
        found = self._task.found(self.runner.model.val_step(batch), batch, self.dataloader.dataset.classes)
        samples = list(found.items())
        self.evaluator.process(data_samples=samples, data_batch=batch)
        self.runner.call_hook("after_val_iter", batch_idx=index, data_batch=batch, outputs=samples)
