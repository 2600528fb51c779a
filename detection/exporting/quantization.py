"""Convolutions of an export in int8, by ONNX Runtime's static quantisation with images of a data root.

The rest stays in float32: positions, times and boxes have no room in eight bits.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from detection.data.sample import FrameSample
from detection.deployment.contract import FEATURES, MEMORY, SINGLE, Description
from detection.deployment.images import Float32Array, stream_images
from detection.deployment.node import NodeMemory
from detection.exporting.export import Export
from scenes import InputError

_QUANTIZED: Final = ("Conv",)


def quantized(export: Export, frames: Iterable[FrameSample]) -> Export:
    """The same export with its convolutions in int8.

    Args:
        export: is not changed.
        frames: by whose images the ranges are chosen: some dozens, as unlike each other as what will be seen.

    Raises:
        InputError: there are no frames.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # an extra

    part = SINGLE if export.description.format == "single" else FEATURES
    graph = export.graphs[part]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        plain = Path(folder) / "plain.onnx"
        onnx.save(graph, str(plain))
        with _without_advice():
            quantize_static(
                str(plain),
                str(path),
                _Calibration(frames, export.description, graph),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTIZED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        int8 = onnx.load(str(path))
    return replace(export, description=replace(export.description, int8=True), graphs={**export.graphs, part: int8})


@contextmanager
def _without_advice() -> Iterator[None]:
    """It advises a step before, which is for graphs whose shapes are not known."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Calibration:
    """Inputs of a graph, frame by frame, as `onnxruntime.quantization` asks for them."""

    def __init__(self, frames: Iterable[FrameSample], description: Description, graph: Any) -> None:
        self._inputs = _inputs(frames, description, graph)
        self._given = False

    def get_next(self) -> dict[str, Float32Array] | None:
        """The next inputs; None after the last.

        Raises:
            InputError: there are none at all.
        """
        inputs = next(self._inputs, None)
        if inputs is None and not self._given:
            raise InputError("int8: there are no frames by which to choose the ranges")
        self._given = True
        return inputs


def _inputs(frames: Iterable[FrameSample], description: Description, graph: Any) -> Iterator[dict[str, Float32Array]]:
    shapes = {
        given.name: tuple(side.dim_value for side in given.type.tensor_type.shape.dim) for given in graph.graph.input
    }
    for sample in frames:
        seen = stream_images(sample, description, "bicubic")
        inputs: dict[str, Float32Array] = {
            "img": seen.images[None],
            "intrinsics": seen.intrinsics[None],
            "img2lidar": seen.base_from_image[None],
        }
        if f"pre_memory_{MEMORY[0]}" in shapes:
            # What the images look like does not depend on what is remembered.
            memory = NodeMemory(description, shapes)
            inputs |= memory.before(np.asarray(sample.global_from_lidar), sample.timestamp_us * 1e-6)
        yield _chosen(inputs, shapes)


def _chosen(inputs: Mapping[str, Float32Array], shapes: Mapping[str, Any]) -> dict[str, Float32Array]:
    return {name: array for name, array in inputs.items() if name in shapes}
