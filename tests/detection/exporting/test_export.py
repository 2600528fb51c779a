"""What export writes is what Autoware's node loads, and finds what the detector finds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto

from detection.deployment.contract import FILES, FORMATS
from detection.deployment.detector import OnnxDetector
from detection.deployment.over_scenes import data_frames
from detection.exporting.comparison import FrameDifference, compare_on, differences_table
from detection.exporting.graphs import features_of, packed, unpacked
from detection.exporting.pipeline import ImagePipeline, image_pipeline
from scenes import InputError
from scenes.city import VAL_SPLIT, VERSION

Export = Callable[..., Any]
IN_AUTOWARE = ("StreamPETR", "proposals", "RepDETR3D V2", "RepDETR3D EVA02")
SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("proposals", "perspective", "Focal-PETR", "RepDETR3D V2", "RepDETR3D EVA02")
]
EVERY = ["StreamPETR", *SLOW]

N, H, W, C = 6, 64, 176, 32
T, M, K, Q = 6 * 4 * 11, 40, 20, 60
# Sections 3 to 5 of the contract, for the small StreamPETR.
CONTRACT = {
    "simplify_extract_img_feat.onnx": ({"img": (1, N, 3, H, W)}, {"img_feats": (1, N, C, 4, 11)}),
    "simplify_position_embedding.onnx": (
        {"img_metas_pad": (3,), "intrinsics": (1, N, 4, 4), "img2lidar": (1, N, 4, 4)},
        {"pos_embed": (1, T, C), "cone": (1, T, 8)},
    ),
    "simplify_pts_head_memory.onnx": (
        {
            "x": (1, N, C, 4, 11),
            "pos_embed": (1, T, C),
            "cone": (1, T, 8),
            "data_ego_pose": (1, 4, 4),
            "data_ego_pose_inv": (1, 4, 4),
            "pre_memory_embedding": (1, M, C),
            "pre_memory_reference_point": (1, M, 3),
            "pre_memory_timestamp": (1, M, 1),
            "pre_memory_egopose": (1, M, 4, 4),
            "pre_memory_velo": (1, M, 2),
        },
        {
            "all_cls_scores": (1, 10, Q),
            "all_bbox_preds": (1, 10, Q),
            "post_memory_embedding": (1, M + K, C),
            "post_memory_reference_point": (1, M + K, 3),
            "post_memory_timestamp": (1, M + K, 1),
            "post_memory_egopose": (1, M + K, 4, 4),
            "post_memory_velo": (1, M + K, 2),
            "post_memory_query": (1, K),
        },
    ),
}


def _shapes(values: Any) -> dict[str, tuple[int, ...]]:
    assert all(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in values)
    return {value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in values}


def _models(folder: Path) -> dict[str, Any]:
    return {path.name: onnx.load(str(path)) for path in sorted(folder.glob("*.onnx"))}


def test_names_and_shapes_are_those_of_the_contract(exported: Export) -> None:
    models = _models(exported("StreamPETR").folder)
    found = {name: (_shapes(model.graph.input), _shapes(model.graph.output)) for name, model in models.items()}
    assert found == CONTRACT


@pytest.mark.parametrize("name", EVERY)
def test_graphs_are_such_as_the_node_and_tensorrt_take(exported: Export, name: str) -> None:
    """Static, plain, float32 throughout, nothing unused, sigmoids and softmaxes named so."""
    folder = exported(name).folder
    parts = FORMATS["autoware" if name in IN_AUTOWARE else "single"]
    models = _models(folder)
    assert set(models) == {FILES[part] for part in parts}
    for model in models.values():
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)] and not model.functions
        graph = model.graph
        used = set(chain.from_iterable(node.input for node in graph.node))
        assert {given.name for given in graph.input} <= used
        assert all(min(shape, default=1) > 0 for shape in {**_shapes(graph.input), **_shapes(graph.output)}.values())
        assert TensorProto.DOUBLE not in {tensor.data_type for tensor in graph.initializer}
        casts = [node.attribute[0].i for node in graph.node if node.op_type == "Cast"]
        assert TensorProto.DOUBLE not in casts
        for node in graph.node:
            assert node.op_type not in ("Sigmoid", "Softmax") or node.op_type.lower() in node.name
            assert not node.metadata_props
        names = [node.name for node in graph.node]
        assert all(names) and len(set(names)) == len(names)


def test_parameters_have_their_types_and_lengths(exported: Export) -> None:
    text = (exported("StreamPETR").folder / "ml_package_camera_streampetr.param.yaml").read_text()
    parameters = yaml.safe_load(text)["/**"]["ros__parameters"]
    names = ["CAR", "TRUCK", "CONSTRUCTION_VEHICLE", "BUS", "TRAILER", "BARRIER", "MOTORCYCLE", "BICYCLE", "PEDESTRIAN"]
    assert parameters["model_params"] == {
        "class_names": [*names, "TRAFFIC_CONE"],
        "detection_range": [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0],
        "input_image_height": H,
        "input_image_width": W,
        "num_proposals": Q,
        "rois_number": N,
        "pre_memory_length": M,
        "post_memory_length": M + K,
    }
    assert {type(number) for number in parameters["model_params"]["detection_range"]} == {float}
    for thresholds in parameters["post_process_params"].values():
        assert len(thresholds) == 10 and {type(number) for number in thresholds} == {float}
    assert "~/input/camera1: CAM_FRONT_RIGHT" in text


def _differences(made: Any, city: Path) -> list[FrameDifference]:
    return compare_on(made.config, made.checkpoint, made.folder, data_frames(city, VERSION, VAL_SPLIT))


def _assert_alike(differences: list[FrameDifference]) -> None:
    assert max(one.boxes for one in differences) < 1e-3
    assert max(one.scores for one in differences) < 1e-3
    assert max(one.memory for one in differences) < 1e-3
    assert all(one.alike == one.sure and not one.exchanged for one in differences)
    assert sum(one.sure for one in differences) > 100


@pytest.mark.parametrize("name", EVERY)
def test_finds_what_the_detector_finds(exported: Export, tiny_city: Path, name: str) -> None:
    """In the node's arithmetic, over three scenes: so also in the first frame after a reset."""
    differences = _differences(exported(name), tiny_city)
    assert [one.begins for one in differences] == [index % 4 == 0 for index in range(12)]
    _assert_alike(differences)
    assert len(differences_table(differences).splitlines()) == 14


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StreamPETR", ("--format", "single")),
        ("StreamPETR", ("--node-channels", "bgr")),
        ("proposals", ("--precision", "fp16-safe")),
    ],
)
@pytest.mark.slow
def test_options_change_nothing_of_what_is_found(
    exported: Export, tiny_city: Path, name: str, options: tuple[str, str]
) -> None:
    _assert_alike(_differences(exported(name, *options), tiny_city))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["StreamPETR", "proposals", "Focal-PETR"])
