"""One memory for the heads of several paths, and what a router is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.layers.precision import full_precision
from detection.models.memory import TemporalMemory
from detection.records import on_device
from scenes.errors import InputError

NUM_SUMMARY: Final = 3
_USUAL_SPEED_MPS = 10.0  # so that all numbers of a summary are of the order of 1
_HARD_PATH = "hard_path"


State = dict[str, Tensor]
"""What is remembered of streams, see `TemporalMemory.state`."""


class SharedMemory:
    """What is known of every stream between two frames, whichever path it has taken.

    Each head has a `TemporalMemory` to work on, whose content counts within a frame only: before the head runs it loads
    what is known of the streams that go through it, and afterwards that is taken back. Query identities are part of it,
    so that they go on where a stream changes its path. Behind the interface by which training resets, saves and
    restores.
    """

    def __init__(self) -> None:
        """An empty memory."""
        self._streams: State = {}
        self._hard: Tensor | None = None

    @property
    def hard_path(self) -> Tensor | None:
        """(B,) bool on the CPU, which streams took the hard path in the last frame; None before the first."""
        return self._hard

    def reset(self) -> None:
        """Forgets everything."""
        self._streams, self._hard = {}, None

    def state_before(self, memory: TemporalMemory, frame: FrameBatch) -> tuple[State, Tensor]:
        """What is known of all streams before a frame, as a head's memory would say it; see its `state_before`.

        Raises:
            InputError: the number of streams has changed within a scene.
        """
        memory.load_state(self._streams)
        state, continues_scene = memory.state_before(frame)
        if self._hard is not None and len(self._hard) != len(continues_scene):
            self.reset()  # all streams start scenes, or it would have been refused
        return state, continues_scene

    def take_back(self, parts: Sequence[State], order: Sequence[int], hard: Tensor) -> None:
        """Keeps what the heads have made of the streams.

        Args:
            parts: of the streams of each path that any has taken.
            order: which streams these are.
            hard: (B,) bool on the CPU, which streams took the hard path.
        """
        together = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        self._streams = streams_of(together, sorted(range(len(order)), key=order.__getitem__))
        self._hard = hard

    def state(self) -> State:
        """Everything a later run needs to go on, as tensors (B, ...) by name; empty after a reset."""
        return {} if self._hard is None else {**self._streams, _HARD_PATH: self._hard}

    def load_state(self, state: State) -> None:
        """Goes on from a `state()`.

        Raises:
            InputError: the state of another kind of memory.
        """
        self.reset()
        if not state:
            return
        if _HARD_PATH not in state:
            raise InputError("memory: the state of a detector with one path, this one has two")
        self._streams = {name: value for name, value in state.items() if name != _HARD_PATH}
        self._hard = state[_HARD_PATH]


def streams_of(state: State, streams: Sequence[int]) -> State:
    """What is remembered of some streams, in this order."""
    if list(streams) == list(range(len(next(iter(state.values()))))):
        return state
    index = on_device(torch.tensor(streams), next(iter(state.values())).device)
    return {name: value[index] for name, value in state.items()}


def memory_summary(memory: TemporalMemory, class_branch: nn.Module, track_score: float) -> Tensor:
    """(B, NUM_SUMMARY) what a memory that is aligned to a frame says of each stream; zeros where a scene starts.

    Share of the queries of the last frame that were objects, their mean score, speed of the car in tens of m/s.

    Args:
        memory: aligned.
        class_branch: embeddings (..., C) to class logits, as the heads have it.
        track_score: least score of an object.
    """
    newest = slice(memory.topk)
    rows, ages_s = memory.read()[newest], memory.ages_s()[:, newest]
    with full_precision(rows.embeddings):
        scores = class_branch(rows.embeddings).amax(dim=-1).sigmoid()
    tracked = (ages_s > 0) & (scores >= track_score)
    counts = tracked.sum(dim=1)
    mean_scores = (scores * tracked).sum(dim=1) / counts.clamp(min=1)
    moved_m, age_s = rows.poses[:, 0, :3, 3].norm(dim=-1), ages_s[:, 0]
    speeds_mps = torch.where(age_s > 0, moved_m / age_s, torch.zeros_like(age_s))
    return torch.stack((counts / memory.topk, mean_scores, speeds_mps / _USUAL_SPEED_MPS), dim=1).float()
