"""`TemporalMemory`: the queries a streaming detector carries from frame to frame, with their names.

Each frame pushes its best queries in front; the newest `num_propagated` rows become queries of the next frame, the
others only keys of its self-attention. Between frames rows lie in global coordinates, in float64.

Source: Wang et al., StreamPETR, 2023, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import torch
from torch import Tensor

from detection.frames import FrameBatch
from scenes.errors import InputError

NO_QUERY = -1


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """M remembered queries for each of B streams, the newest first.

    Attributes:
        embeddings: (B, M, C) float32.
        reference_points_m: (B, M, 3) where the object was seen when the row was pushed; float32 in a lidar frame,
            float64 in global coordinates. Not moved by its velocity since.
        velocities_mps: (B, M, 2) float32, along x and y of the lidar frame in which the row was pushed.
        timestamps_s: (B, M) float64, when the row was pushed.
        poses: (B, M, 4, 4) from the lidar frame in which the row was pushed to the frame of `reference_points_m`, of
            the same type. All zero in rows that nothing has filled.
        query_ids: (B, M) int64, names of the queries; `NO_QUERY` in rows that nothing has filled.
    """

    embeddings: Tensor
    reference_points_m: Tensor
    velocities_mps: Tensor
    timestamps_s: Tensor
    poses: Tensor
    query_ids: Tensor

    def __getitem__(self, rows: slice) -> MemoryRows:
        """Some rows of every stream."""
        return MemoryRows(*(value[:, rows] for value in self.tensors()))

    def moved(self, to_from_here: Tensor, dtype: torch.dtype) -> MemoryRows:
        """The same rows in another frame, computed in float64 and kept as `dtype`; `to_from_here` (B, 4, 4)."""
        transform = to_from_here.double().unsqueeze(1)
        points = self.reference_points_m.double().unsqueeze(-1)
        points = (transform[..., :3, :3] @ points).squeeze(-1) + transform[..., :3, 3]
        poses = transform @ self.poses.double()
        # Written out: `dataclasses.replace` has no place in a graph before torch 2.8.
        return MemoryRows(
            self.embeddings, points.to(dtype), self.velocities_mps, self.timestamps_s, poses.to(dtype), self.query_ids
        )

    def where(self, condition: Tensor, other: MemoryRows) -> MemoryRows:
        """These rows for streams where `condition` (B,) holds, those of `other` for the rest."""
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return MemoryRows(
            *(torch.where(condition.view(-1, *[1] * (mine.dim() - 1)), mine, theirs) for mine, theirs in pairs)
        )

    def followed_by(self, other: MemoryRows) -> MemoryRows:
        """These rows in front of others."""
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return MemoryRows(*(torch.cat((mine, theirs), dim=1) for mine, theirs in pairs))

    def tensors(self) -> list[Tensor]:
        """The attributes in their order."""
        return [getattr(self, name) for name in _COLUMNS]


_COLUMNS: Final = tuple(field.name for field in fields(MemoryRows))


class _AlignedRows(NamedTuple):
    """Rows in the lidar frame of the present frame, its time (B,) and its pose (B, 4, 4)."""

    rows: MemoryRows
    timestamp_s: Tensor
    global_from_lidar: Tensor


class TemporalMemory:
    """A first-in first-out bank of queries for every stream of a batch. No part of a model's `state_dict`.

    One frame: `align` to it, `read` the rows, `name_queries` for the queries that are new, `push` the best.
    """

    def __init__(self, length: int, topk: int, num_propagated: int, embed_dims: int = 256) -> None:
        """An empty memory.

        Args:
            length: rows a frame reads.
            topk: rows a frame pushes.
            num_propagated: of the rows read, how many become queries.
            embed_dims: channels of an embedding.

        Raises:
            InputError: more rows are propagated than pushed, or pushed than read.
        """
        if not 0 < num_propagated <= topk <= length:
            raise InputError(
                f"memory: needs 0 < num_propagated <= topk <= length, got num_propagated {num_propagated}, "
                f"topk {topk}, length {length}"
            )
        self.length = length
        self.topk = topk
        self.num_propagated = num_propagated
        self.embed_dims = embed_dims
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next frame starts a scene in every stream."""
        self._bank: MemoryRows | None = None  # in global coordinates, `topk` rows longer than what is read
        self._next_ids: Tensor | None = None  # (B,) int64
        self._aligned: _AlignedRows | None = None

    def state_before(self, frame: FrameBatch) -> tuple[dict[str, Tensor], Tensor]:
        """What is remembered before a frame, in tensors of the same shapes whatever came before.

        Returns:
            a `state()`, of zeros where there is none for the frame's streams; and (B,) bool, which streams go on in it.

        Raises:
            InputError: the number of streams has changed within a scene.
        """
        device, streams = frame.timestamp_s.device, len(frame.continues_scene)
        if self._bank is not None and self._continues_with(frame):
            return {name: value.to(device) for name, value in self.state().items()}, frame.continues_scene
        rows = self.length + self.topk
        zeros = MemoryRows(
            embeddings=torch.zeros(streams, rows, self.embed_dims, device=device),
            reference_points_m=torch.zeros(streams, rows, 3, dtype=torch.float64, device=device),
            velocities_mps=torch.zeros(streams, rows, 2, device=device),
            timestamps_s=torch.zeros(streams, rows, dtype=torch.float64, device=device),
            poses=torch.zeros(streams, rows, 4, 4, dtype=torch.float64, device=device),
            query_ids=torch.full((streams, rows), NO_QUERY, device=device),
        )
        state = {name: getattr(zeros, name) for name in _COLUMNS}
        next_ids = torch.zeros(streams, dtype=torch.int64, device=device)
        return {**state, "next_query_ids": next_ids}, torch.zeros_like(frame.continues_scene)

    def align(self, frame: FrameBatch, start_points_m: Tensor) -> None:
        """Brings the rows into the lidar frame of a new frame; a stream that starts a scene is emptied.

        Where a scene starts, the rows to be propagated are new queries without content at `start_points_m`, standing
        still, and take the first names of the scene.

        Args:
            frame: the new frame.
            start_points_m: (num_propagated, 3) in the lidar frame.

        Raises:
            InputError: the number of streams has changed within a scene.
        """
        start = self._scene_start(frame, start_points_m)
        next_ids = torch.full_like(frame.continues_scene, self.num_propagated, dtype=torch.int64)
        if self._bank is not None and self._next_ids is not None and self._continues_with(frame):
            device = frame.timestamp_s.device
            bank = MemoryRows(*(value.to(device) for value in self._bank[: self.length].tensors()))
            rows = bank.moved(frame.lidar_from_global, torch.float32)
            start = rows.where(frame.continues_scene, start)
            next_ids = torch.where(frame.continues_scene, self._next_ids.to(device), next_ids)
        self._aligned = _AlignedRows(start, frame.timestamp_s, frame.global_from_lidar)
        self._next_ids = next_ids

    def read(self) -> MemoryRows:
        """The `length` rows in the lidar frame of the frame aligned to; the first `num_propagated` become queries."""
        return self._present().rows

    def ages_s(self) -> Tensor:
        """(B, length) float64, time since each row was pushed; 0 in rows that a scene starts with."""
        present = self._present()
        return present.timestamp_s.unsqueeze(1) - present.rows.timestamps_s

    def name_queries(self, count: int) -> Tensor:
        """Names for the `count` new queries of this frame: (B, count) int64, the next numbers of each stream."""
        if self._next_ids is None:
            raise RuntimeError("align the memory to a frame first")
        names = self._next_ids.unsqueeze(1) + torch.arange(count, device=self._next_ids.device)
        self._next_ids = self._next_ids + count
        return names

    def push(
        self, scores: Tensor, embeddings: Tensor, points_m: Tensor, velocities_mps: Tensor, query_ids: Tensor
    ) -> Tensor:
        """Puts the best queries of the frame aligned to in front of the others; no gradient passes.

        Args:
            scores: (B, Q) by which the queries compete.
            embeddings: (B, Q, C).
            points_m: (B, Q, 3) in the lidar frame.
            velocities_mps: (B, Q, 2).
            query_ids: (B, Q) int64.

        Returns:
            (B, topk) int64 indices of the queries pushed, the best first.
        """
        present = self._present()
        best = scores.detach().topk(self.topk, dim=1).indices
        pushed = MemoryRows(
            embeddings=_taken(embeddings.detach().float(), best),
            reference_points_m=_taken(points_m.detach().float(), best),
            velocities_mps=_taken(velocities_mps.detach().float(), best),
            timestamps_s=present.timestamp_s.unsqueeze(1).expand(-1, self.topk),
            poses=torch.eye(4, device=best.device).expand(*best.shape, 4, 4),
            query_ids=query_ids.gather(1, best),
        )
        self._bank = pushed.followed_by(present.rows).moved(present.global_from_lidar, torch.float64)
        return best

    def state(self) -> dict[str, Tensor]:
        """Everything a later run needs to go on, as tensors by name; empty after a reset."""
        if self._bank is None or self._next_ids is None:
            return {}
        rows = {name: getattr(self._bank, name) for name in _COLUMNS}
        return {**rows, "next_query_ids": self._next_ids}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state()`, on any device; the rows that no frame will read may be left out.

        Raises:
            InputError: the state of a memory of another shape, or no state at all.
        """
        self.reset()
        if not state:
            return
        if set(state) != {*_COLUMNS, "next_query_ids"}:
            raise InputError(f"memory: a state has {sorted(_COLUMNS)} and next_query_ids, this one {sorted(state)}")
        shape = tuple(state["embeddings"].shape[1:])
        if shape not in [(rows, self.embed_dims) for rows in (self.length, self.length + self.topk)]:
            raise InputError(
                f"memory: this one holds {self.length + self.topk} rows of {self.embed_dims} channels, "
                f"the state {shape[0]} of {shape[-1]}"
            )
        self._bank = MemoryRows(**{name: state[name] for name in _COLUMNS})
        self._next_ids = state["next_query_ids"]

    def _present(self) -> _AlignedRows:
        """The rows in the frame aligned to."""
        if self._aligned is None:
            raise RuntimeError("align the memory to a frame first")
        return self._aligned

    def _continues_with(self, frame: FrameBatch) -> bool:
        """Whether the bank's streams can go on in a frame; False where all of them start scenes with another number."""
        streams = frame.continues_scene.shape[0]
        if self._next_ids is None or self._next_ids.shape[0] == streams:
            return True
        if bool(frame.continues_scene.any()):
            raise InputError(
                f"memory: it holds {self._next_ids.shape[0]} streams, and sample {frame.sample_tokens[0]} continues "
                f"a scene in a batch of {streams}; every batch has to hold the same streams"
            )
        return False

    def _scene_start(self, frame: FrameBatch, start_points_m: Tensor) -> MemoryRows:
        """Rows of a scene that has just begun: nothing remembered, and the queries that stand in for it."""
        device, streams = frame.timestamp_s.device, frame.continues_scene.shape[0]
        points = torch.zeros(streams, self.length, 3, device=device)
        points[:, : self.num_propagated] = start_points_m.detach().float()
        poses = torch.zeros(streams, self.length, 4, 4, device=device)
        poses[:, : self.num_propagated] = torch.eye(4, device=device)
        query_ids = torch.full((streams, self.length), NO_QUERY, device=device)
        query_ids[:, : self.num_propagated] = torch.arange(self.num_propagated, device=device)
        return MemoryRows(
            embeddings=torch.zeros(streams, self.length, self.embed_dims, device=device),
            reference_points_m=points,
            velocities_mps=torch.zeros(streams, self.length, 2, device=device),
            timestamps_s=frame.timestamp_s.unsqueeze(1).repeat(1, self.length),
            poses=poses,
            query_ids=query_ids,
        )


def _taken(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of values (B, Q, C) at indices (B, K): (B, K, C)."""
    return values.gather(1, indices.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
