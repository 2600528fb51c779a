"""`build_training`: from a config to an mmengine runner that trains, validates, saves and resumes."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import mmengine
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor, nn

from detection.checkpoints import load_weights, set_weights
from detection.config import building
from detection.data.loading import build_loader
from detection.registry import HOOKS, METRICS, MODELS
from detection.running.tasks import Task, task_of
from detection.training.checkpoint import (
    logged_scalars,
    read_training_checkpoint,
    remove_leftovers,
    set_logged_scalars,
    write_checkpoint,
)
from detection.training.checkpoint_hook import TrainingCheckpointHook
from detection.training.logger_hook import TrainingLoggerHook
from detection.training.loops import StreamTrainLoop, ValLoop
from detection.training.optimizer import build_optim_wrapper
from detection.training.random_state import random_state, set_random_state
from detection.training.schedule import PlannedLR, counted, plan_training, read_schedule
from detection.training.statistics import average_statistics
from scenes import InputError

_NEEDED_KEYS: Final = ("model", "train_dataloader", "schedule", "optim_wrapper", "work_dir")
_DEFAULTS: Final[Mapping[str, Any]] = {
    "seed": 0,
    "log_interval": 50,
    "keep_checkpoints": 3,
    "find_unused_parameters": False,
    "tensorboard": None,
    "amp": None,
    "sync_bn": False,
    "with_cp": None,
    "load_from": None,
    "custom_hooks": (),
}
_RUN_NUMBERS: Final = itertools.count(1)


def build_training(config: Config, resume_from: Path | None = None) -> DetectorRunner:
    """A runner for the training that a checked config describes; `train()` runs it.

    With several processes, each calls this within `detection.processes.joined_processes`.

    Args:
        config: see `detection.config.read_config`, with `work_dir`.
        resume_from: a checkpoint to go on from.

    Raises:
        InputError: a key is missing or has a value that cannot be, or a file that it names cannot be read.
    """
    for key in _NEEDED_KEYS:
        if key not in config:
            raise InputError(f"the config has no '{key}'")
    if ("val_dataloader" in config) != ("val_evaluator" in config):
        raise InputError("the config has only one of 'val_dataloader' and 'val_evaluator'")
    return DetectorRunner(config, resume_from)


class DetectorRunner(Runner):  # type: ignore[misc]  # mmengine is untyped
    """mmengine's runner with this project's registries, schedule and checkpoints.

    Args:
        config: see `build_training`.
        resume_from: a checkpoint to go on from.

    Attributes:
        work_path: where checkpoints and logs go.
        last_checkpoint: the newest one that this run could go on from, None while there is none.
    """

    def __init__(self, config: Config, resume_from: Path | None = None) -> None:
        settings = {**_DEFAULTS, **config}
        train_loader = build_loader(settings["train_dataloader"], settings["seed"])
        task = task_of(config)
        total_batch = settings["train_dataloader"].get("batch_size", 1) * get_world_size()
        self._plan = plan_training(read_schedule(settings["schedule"]), len(train_loader), total_batch)
        self._settings = settings
        self._resume_from = resume_from
        self._config_text = config.pretty_text
        self.work_path = Path(settings["work_dir"])
        self.last_checkpoint: Path | None = resume_from
        super().__init__(
            model=settings["model"],
            work_dir=settings["work_dir"],
            train_dataloader=train_loader,
            train_cfg=dict(type=StreamTrainLoop, plan=self._plan, task=task),
            optim_wrapper=settings["optim_wrapper"],
            param_scheduler=[],
            **_validation(settings, task),
            default_hooks=dict(
                sampler_seed=None,
                logger=TrainingLoggerHook(settings["log_interval"], log_metric_by_epoch=False),
                checkpoint=TrainingCheckpointHook(self._plan.checkpoint_interval, settings["keep_checkpoints"]),
            ),
            custom_hooks=[HOOKS.build(hook) for hook in settings["custom_hooks"]],
            launcher="pytorch" if get_world_size() > 1 else "none",
            env_cfg=dict(),
            log_processor=dict(by_epoch=False, window_size=settings["log_interval"]),
            visualizer=dict(type="Visualizer", vis_backends=_log_backends(settings["tensorboard"])),
            default_scope=None,
            # mmengine keeps loggers and curves by name and second: two runs in one process must not share them.
            experiment_name=f"{self.work_path.name}_{next(_RUN_NUMBERS)}",
            randomness=dict(seed=settings["seed"], diff_rank_seed=True),
            cfg=config,
        )
        task.check_classes(self.detector, train_loader.dataset.classes)  # type: ignore[attr-defined]
        self.logger.info(f"Schedule: {self._plan}; batch {total_batch} on {counted(get_world_size(), 'process', 'es')}")
        if is_main_process():
            remove_leftovers(self.work_path)

    @property
    def detector(self) -> Any:
        """The model without what several processes wrap it in."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    def build_model(self, model: Mapping[str, Any]) -> nn.Module:
        """The detector of a config."""
        with building("model"):
            detector: nn.Module = MODELS.build(model)
        if (recomputes := self._settings["with_cp"]) is not None:
            parts: Iterable[Any] = detector.modules()
            for part in parts:
                if hasattr(part, "with_cp"):
                    part.with_cp = bool(recomputes)
        return detector

    def wrap_model(self, model_wrapper_cfg: None, model: nn.Module) -> nn.Module:
        """The model on its device, and in step with the other processes."""
        model = model.to(get_device())
        if not self.distributed:
            return model
        if self._settings["sync_bn"]:
            if not torch.cuda.is_available():
                raise InputError("sync_bn=True needs GPUs")
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        wrapped: nn.Module = MMDistributedDataParallel(
            module=model,
            device_ids=[torch.cuda.current_device()] if torch.cuda.is_available() else None,
            broadcast_buffers=False,  # each process gathers its own; `average_statistics` brings them together
            find_unused_parameters=self._settings["find_unused_parameters"],
        )
        return wrapped

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """The optimizer of a config, at the learning rate of the plan."""
        if isinstance(optim_wrapper, OptimWrapper):
            return optim_wrapper
        return build_optim_wrapper(self.detector, optim_wrapper, self._plan.peak_lr, self._settings["amp"])

    def build_param_scheduler(self, scheduler: Any) -> list[PlannedLR]:
        """The learning rate of the plan."""
        return scheduler or [PlannedLR(self.optim_wrapper, self._plan)]

    def get_hooks_info(self) -> str:
        """The hooks in one line; mmengine's list of every stage of each is longer than the config."""
        return ", ".join(type(hook).__name__ for hook in self.hooks)

    def load_or_resume(self) -> None:
        """Start from the weights that the config names, or go on from a checkpoint."""
        if self._resume_from is not None:
            self.resume(self._resume_from)
        elif self._settings["load_from"] is not None:
            load_weights(self.detector, self._settings["load_from"])
            self.logger.info(f"Weights: {self._settings['load_from']}")

    def write_checkpoint(self, path: Path, iteration: int) -> None:
        """Write everything that a run needs to go on after an iteration. All processes take part, the first writes."""
        average_statistics(self.detector)
        memory = {} if self.detector.memory is None else self.detector.memory.state()
        processes = all_gather_object(_on_cpu({"random": random_state(), "memory": memory}))
        sampler = self.train_dataloader.sampler
        sampler.iteration = iteration
        if is_main_process():
            content = {
                "meta": {"sampler": sampler.state_dict(), "config": self._config_text},
                "state_dict": self.detector.state_dict(),
                "optimizer": self.optim_wrapper.state_dict(),
                "message_hub": logged_scalars(self.message_hub),
                "processes": processes,
            }
            self.call_hook("before_save_checkpoint", checkpoint=content)
            write_checkpoint(path, _on_cpu(content))
        self.last_checkpoint = path

    def resume(self, filename: Path) -> None:
        """Go on from a checkpoint, exactly if as many processes with the same batch go on.

        With another number of streams training goes on at the same share of its way, with an empty memory.

        Raises:
            InputError: the checkpoint cannot be read, or is of another model or optimizer.
        """
        content = read_training_checkpoint(filename)
        self.call_hook("after_load_checkpoint", checkpoint=content)
        set_weights(self.detector, content["state_dict"], filename)
        try:
            self.optim_wrapper.load_state_dict(content["optimizer"])
        except ValueError as error:
            raise InputError(f"{filename}: its optimizer is another one: {error}") from error
        set_logged_scalars(self.message_hub, content["message_hub"])
        sampler = self.train_dataloader.sampler
        sampler.load_state_dict(content["meta"]["sampler"])
        self.train_loop.iter = sampler.iteration
        for scheduler in self.param_schedulers:
            scheduler.go_to(sampler.iteration)
        same_streams = content["meta"]["sampler"]["slots"] == sampler.state_dict()["slots"]
        self._resume_processes(content["processes"], same_streams)
        how = "exactly" if same_streams else "with other streams, which begin with an empty memory"
        self.logger.info(f"Resumed {filename} after iteration {sampler.iteration}, {how}")

    def _resume_processes(self, processes: list[dict[str, Any]], same_streams: bool) -> None:
        """Give this process what it had, or if other processes went through the same streams, its share of them."""
        if len(processes) == get_world_size():
            set_random_state(processes[get_rank()]["random"])
        memory = self.detector.memory
        if memory is not None and same_streams:
            memory.load_state(_share_of_streams([process["memory"] for process in processes]))

    def _log_env(self, env_cfg: Mapping[str, Any]) -> None:
        device = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
        )
        python = ".".join(map(str, sys.version_info[:3]))
        self.logger.info(f"Python {python}, torch {torch.__version__}, mmengine {mmengine.__version__}; {device}")
        self.logger.info(f"Config: {self.work_path / Path(self.cfg.filename or f'{self.timestamp}.py').name}")


