"""Which layers half precision would spoil: those that count metres of a drive, seconds, or pixels."""

from __future__ import annotations

from typing import Any, Final

from detection.exporting.onnx_graph import layer_place

_WORD: Final = "softmax"  # a name with it makes the node wish for float32 in a layer
_BEAR_IT: Final = (
    "img_backbone",
    "img_neck",
    "img_roi_head",
    "memory_embed",
    "featurized_pe",
    "spatial_alignment",
    "position_encoder",
    "transformer",
)
"""Parts that compute in half precision on a GPU all the time; all else is arithmetic of positions, times and boxes."""
_PRODUCTS: Final = ("MatMul", "Gemm", "Conv")


def name_for_float32(model: Any) -> None:
    """Give the layers that are not to be computed in half precision a name by which the node asks for float32."""
    for node in model.graph.node:
        place = layer_place(node)
        bears = any(f"/{part}" in f"/{place}" for part in _BEAR_IT)
        samples = place.endswith("attentions/1") and node.op_type not in _PRODUCTS
        if (not bears or samples) and _WORD not in node.name:
            node.name = f"{node.name}/{_WORD}"
