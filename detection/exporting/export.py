"""A trained detector to the files of `detection.deployment.contract`."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from mmengine.config import Config
from torch import Tensor, nn

from detection.deployment.contract import (
    FEATURES,
    FILES,
    FORMATS,
    HEAD,
    METADATA_KEY,
    PARAMETERS,
    POSITION,
    SINGLE,
    Description,
    Signature,
    cells,
    signatures,
)
from detection.exporting.graphs import (
    HeadWithMemory,
    ImageFeatures,
    PositionEmbedding,
    Setup,
    WholeDetector,
    packed,
    plain_operators,
    read_levels,
)
from detection.exporting.half_precision import name_for_float32
from detection.exporting.image_detectors import image_detector_graph
from detection.exporting.onnx_graph import exported, nodes_of, strip_traces
from detection.exporting.parameters import parameters_yaml
from detection.exporting.pipeline import ImagePipeline, image_pipeline
from detection.models.detectors.multi_view import MultiViewDetector
from detection.models.fusing import fused
from detection.models.heads.petr_head import PETRHead
from detection.models.yolo.detector import DynamicYoloDetector
from detection.registry import MODELS
from detection.running.class_counts import check_class_counts
from detection.running.image_detector import class_names
from detection.running.trained import setting, trained_model
from scenes import InputError, read_taxonomy
from scenes.files import atomic_paths
from scenes.geometry import FloatArray

PRECISIONS: Final = ("fp32", "fp16-safe")
_REASONS: Final = {
    "DynamicDetector": "a router decides frame by frame which of its two networks runs, and the node's files have no "
    "branches; a config of the easy or the hard one alone has",
    "DistilledDetector": "it holds a teacher and its student; `streamtrack distill_convert` gives the student's "
    "weights, which its own config exports",
}
_TYPES: Final = {onnx.TensorProto.FLOAT: "float"}


@dataclass(frozen=True, eq=False)
class Options:
    """How a detector is exported.

    Attributes:
        format: one of `FORMATS`; None for `autoware`, and `single` of a detector that remembers nothing.
        node_channels: `rgb`, or `bgr` for nodes before August 2026.
        base_link_from_lidar: (4, 4) from the frame in which the network thinks to that of its inputs and boxes; None
            for the same.
        precision: one of `PRECISIONS`; `fp16-safe` names the layers that half precision would spoil so that the node
            asks for float32 in them.
        cameras: names in the order in which the network sees them; None for those of the config, or nuScenes' six.
    """

    format: str | None = None
    node_channels: str = "rgb"
    base_link_from_lidar: FloatArray | None = None
    precision: str = "fp32"
    cameras: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class Export:
    """An exported detector, before it is written.

    Attributes:
        description: what its files say of themselves.
        graphs: ONNX models by the names of `FORMATS`.
        parameters: the text of `PARAMETERS`; None in the format `single`.
    """

    description: Description
    graphs: Mapping[str, Any]
    parameters: str | None


def export_detector(config: Config, checkpoint: Path | str, options: Options) -> Export:
    """The detector of a config with the weights of a checkpoint as ONNX.

    Raises:
        InputError: the config or the checkpoint cannot be used, or this model has no export.
    """
    name = Path(config.filename or "model").stem
    kind: Any = MODELS.get(setting(config, "model").get("type"))
    if kind is DynamicYoloDetector:
        return _image_detector(config, checkpoint, name, options)
    _check_kind(kind)
    dataset = config.get("val_dataloader", {}).get("dataset", {})
    taxonomy = read_taxonomy(dataset.get("dataroot", ""))
    check_class_counts(config, dataset, taxonomy)
    pipeline = image_pipeline(config, options.cameras)
    classes = tuple(dataset.get("classes") or taxonomy.names)
    return export_model(trained_model(config, checkpoint), pipeline, classes, name, options)


def export_model(
    model: nn.Module, pipeline: ImagePipeline, classes: tuple[str, ...], name: str, options: Options
) -> Export:
    """A network with its weights as ONNX.

    Args:
        model: is not changed.
        pipeline: what becomes of its images.
        classes: what its labels index.
        name: by which the files tell where they come from.
        options: how.

    Raises:
        InputError: this model has no export, or not in this format.
    """
    _check_kind(type(model))
    form: Any = fused(model)
    form.image_format = torch.contiguous_format
    plain_operators(form)
    setup = _setup(pipeline, options)
    described = _description(form, pipeline, classes, name, options)
    graphs = _single(form, setup, described) if described.format == "single" else _autoware(form, setup, described)
    if options.precision == "fp16-safe":
        for graph in graphs.values():
            name_for_float32(graph)
    for part, graph in graphs.items():
        strip_traces(graph)
        check_graph(graph, FILES[part])
    parameters = None
    if described.format == "autoware":
        parameters = parameters_yaml(described, _range_in_base(described))
    return Export(described, graphs, parameters)


def _image_detector(config: Config, checkpoint: Path | str, name: str, options: Options) -> Export:
    """A detector of single images, see `image_detector_graph`.

    Raises:
        InputError: it is asked for in a form that it does not have.
    """
    if options.format == "autoware" or options.base_link_from_lidar is not None:
        raise InputError(f"{name}: a detector of single images goes into no car's frame and not into 'autoware'")
    resize, *others = setting(config, "val_dataloader")["dataset"]["pipeline"]
    if resize["type"] != "Letterbox" or others:
        raise InputError("val_dataloader.dataset.pipeline: of its steps, an exported detector does Letterbox alone")
    model: Any = trained_model(config, checkpoint)
    if not model.router.is_trained:
        raise InputError(f"{checkpoint}: the router has never been trained, nothing tells which images are easy")
    size_px = (int(resize["size"][0]), int(resize["size"][1]))
    graph = image_detector_graph(model, size_px)
    count = next(value for value in graph.graph.output if value.name == "boxes").type.tensor_type.shape.dim[1].dim_value
    described = Description(
        model=name,
        export="",
        format="single",
        classes=class_names(config),
        cameras=("image",),
        image_size_px=size_px,
        channels="rgb",
        center_range_m=(),
        max_boxes=count,
        base_link_from_lidar=(),
        task="images",
    )
    strip_traces(graph)
    check_graph(graph, FILES[SINGLE])
    return Export(described, {SINGLE: graph}, None)


def write_export(export: Export, folder: Path) -> list[Path]:
    """Write the files of an export, all of them or none.

    Returns:
        the files.

    Raises:
        InputError: the folder holds an export of the other format.
    """
    for format_, parts in FORMATS.items():
        for part in parts:
            if format_ != export.description.format and (folder / FILES[part]).exists():
                raise InputError(f"{folder / FILES[part]}: this folder holds an export of the format '{format_}'")
    described = replace(export.description, export=_digest(export))
    contents = {}
    for part, graph in export.graphs.items():
        del graph.metadata_props[:]
        entry = graph.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, described.to_json()
        contents[folder / FILES[part]] = graph.SerializeToString()
    if export.parameters is not None:
        contents[folder / PARAMETERS] = export.parameters.encode()
    with atomic_paths(list(contents)) as temporaries:
        for temporary, content in zip(temporaries, contents.values(), strict=True):
            temporary.write_bytes(content)
    return list(contents)


def _check_kind(kind: type[Any] | None) -> None:
    """Refuse a class of models that has no export."""
    if kind is not MultiViewDetector:
        name = "None" if kind is None else kind.__name__
        raise InputError(f"a {name} has no export: {_REASONS.get(name, 'it is no detector')}")


def _setup(pipeline: ImagePipeline, options: Options) -> Setup:
    scale, offset, reverse = pipeline.from_node(options.node_channels)
    return Setup(
        cameras=len(pipeline.cameras),
        image_size_px=pipeline.size_px,
        cells=cells(pipeline.size_px),
        base_from_model=options.base_link_from_lidar,
        scale=None if np.allclose(scale, 1, atol=1e-9) else scale,
        offset=None if np.allclose(offset, 0, atol=1e-9) else offset,
        reverse=reverse,
    )


def _description(
    model: MultiViewDetector, pipeline: ImagePipeline, classes: tuple[str, ...], name: str, options: Options
) -> Description:
    head, memory = model.pts_bbox_head, model.memory
    format_ = options.format or ("autoware" if memory is not None else "single")
    if format_ == "autoware" and memory is None:
        raise InputError(
            f"{name}: a detector of single frames has no memory, which the third file of the format 'autoware' needs; "
            "export it as 'single'"
        )
    base_from_model = np.eye(4) if options.base_link_from_lidar is None else options.base_link_from_lidar
    propagated = 0 if memory is None else memory.num_propagated
    coder = None if head is None else head.bbox_coder
    rows = model.img_roi_head.peaks_per_camera * len(pipeline.cameras) if head is None else 0
    return Description(
        model=name,
        export="",
        format=format_,
        classes=classes,
        cameras=pipeline.cameras,
        image_size_px=pipeline.size_px,
        channels=options.node_channels,
        center_range_m=(-np.inf,) * 3 + (np.inf,) * 3 if coder is None else tuple(coder.center_range_m),
        max_boxes=min(model.img_roi_head.max_num, rows) if coder is None else coder.max_num,
        base_link_from_lidar=tuple(tuple(map(float, row)) for row in base_from_model),
        memory_length=0 if memory is None else memory.length,
        memory_topk=0 if memory is None else memory.topk,
        num_propagated=propagated,
        num_queries=0 if head is None else head.num_new + propagated,
    )


def _autoware(model: MultiViewDetector, setup: Setup, described: Description) -> dict[str, Any]:
    shapes = _level_shapes(model, setup)
    together = packed([torch.empty(shape, device="meta") for shape in shapes], setup.cells).shape
    head = model.pts_bbox_head
    tokens = setup.cameras * setup.cells[0] * setup.cells[1]
    if isinstance(head, PETRHead):
        height, width = setup.image_size_px
        tokens = setup.cameras * -(-height // head.stride_px) * -(-width // head.stride_px)
    wanted = signatures(described, tuple(together), (1, tokens, head.embed_dims), head.embed_dims)
    parts = {
        FEATURES: ImageFeatures(model, setup),
        POSITION: PositionEmbedding(model, setup),
        HEAD: HeadWithMemory(copy.deepcopy(model), setup, shapes),
    }
    return {name: _graph(part, wanted[name]) for name, part in parts.items()}


def _single(model: MultiViewDetector, setup: Setup, described: Description) -> dict[str, Any]:
    embed_dims = 0 if model.pts_bbox_head is None else model.pts_bbox_head.embed_dims
    wanted = signatures(described, (), (), embed_dims)[SINGLE]
    return {SINGLE: _graph(WholeDetector(model, setup), wanted)}


def _graph(part: nn.Module, signature: Signature) -> Any:
    inputs = [_example(name, shape) for name, shape in signature.inputs.items()]
    return exported(part.eval(), inputs, list(signature.inputs), list(signature.outputs))


def _example(name: str, shape: Sequence[int]) -> Tensor:
    """Numbers of a size that can be; what is exported does not depend on them."""
    if shape[-2:] == (4, 4):
        return torch.eye(4).expand(*shape).contiguous()
    return torch.ones(*shape) if name == "img_metas_pad" else torch.zeros(*shape)


def _level_shapes(model: MultiViewDetector, setup: Setup) -> list[torch.Size]:
    """Of the feature maps that the heads read."""
    shaped = copy.deepcopy(model).to("meta")
    levels = shaped.extract_features(torch.empty(1, setup.cameras, 3, *setup.image_size_px, device="meta"))
    return [levels[level].shape for level in read_levels(model)]


def _digest(export: Export) -> str:
    content = hashlib.sha256(export.description.to_json().encode())
    for graph in export.graphs.values():
        for tensor in graph.graph.initializer:
            content.update(tensor.raw_data)
    return content.hexdigest()[:16]


def check_graph(graph: Any, name: str) -> None:
    """Check a graph by ONNX's own checker, and that nothing in it is what the node cannot take.

    Raises:
        InputError: something is.
    """
    onnx.checker.check_model(graph, full_check=True)
    used = {given for node in nodes_of(graph.graph) for given in node.input}
    unused = [given.name for given in graph.graph.input if given.name not in used]
    foreign = {node.op_type for node in nodes_of(graph.graph) if node.domain not in ("", "ai.onnx")}
    wrong = [value.name for value in graph.graph.output if value.type.tensor_type.elem_type not in _TYPES]
    if unused or foreign or wrong or graph.functions:
        raise InputError(f"{name}: does not fit: unused {unused}, operators {sorted(foreign)}, outputs {wrong}")


def _range_in_base(described: Description) -> list[float]:
    """The smallest box in base_link around the range in which the network keeps boxes."""
    least_greatest = np.array(described.center_range_m).reshape(2, 3)
    corners = np.array(list(itertools.product(*least_greatest.T)))
    base_from_model = np.array(described.base_link_from_lidar)
    moved = corners @ base_from_model[:3, :3].T + base_from_model[:3, 3]
    return [float(round(value, 6)) for value in (*moved.min(axis=0), *moved.max(axis=0))]
