"""Who sees which frame when: streams for training with a memory, loose windows without, whole scenes for evaluation.

All three are functions of their settings and a position, so that training goes on where it stopped without replaying
anything, and the random numbers of a frame follow from the seed, the iteration and the batch slot, not from the worker
that prepares it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from mmengine.dist import get_dist_info
from numpy.typing import NDArray
from torch.utils.data import Sampler

from detection.data.dataset import FrameRequest
from detection.registry import DATA_SAMPLERS
from scenes import InputError


class SequenceDataset(Protocol):
    """A data set as far as samplers look at it.

    Attributes:
        sequences: the indices of what belongs together, in order; single images are each a sequence of one.
    """

    @property
    def sequences(self) -> Sequence[NDArray[np.int64]]: ...

    def __len__(self) -> int: ...


class _TrainingSampler(Sampler[FrameRequest], ABC):
    """Endless; `len` is the share of one process in an epoch.

    Requests come batch by batch: slot 0 to slot `batch_size` - 1 of one iteration, then those of the next. A data
    loader with the same batch size makes batches of them in which element i is always slot i.

    Args:
        dataset: what to sample from.
        batch_size: slots of one process, the batch size of its data loader.
        seed: with the same seed every process draws the same order, of which it takes its slots; None is 0.
        rank, world_size: of the processes; None asks the running ones.

    Attributes:
        iteration: where the next pass begins. Iterating does not move it, since a data loader reads ahead of training:
            whoever trains sets it, or saves and loads it by `state_dict`.
    """

    def __init__(
        self,
        dataset: SequenceDataset,
        batch_size: int,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size}: expected at least 1")
        if seed is not None and seed < 0:
            raise InputError(f"seed={seed}: must not be negative")
        running_rank, running_world_size = get_dist_info()
        self._dataset = dataset
        self._batch_size = batch_size
        self._seed = seed or 0
        self._rank = running_rank if rank is None else rank
        self._world_size = running_world_size if world_size is None else world_size
        self.iteration = 0
        self._forgotten = False

    def __len__(self) -> int:
        """Frames of one process in an epoch: the same for all processes, the rest of the division left out."""
        return max(1, len(self._dataset) // self._slots) * self._batch_size

    def __iter__(self) -> Iterator[FrameRequest]:
        iteration = self.iteration
        first = self._rank * self._batch_size
        streams = [self._stream(first + slot, iteration) for slot in range(self._batch_size)]
        forgotten = self._forgotten
        while True:
            for slot, stream in enumerate(streams):
                index, continues_scene = next(stream)
                continues_scene = continues_scene and not forgotten
                seed = (self._seed, iteration, first + slot)
                yield FrameRequest(index, slot, continues_scene, seed)
            iteration += 1
            forgotten = False

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from `iteration`."""
        return {"iteration": self.iteration, "seed": self._seed, "slots": self._slots}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was saved.

        With another number of slots the order cannot be the same: training then goes on at the same share of its way,
        and each slot begins as if its frame were the first of its scene.
        """
        self._seed = state["seed"]
        self._forgotten = state["slots"] != self._slots
        self.iteration = state["iteration"] * state["slots"] // self._slots

    @property
    def _slots(self) -> int:
        """Batch slots of all processes."""
        return self._batch_size * self._world_size

    def _order(self, epoch: int, count: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(count)

    @abstractmethod
    def _stream(self, slot: int, iteration: int) -> Iterator[tuple[int, bool]]:
        """What a slot, counted over all processes, shows from `iteration` on: index, and whether it continues."""


@DATA_SAMPLERS.register_module()
class StreamingSampler(_TrainingSampler):
    """Each batch slot shows one sequence from its first frame to its last, then takes its next one.

    Sequences are dealt out in turn from an endless row, in which each epoch redraws their order: slot s takes number s,
    s + slots, s + 2 slots, ... Slots end their sequences at different iterations, and none ever waits or stops.
    """

    def _stream(self, slot: int, iteration: int) -> Iterator[tuple[int, bool]]:
        lengths = np.array([len(sequence) for sequence in self._dataset.sequences])
        to_skip = iteration
        for number in self._numbers(slot):
            if to_skip >= lengths[number]:
                to_skip -= int(lengths[number])
                continue
            for position, index in enumerate(self._dataset.sequences[number].tolist()):
                if position >= to_skip:
                    yield index, position > 0
            to_skip = 0

    def _numbers(self, slot: int) -> Iterator[int]:
        """The sequences of a slot."""
        count = len(self._dataset.sequences)
        epoch, place = divmod(slot, count)
        while True:
            order = self._order(epoch, count)
            while place < count:
                yield int(order[place])
                place += self._slots
            passed, place = divmod(place, count)
            epoch += passed


@DATA_SAMPLERS.register_module()
class ShuffledSampler(_TrainingSampler):
    """Every frame, or the window that ends with it, once an epoch in a new order: for networks without a stream.

    Single images come like frames.
    """

    def _stream(self, slot: int, iteration: int) -> Iterator[tuple[int, bool]]:
        count = len(self._dataset)
        drawn, order = -1, np.zeros(0, dtype=np.int64)
        while True:
            epoch, place = divmod(iteration * self._slots + slot, count)
            if epoch != drawn:
                drawn, order = epoch, self._order(epoch, count)
            yield int(order[place]), False
            iteration += 1


@DATA_SAMPLERS.register_module()
class EvaluationSampler(Sampler[FrameRequest]):
    """Whole scenes for each process, every frame exactly once.

    Networks with a memory need a data loader with batch size 1. Single images are scenes of one frame.

    Longer scenes are given out first, each to the process that has the fewest frames so far. Processes may end up with
    a different number of frames, so nothing during evaluation may wait for the others frame by frame.

    Args:
        dataset: what to sample from; its scenes must not be split.
        seed: not needed; data loaders are built with one.
        rank, world_size: of the processes; None asks the running ones.
    """

    def __init__(
        self,
        dataset: SequenceDataset,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        running_rank, running_world_size = get_dist_info()
        rank = running_rank if rank is None else rank
        shares: list[list[int]] = [[] for _ in range(running_world_size if world_size is None else world_size)]
        frames = [0] * len(shares)
        by_length = sorted(range(len(dataset.sequences)), key=lambda number: -len(dataset.sequences[number]))
        for number in by_length:
            emptiest = frames.index(min(frames))
            shares[emptiest].append(number)
            frames[emptiest] += len(dataset.sequences[number])
        self._sequences = [dataset.sequences[number] for number in sorted(shares[rank])]

    def __len__(self) -> int:
        return sum(len(sequence) for sequence in self._sequences)

    def __iter__(self) -> Iterator[FrameRequest]:
        for sequence in self._sequences:
            for position, index in enumerate(sequence.tolist()):
                yield FrameRequest(index, 0, position > 0, (0, index, 0))
