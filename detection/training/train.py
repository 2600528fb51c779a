"""`train`: a config in, a trained detector in a work directory."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from detection.processes import is_restarted, joined_processes
from detection.training.checkpoint import checkpoints_of
from detection.training.optimizer import amp_of_this_machine
from detection.training.runner import build_training
from scenes import InputError


def train(
    config: Config, *, work_dir: Path | None = None, resume: Path | str | None = None, amp: bool = False, launcher: str
) -> None:
    """Train as a config says, to the end of its schedule.

    Args:
        config: see `detection.config.read_config`.
        work_dir: for checkpoints and logs; by default that of the config, or `work_dirs/<its name>`.
        resume: a checkpoint to go on from, or `newest`: the newest in the work directory, if there is one. Processes
            that were started again by their launcher go on from the newest in any case.
        amp: whether to use mixed precision where the config does not say.
        launcher: see `detection.processes.joined_processes`.

    Raises:
        InputError: the config or a file that it names cannot be used, or training diverges.
    """
    work_dir = Path(work_dir or config.get("work_dir") or Path("work_dirs") / Path(config.filename or "training").stem)
    config.work_dir = str(work_dir)
    if amp and config.get("amp") is None:
        config.amp = amp_of_this_machine()
    with joined_processes(launcher):
        build_training(config, _checkpoint_to_resume(resume, work_dir)).train()


def _checkpoint_to_resume(resume: Path | str | None, work_dir: Path) -> Path | None:
    if is_restarted() and checkpoints_of(work_dir):
        resume = "newest"
    if resume is None:
        if checkpoints_of(work_dir):
            raise InputError(
                f"{work_dir}: holds checkpoints of another run; go on with --resume, or take another folder"
            )
        return None
    if resume == "newest":
        return next(reversed(checkpoints_of(work_dir)), None)
    return Path(resume)
