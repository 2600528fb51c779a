"""`OnnxDetector`: an exported detector, used as a `detection.Detector` is, by ONNX Runtime and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection.data.sample import FrameSample
from detection.deployment.contract import FEATURES, HEAD, POSITION, SINGLE, Description
from detection.deployment.decoding import FoundBoxes, found_boxes
from detection.deployment.images import FILTERS, Float32Array, stream_images
from detection.deployment.node import NodeMemory, Tensors
from detection.deployment.sessions import Graphs, load_graphs
from detection.global_boxes import attributes_of_labels, boxes_from_numbers, rigid
from scenes import NUSCENES, Boxes3D, InputError, ObjectClass, Taxonomy
from scenes.geometry import FloatArray, invert_pose


@dataclass(frozen=True, eq=False)
class NodeFrame:
    """One time step of B streams, as an exported network takes it.

    Attributes:
        images: (B, N, 3, H, W) float32, normalised as the node does it.
        intrinsics: (B, N, 4, 4) float32, points of the camera to homogeneous points of `images`.
        base_from_image: (B, N, 4, 4) float32, the inverse of (intrinsics @ camera from base).
        global_from_base: (B, 4, 4) float64.
        timestamp_s: (B,) float64.
        continues_scene: (B,) bool, whether this frame follows the one that its stream showed before.
        sample_tokens: B.
    """

    images: Float32Array
    intrinsics: Float32Array
    base_from_image: Float32Array
    global_from_base: FloatArray
    timestamp_s: FloatArray
    continues_scene: NDArray[np.bool_]
    sample_tokens: tuple[str, ...]


class OnnxDetector:
    """An exported detector that takes one time step after the other and remembers the objects it has seen.

    Args:
        graphs: of an export.
        taxonomy: the classes of the data, which the labels of the boxes mean; None for nuScenes', or the network's own
            where nuScenes has not all of them.
        filter_: how images shrink, one of `FILTERS`.

    Raises:
        InputError: a class is none of the taxonomy's.
    """

    def __init__(self, graphs: Graphs, taxonomy: Taxonomy | None = None, filter_: str = "bicubic") -> None:
        if graphs.description.task != "scenes":
            raise InputError(f"{graphs.description.model} finds boxes in single images: it is an OnnxImageDetector")
        if filter_ not in FILTERS:
            raise InputError(f"filter '{filter_}': expected {' or '.join(FILTERS)}")
        self._graphs = graphs
        self._filter = filter_
        self.classes = graphs.description.classes
        self.taxonomy = _taxonomy_of(self.classes) if taxonomy is None else taxonomy
        self._labels = self.taxonomy.labels(self.classes)
        self._attributes = attributes_of_labels(self.taxonomy)
        self.reset()

    @classmethod
    def from_onnx(
        cls,
        folder: Path | str,
        taxonomy: Taxonomy | None = None,
        filter_: str = "bicubic",
        providers: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> OnnxDetector:
        """The detector in the files that `streamtrack export` has written.

        Args:
            folder: of the files.
            taxonomy, filter_: see the class.
            providers, threads: see `load_graphs`.

        Raises:
            InputError: see `load_graphs`.
        """
        return cls(load_graphs(Path(folder), providers, threads), taxonomy, filter_)

    @property
    def description(self) -> Description:
        """What the files say of themselves."""
        return self._graphs.description

    def reset(self) -> None:
        """Forget what was seen before."""
        self._memories: list[NodeMemory] = []
        self._located: list[tuple[bytes, Tensors]] = []

    def prepare(self, samples: Sequence[FrameSample], continues_scene: Sequence[bool]) -> NodeFrame:
        """The next time step of several streams, from images as the cameras give them.

        Args:
            samples: one for each stream, with images (H, W, 3) uint8 RGB.
            continues_scene: for each stream whether this is the next frame of the scene that it has shown.

        Raises:
            InputError: other cameras than the network has.
        """
        streams = [stream_images(sample, self.description, self._filter) for sample in samples]
        model_from_base = invert_pose(np.array(self.description.base_link_from_lidar))
        return NodeFrame(
            images=np.stack([stream.images for stream in streams]),
            intrinsics=np.stack([stream.intrinsics for stream in streams]),
            base_from_image=np.stack([stream.base_from_image for stream in streams]),
            global_from_base=np.stack(
                [np.asarray(sample.global_from_lidar, dtype=np.float64) @ model_from_base for sample in samples]
            ),
            timestamp_s=np.array([sample.timestamp_us * 1e-6 for sample in samples]),
            continues_scene=np.array(continues_scene, dtype=bool),
            sample_tokens=tuple(sample.sample_token for sample in samples),
        )

    def step(self, frame: NodeFrame) -> list[Boxes3D]:
        """Detect in the next time step.

        Args:
            frame: of B streams, of which each either continues its scene or begins one.

        Returns:
            B `Boxes3D` in global coordinates, best first. An object keeps its `query_id` from step to step.

        Raises:
            InputError: the number of streams has changed within a scene.
        """
        self._follow(frame)
        return [self._boxes(*self._found(frame, stream), frame, stream) for stream in range(len(frame.images))]

    def _follow(self, frame: NodeFrame) -> None:
        """Forget the streams that begin a scene."""
        streams = len(frame.images)
        if len(self._memories) != streams:
            if self._memories and frame.continues_scene.any():
                raise InputError(
                    f"memory: it holds {len(self._memories)} streams, and sample {frame.sample_tokens[0]} continues a "
                    f"scene in a batch of {streams}; every batch has to hold the same streams"
                )
            self._memories = self._empty_memories(streams) if self.description.memory_length > 0 else []
            self._located = []
        for memory, continues in zip(self._memories, frame.continues_scene, strict=False):
            if not continues:
                memory.reset()

    def _empty_memories(self, streams: int) -> list[NodeMemory]:
        shapes = self._graphs.input_shapes(SINGLE if self.description.format == "single" else HEAD)
        return [NodeMemory(self.description, shapes) for _ in range(streams)]

    def _found(self, frame: NodeFrame, stream: int) -> tuple[FoundBoxes, NDArray[np.int64] | None]:
        """What is found in a stream, and the names of its queries."""
        chosen = slice(stream, stream + 1)
        inputs: dict[str, Float32Array] = {}
        timestamp_s = float(frame.timestamp_s[stream])
        if self._memories:
            inputs |= self._memories[stream].before(frame.global_from_base[stream], timestamp_s)
        calibration = {"intrinsics": frame.intrinsics[chosen], "img2lidar": frame.base_from_image[chosen]}
        images = {"img": frame.images[chosen]}
        if self.description.format == "single":
            outputs = self._graphs.run(SINGLE, {**images, **calibration, **inputs})
        else:
            features = self._graphs.run(FEATURES, images)["img_feats"]
            outputs = self._graphs.run(HEAD, {"x": features, **self._position(calibration, stream), **inputs})
        found = found_boxes(outputs, self.description)
        return found, self._memories[stream].after(outputs, timestamp_s) if self._memories else None

    def _position(self, calibration: Tensors, stream: int) -> Tensors:
        """What the second file makes of a calibration, which is computed once for as long as it stays the same."""
        seen = b"".join(array.tobytes() for array in calibration.values())
        while len(self._located) <= stream:
            self._located.append((b"", {}))
        known, located = self._located[stream]
        if known != seen:
            size = np.array([*self.description.image_size_px, 3], dtype=np.float32)
            located = self._graphs.run(POSITION, {"img_metas_pad": size, **calibration})
            self._located[stream] = seen, located
        return located

    def _boxes(self, found: FoundBoxes, names: NDArray[np.int64] | None, frame: NodeFrame, stream: int) -> Boxes3D:
        query_ids = None if names is None or found.queries is None else names[found.queries]
        boxes = boxes_from_numbers(found.boxes, found.scores, self._labels[found.labels], query_ids, self._attributes)
        return boxes.transform(rigid(frame.global_from_base[stream]))

    def state(self) -> dict[str, Any]:
        """Everything a later run needs to go on, as arrays by name; empty where nothing is remembered."""
        return {
            f"{stream}.{name}": array
            for stream, memory in enumerate(self._memories)
            for name, array in memory.state().items()
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`.

        Raises:
            InputError: that of another model, or none.
        """
        self.reset()
        streams: dict[int, dict[str, Any]] = {}
        try:
            for key, array in state.items():
                stream, name = key.split(".", 1)
                streams.setdefault(int(stream), {})[name] = array
            memories = self._empty_memories(len(streams))
            for index, memory in enumerate(memories):
                memory.load_state(streams[index])
        except (KeyError, ValueError) as error:
            raise InputError(f"a state of another detector: {error}") from None
        self._memories = memories


def _taxonomy_of(classes: Sequence[str]) -> Taxonomy:
    """nuScenes' where it has all classes, else one of these alone."""
    if set(classes) <= set(NUSCENES.names):
        return NUSCENES
    return Taxonomy(tuple(ObjectClass(name, range_m=_UNLIMITED_M, categories=(name,)) for name in classes))


_UNLIMITED_M = 1e4