def _on_cpu(content: dict[str, Any]) -> dict[str, Any]:
    """The same content with its tensors where every machine can read them."""
    moved: dict[str, Any] = apply_to(content, lambda value: isinstance(value, Tensor), lambda tensor: tensor.cpu())
    return moved


def _share_of_streams(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """This process's streams out of those of all processes that wrote a checkpoint; empty if one had none."""
    if not all(states):
        return {}
    streams = {name: torch.cat([state[name] for state in states]) for name in states[0]}
    share = len(next(iter(streams.values()))) // get_world_size()
    return {name: value[get_rank() * share : (get_rank() + 1) * share] for name, value in streams.items()}


def _validation(settings: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """What mmengine's runner needs to validate; nothing for a config without validation."""
    if "val_dataloader" not in settings:
        return {}
    evaluators = settings["val_evaluator"]
    evaluators = [evaluators] if isinstance(evaluators, Mapping) else evaluators
    with building("val_evaluator"):
        metrics = [METRICS.build(evaluator) for evaluator in evaluators]
    loader = build_loader(settings["val_dataloader"])
    return dict(val_dataloader=loader, val_cfg=dict(type=ValLoop, task=task), val_evaluator=Evaluator(metrics))


def _log_backends(tensorboard: bool | None) -> list[dict[str, str]]:
    """Where curves go: `scalars.json`, and TensorBoard if it is asked for, or by default if it is installed."""
    installed = importlib.util.find_spec("tensorboard") is not None
    if tensorboard and not installed:
        raise InputError("tensorboard=True, but the package is not installed: pip install -e '.[tensorboard]'")
    local = [dict(type="LocalVisBackend")]
    return [*local, dict(type="TensorboardVisBackend")] if installed and tensorboard is not False else local
