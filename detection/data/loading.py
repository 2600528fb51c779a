"""Data loaders from configs, and batches from them with errors that name the file and not the worker."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from detection.config import LOADER_SETTINGS, building
from detection.registry import DATA_SAMPLERS, DATASETS
from scenes import InputError
from scenes.jobs.processes import begin_worker, worker_context


def build_loader(config: Mapping[str, Any], seed: int = 0) -> DataLoader[Any]:
    """The data loader of a config.

    Args:
        config: `dataset`, whose `collate` makes the batches, `sampler`, `batch_size` of a process, and of torch's
            `DataLoader` what `LOADER_SETTINGS` has. Batches are pinned where there is a GPU.
        seed: from which the sampler draws its order and the random numbers of each frame.

    Raises:
        InputError: the data set cannot be read, or a key is missing.
    """
    for key in ("dataset", "sampler"):
        if key not in config:
            raise InputError(f"the config of a data loader has no '{key}'")
    settings: dict[str, Any] = {"pin_memory": torch.cuda.is_available()}
    settings |= {key: value for key, value in config.items() if key in LOADER_SETTINGS}
    batch_size = config.get("batch_size", 1)
    with building("dataset"):
        dataset = DATASETS.build(config["dataset"])
    sampler_class = DATA_SAMPLERS.get(config["sampler"]["type"])
    slots = {"batch_size": batch_size} if "batch_size" in inspect.signature(sampler_class).parameters else {}
    with building("sampler"):
        sampler = DATA_SAMPLERS.build({**config["sampler"], **slots, "dataset": dataset, "seed": seed})
    if settings.get("num_workers"):
        settings |= {"worker_init_fn": _begin_worker, "multiprocessing_context": worker_context()}
    # A generator of its own: a loader that is iterated must not move the one that training draws from.
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(dataset, batch_size, sampler=sampler, collate_fn=dataset.collate, generator=generator, **settings)


def _begin_worker(worker: int) -> None:
    begin_worker()
    cv2.setNumThreads(1)  # as many workers as cores would otherwise start as many threads each


def batches(loader: DataLoader[Any]) -> Iterator[dict[str, Any]]:
    """One pass over a loader, whose workers begin to read at once.

    Raises:
        InputError: a sample cannot be read, in this process or in a worker; the message is the one that it left there.
    """
    return _naming_errors(iter(loader))


def _naming_errors(read: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from read
    except InputError as error:
        # A worker's error arrives with its whole traceback as the message; its last line is the error itself.
        last_line = str(error).splitlines()[-1]
        raise InputError(last_line.removeprefix(f"{InputError.__module__}.{InputError.__qualname__}: ")) from error
