"""Graphs of the parts of a cascade as one graph with two branches, of which each run takes one."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, compose, helper

from detection.exporting.onnx_graph import OPSET


def with_branches(first: Any, easy: Any, hard: Any, condition: str) -> Any:
    """One model.

    Args:
        first: what always runs. Its outputs are those of the whole, but for `condition`, and what the branches read.
        easy, hard: what runs where `condition` is above 0, and where it is not. Their inputs have the names of inputs
            or outputs of `first`; their outputs have the same names and shapes, and are outputs of the whole.
        condition: an output of `first`, (1,) float32.
    """
    results = list(easy.graph.output)
    branches = {name: _branch(model, name) for name, model in (("easy", easy), ("hard", hard))}
    chosen = helper.make_node(
        "If",
        [f"{condition}_holds"],
        [result.name for result in results],
        name="path/If",
        then_branch=branches["easy"],
        else_branch=branches["hard"],
    )
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    asked = helper.make_node("Greater", [condition, "zero"], [f"{condition}_holds"], name="path/Greater")
    read = {given.name for model in (easy, hard) for given in model.graph.input}
    inner = read - {given.name for given in first.graph.input} | {condition}
    outputs = [value for value in first.graph.output if value.name not in inner] + results
    graph = helper.make_graph(
        [*first.graph.node, asked, chosen],
        "detector",
        list(first.graph.input),
        outputs,
        [*first.graph.initializer, zero],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=first.ir_version)
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _branch(model: Any, prefix: str) -> Any:
    """A graph as a branch: what it reads comes from around it, and its own names begin with the prefix."""
    given = {value.name for value in model.graph.input}
    graph = compose.add_prefix(model, f"{prefix}/", rename_inputs=False).graph
    for value in (*graph.input, *graph.output):
        assert value.name in given or value.name.startswith(f"{prefix}/")
    del graph.input[:]
    del graph.value_info[:]
    return graph