def test_a_model_of_the_lidar_frame_drives_in_base_link(
    exported: Export, tiny_city: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """The same boxes in the world; those of the graph are of the car's frame, with headings and velocities turned."""
    path = tmp_path_factory.mktemp("pose") / "base_link_from_lidar.txt"
    base_from_lidar = np.array([[0.0, 1.0, 0.0, 0.94], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.84], [0, 0, 0, 1]])
    np.savetxt(path, base_from_lidar)
    made = exported(name, "--base-link-from-lidar", path)
    _assert_alike(_differences(made, tiny_city))
    (sample, _), *_ = data_frames(tiny_city, VERSION, VAL_SPLIT, 1)
    in_lidar, in_base = (OnnxDetector.from_onnx(one.folder) for one in (exported(name), made))
    found = []
    for detector in (in_lidar, in_base):
        frame = detector.prepare([sample], [False])
        detector._follow(frame)
        boxes, _ = detector._found(frame, 0)
        found.append(boxes.boxes)
    expected = found[0][:, :3] @ base_from_lidar[:3, :3].T + base_from_lidar[:3, 3]
    np.testing.assert_allclose(found[1][:, :3], expected, atol=2e-3)
    turned = (found[1][:, 6] - found[0][:, 6] + np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(turned, 0, atol=1e-3)
    np.testing.assert_allclose(found[1][:, 7:], found[0][:, 7:] @ base_from_lidar[:2, :2].T, atol=1e-3)


@pytest.mark.slow
def test_layers_that_half_precision_would_spoil_have_a_word_in_their_names(exported: Export) -> None:
    """Positions, poses, times and boxes; not the transformer, whose softmaxes have it anyway."""
    head = _models(exported("proposals", "--precision", "fp16-safe").folder)[FILES["head"]]
    kept = {node.op_type for node in head.graph.node if "softmax" not in node.name and "sigmoid" not in node.name}
    wished = [node for node in head.graph.node if "softmax" in node.name]
    assert {"TopK", "GridSample", "Sin", "Cos"} <= {node.op_type for node in wished}
    assert {"MatMul", "LayerNormalization"} <= kept and not {"Sin", "Cos", "GridSample"} & kept


def test_maps_of_several_levels_travel_as_one() -> None:
    levels = [torch.rand(1, 2, 8, *size) for size in ((12, 20), (6, 10), (3, 5))]
    together = packed(levels, (3, 5))
    assert together.shape[:2] == (1, 2) and together.shape[3:] == (3, 5)
    for one, other in zip(levels, unpacked(together, [level.shape for level in levels]), strict=True):
        assert torch.equal(one, other)
    assert packed(levels[:1], (3, 5)) is levels[0]


@pytest.mark.parametrize("to_rgb", [True, False])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_the_nodes_normalisation_becomes_the_networks(exported: Export, to_rgb: bool, channels: str) -> None:
    from detection.deployment.images import normalized
    from detection.exporting.export import Options, _setup

    class Seen:
        def extract_features(self, images: torch.Tensor) -> torch.Tensor:
            return images

    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    mean, std = np.array([100.0, 110.0, 130.0]), np.array([50.0, 60.0, 70.0])
    pipeline = ImagePipeline(("a",), (4, 6), to_rgb, mean, std)
    images = torch.from_numpy(normalized(image, channels))[None, None]
    seen: Any = features_of(Seen(), images, _setup(pipeline, Options(node_channels=channels)))  # type: ignore[arg-type]
    expected = ((image if to_rgb else image[..., ::-1]) - mean) / std
    np.testing.assert_allclose(seen[0, 0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda steps: steps[1].update(output_size=(60, 176)), "images of 176x60 are padded to multiples of 32"),
        (lambda steps: steps.pop(1), "needs ResizeCropFlipRotate to be exported"),
        (lambda steps: steps[1].update(training=True), "has to cut off above alone"),
        (lambda steps: steps.append(dict(type="MirrorWorld")), "MirrorWorld has no place in an exported detector"),
    ],
)
def test_pipelines_that_the_node_does_not_know_are_refused(exported: Export, change: Any, message: str) -> None:
    config = copy.deepcopy(exported("StreamPETR").config)
    steps = [dict(step) for step in config.val_dataloader.dataset.pipeline] + [dict(type="PadImages", divisor=32)]
    steps[1]["output_size"] = (64, 192)
    change(steps)
    config.val_dataloader.dataset.pipeline = steps
    with pytest.raises(InputError, match=message):
        image_pipeline(config)
