"""What Autoware's node keeps of one drive between frames, and its arithmetic, in float32 as the node's.

    before a frame   pre_memory_timestamp = stored + t     t: seconds since the first frame
    after it         stored = post_memory_timestamp - t
                     the first rows of post_memory_* are pre_memory_*
    at a reset       all of them are zero

Poses are relative to the place of the first frame, with their rotation as it is. Long drives would lose precision:
after 600 s both the time and the place begin anew, and what is remembered moves along, so that nothing is forgotten.

The names of the queries are ours, see `detection.models.memory`: the node has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detection.deployment.contract import MEMORY, Description
from detection.deployment.images import Float32Array
from scenes import NO_QUERY
from scenes.geometry import FloatArray, invert_pose

_LONGEST_S: Final = 600.0

Tensors = Mapping[str, Float32Array]


class NodeMemory:
    """What is remembered of one drive.

    Args:
        description: of the export.
        shapes: of the inputs of its last file, by name.
    """

    def __init__(self, description: Description, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._description = description
        self._shapes = {name: shapes[f"pre_memory_{name}"] for name in MEMORY}
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame begins a scene."""
        self._rows = {name: np.zeros(shape, dtype=np.float32) for name, shape in self._shapes.items()}
        self._first: tuple[float, FloatArray] | None = None
        propagated = self._description.num_propagated
        self._query_ids = np.full(self._description.memory_length, NO_QUERY, dtype=np.int64)
        self._query_ids[:propagated] = np.arange(propagated)
        self._next_id = propagated

    def before(self, global_from_base: FloatArray, timestamp_s: float) -> dict[str, Float32Array]:
        """The inputs of a frame that say where the car is and what it remembers.

        Args:
            global_from_base: (4, 4) pose of the car.
            timestamp_s: of the frame.
        """
        pose, since_first_s = self._relative(global_from_base, timestamp_s)
        inputs = {f"pre_memory_{name}": rows for name, rows in self._rows.items()}
        inputs["pre_memory_timestamp"] = self._rows["timestamp"] + since_first_s
        inputs["data_ego_pose"] = pose.astype(np.float32)[None]
        inputs["data_ego_pose_inv"] = invert_pose(pose).astype(np.float32)[None]
        return inputs

    def after(self, outputs: Tensors, timestamp_s: float) -> NDArray[np.int64]:
        """Keep what a frame leaves.

        Args:
            outputs: of the last file.
            timestamp_s: of the frame, as `before` has had it.

        Returns:
            (Q,) the names of its queries.
        """
        assert self._first is not None
        length, propagated = self._description.memory_length, self._description.num_propagated
        since_first_s = np.float32(timestamp_s - self._first[0])
        for name in MEMORY:
            rows = outputs[f"post_memory_{name}"]
            self._rows[name] = (rows - since_first_s if name == "timestamp" else rows)[:, :length]
        num_new = self._description.num_queries - propagated
        names: NDArray[np.int64] = np.concatenate((self._next_id + np.arange(num_new), self._query_ids[:propagated]))
        self._next_id += num_new
        pushed = outputs["post_memory_query"][0].astype(np.int64)
        self._query_ids = np.concatenate((names[pushed], self._query_ids))[:length]
        return names

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything a later run needs to go on, as arrays by name; empty after a reset."""
        if self._first is None:
            return {}
        first_s, place = self._first
        return {
            **self._rows,
            "first_s": np.array(first_s),
            "first_place_m": place,
            "query_ids": self._query_ids,
            "next_id": np.array(self._next_id),
        }

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a `state()`.

        Raises:
            KeyError, ValueError: that of a model of another shape, or none.
        """
        self.reset()
        if not state:
            return
        rows = {name: np.asarray(state[name], dtype=np.float32) for name in MEMORY}
        for name, array in rows.items():
            if array.shape != self._shapes[name]:
                raise ValueError(f"{name} of the state is {array.shape}, of the model {self._shapes[name]}")
        self._rows = rows
        self._first = float(state["first_s"]), np.asarray(state["first_place_m"], dtype=np.float64)
        self._query_ids = np.asarray(state["query_ids"], dtype=np.int64)
        self._next_id = int(state["next_id"])

    def _relative(self, global_from_base: FloatArray, timestamp_s: float) -> tuple[FloatArray, np.float32]:
        """The pose from the place of the first frame on, and the time since it."""
        place = global_from_base[:3, 3]
        if self._first is None:
            self._first = timestamp_s, place.copy()
        elif timestamp_s - self._first[0] > _LONGEST_S:
            self._begin_anew(timestamp_s, place)
        first_s, first_place = self._first
        pose = global_from_base.copy()
        pose[:3, 3] -= first_place
        return pose, np.float32(timestamp_s - first_s)

    def _begin_anew(self, timestamp_s: float, place: FloatArray) -> None:
        """Count time and place from here on, also of what is remembered."""
        assert self._first is not None
        first_s, first_place = self._first
        moved = (place - first_place).astype(np.float32)
        self._rows["timestamp"] = self._rows["timestamp"] + np.float32(timestamp_s - first_s)
        self._rows["reference_point"] = self._rows["reference_point"] - moved
        poses = self._rows["egopose"].copy()
        poses[..., :3, 3] -= moved * poses[..., 3:, 3]  # rows that nothing has filled stay zero
        self._rows["egopose"] = poses
        self._first = timestamp_s, place.copy()
