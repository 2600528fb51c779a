"""ONNX graphs as TensorRT and Autoware's node want them: float32 alone, layers with telling names."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from onnxscript import opset18 as typed_opset
from onnxscript import rewriter
from torch import Tensor, nn
from torch.onnx import OnnxExporterError

from scenes import InputError

OPSET: Final = 18
_ops: Any = typed_opset  # as an exporter calls it: with values of a graph
_FLOAT, _DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
_WISHED_FLOAT32: Final = ("Sigmoid", "Softmax")
_SCOPES: Final = "pkg.torch.onnx.name_scopes"


def exported(part: nn.Module, inputs: Sequence[Tensor], input_names: Sequence[str], output_names: Sequence[str]) -> Any:
    """A part of a detector as an ONNX model.

    Args:
        part: in evaluation mode.
        inputs: examples, whose shapes stay fixed.
        input_names, output_names: in their order.

    Raises:
        InputError: something in it has no counterpart in ONNX.
    """
    with torch.no_grad(), _quiet(), _naming_failures(), _without_pairs_of_slices():
        program = torch.onnx.export(
            part,
            tuple(inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_names),
            output_names=list(output_names),
            verbose=False,
            custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
        )
    assert program is not None
    model = program.model_proto
    _to_float32(model)
    _without_idle_casts(model)
    _without_allowzero(model)
    _name_layers(model)
    return model


def _stable_sort(values: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """torch's sort: ONNX's TopK puts the first of equal numbers first, and TensorRT's knows no integers of 64 bits."""
    count = _ops.Reshape(_ops.Gather(_ops.Shape(values), [dim]), [1])
    found, places = _ops.TopK(_ops.Cast(values, to=_FLOAT), count, axis=dim, largest=int(descending), sorted=1)
    return _ops.CastLike(found, values), places


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of packages that are not there, and warns of torch's own use of torch."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _without_pairs_of_slices() -> Iterator[None]:
    """The optimiser looks for pairs of slices that one Split can replace, and goes through the whole graph for that at
    each of its nodes: a third of the time of a small RepDETR3D's export, and more of larger graphs, for a layer or two.
    """
    rules = getattr(rewriter, "_DEFAULT_REWRITE_RULES", None)  # private, and not in every release
    if rules is None:
        yield
        return
    rewriter._DEFAULT_REWRITE_RULES = tuple(rule for rule in rules if rule.name != "SlicesSplit")
    try:
        yield
    finally:
        rewriter._DEFAULT_REWRITE_RULES = rules


@contextmanager
def _naming_failures() -> Iterator[None]:
    """The reason at the bottom of a failed export, as one line."""
    try:
        yield
    except OnnxExporterError as error:
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        line = str(reason).strip().splitlines()[0]
        raise InputError(f"this model has no export: {type(reason).__name__}: {line}") from error


def _to_float32(model: Any) -> None:
    """What the network computes in float64, as the node and TensorRT do, in float32."""
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == _DOUBLE:
            tensor.CopyFrom(_as_float32(tensor))
    for node in nodes_of(graph):
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == _DOUBLE:
                attribute.i = _FLOAT
            elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _DOUBLE:
                attribute.t.CopyFrom(_as_float32(attribute.t))
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == _DOUBLE:
            value.type.tensor_type.elem_type = _FLOAT


def nodes_of(graph: Any) -> Iterator[Any]:
    """All nodes, those of branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)


def _as_float32(tensor: Any) -> Any:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def _without_idle_casts(model: Any) -> None:
    """Leave out casts from float32 to float32."""
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *graph.input)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    results = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        idle = node.op_type == "Cast" and node.attribute[0].i == types.get(node.input[0])
        if idle and node.output[0] not in results:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _without_allowzero(model: Any) -> None:
    """Shapes without zeros mean the same with and without this attribute, which not every reader knows."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.dims}
    for node in model.graph.node:
        if node.op_type == "Reshape" and (constants.get(node.input[1], np.zeros(1)) != 0).all():
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _name_layers(model: Any) -> None:
    """Names that say where in the network a layer is, and which are sigmoids and softmaxes: by these words the node
    finds the layers that it wants in float32."""
    for index, node in enumerate(model.graph.node):
        name = f"{layer_place(node)}/{node.op_type}_{index}"
        node.name = f"{name}/{node.op_type.lower()}" if node.op_type in _WISHED_FLOAT32 else name


def layer_place(node: Any) -> str:
    """Where in the network a node comes from, as `model/pts_bbox_head/...`."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            scopes = json.loads(entry.value.replace("'", '"'))
            return str(scopes[-2]).replace(".", "/") if len(scopes) > 1 else ""
    return ""


def strip_traces(model: Any) -> None:
    """Leave out where in the program each layer was written: paths of the machine, and most of a small file."""
    for node in nodes_of(model.graph):
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = model.doc_string = ""
