"""The benchmark's stream, its counts and what it prints; no times."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detection.config import read_config
from detection.registry import MODELS
from detection.running import benchmark
from scenes import InputError

ROOT = Path(__file__).resolve().parents[3]
IMAGE_SIZE = (64, 96)
TINY = """
_base_ = {base!r}
model = dict(
    img_backbone=dict(depth=18, base_channels=8),
    img_neck=dict(in_channels=[32, 64], out_channels=32),
    img_roi_head=dict(in_channels=32),
    pts_bbox_head=dict(
        in_channels=32, embed_dims=32, num_query=12, memory=dict(length=16, topk=4, num_propagated=4),
        decoder=dict(num_layers=1, num_heads=2, feedforward_channels=32, with_cp=False),
    ),
)
"""


@pytest.fixture()
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    base = ROOT / "configs/streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"
    path.write_text(TINY.format(base=str(base)))
    return path


def _model(config: Path) -> Any:
    torch.manual_seed(0)
    return MODELS.build(read_config(config)["model"]).eval()


def test_stream_is_one_scene_of_a_moving_car() -> None:
    stream = benchmark.made_stream(3, 4, IMAGE_SIZE, torch.device("cpu"))
    assert [bool(frame.continues_scene) for frame in stream] == [False, True, True]
    assert stream[0].images.shape == (1, 4, 3, *IMAGE_SIZE)
    moved_m = stream[2].global_from_lidar[0, :3, 3] - stream[1].global_from_lidar[0, :3, 3]
    assert moved_m.tolist() == [0.0, 4.0, 0.0] and moved_m.dtype == torch.float64
    assert (stream[2].timestamp_s - stream[1].timestamp_s).item() == 0.5


def test_cameras_look_all_around_and_upright() -> None:
    frame = benchmark.made_stream(1, 4, IMAGE_SIZE, torch.device("cpu"))[0]
    ahead, left, behind, right = (torch.tensor([[*xy, 0.0, 1.0]]) for xy in ((0, 10), (-10, 0), (0, -10), (10, 0)))
    for camera, point in enumerate((ahead, left, behind, right)):
        u, v, depth, _ = (frame.image_from_lidar[0, camera] @ point[0]).tolist()
        assert (u / depth, v / depth, depth) == pytest.approx((48, 32, 10), abs=1e-4)
    above = torch.tensor([0.0, 10.0, 1.0, 1.0])
    assert float((frame.image_from_lidar[0, 0] @ above)[1]) / 10 < 32  # rows count downwards


@pytest.fixture(scope="session")
def golden_gmacs(recordings: Path) -> float:
    """10^9 multiply-adds of the backbone for six images of 256x704."""
    recorded = json.loads((recordings / "golden_methods/harmo_gmacs.json").read_text())
    return float(recorded["r50"]["RepDetr3D.img_backbone"])


def test_multiply_adds_of_the_published_shape(golden_gmacs: float) -> None:
    model = MODELS.build(dict(type="ResNet", depth=50)).eval()
    with torch.no_grad(), benchmark.FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 256, 704))
    assert 6 * counter.get_total_flops() / 2e9 == pytest.approx(golden_gmacs)


def test_multiply_adds_of_the_parts_sum_up(config: Path) -> None:
    stream = benchmark.made_stream(2, 2, IMAGE_SIZE, torch.device("cpu"))
    counts = benchmark.count_multiply_adds(_model(config), stream)
    assert set(counts) == {"all", "img_backbone", "img_neck", "pts_bbox_head"}  # the 2D head rests in inference
    assert counts["all"] == sum(count for part, count in counts.items() if part != "all")


def test_attention_counts_in_every_implementation(config: Path) -> None:
    stream = benchmark.made_stream(2, 2, IMAGE_SIZE, torch.device("cpu"))
    counts = []
    for attention in ("sdpa", "math"):
        overrides = {"model.pts_bbox_head.decoder.attention": attention}
        model = MODELS.build(read_config(config, overrides)["model"]).eval()
        counts.append(benchmark.count_multiply_adds(model, stream))
    assert counts[0] == counts[1]


def test_measurement(config: Path) -> None:
    model = _model(config)
    stream = benchmark.made_stream(4, 2, IMAGE_SIZE, torch.device("cpu"))
    measured = benchmark.measure("eager", model, stream, warm_up=1)
    assert measured.latencies_s.shape == (3,)
    assert measured.frames_per_second == pytest.approx(1 / np.mean(measured.latencies_s))
    assert measured.peak_memory_bytes > 10e6
    again = benchmark.measure("again", model, stream, warm_up=1)  # the first frame starts the scene anew
    assert measured.largest_score_difference(again) == 0
    half = benchmark.measure("half", model, stream, warm_up=1, dtype=torch.bfloat16)
    assert 0 < measured.largest_score_difference(half) < 0.02


def _run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    benchmark.run(parser.parse_args(arguments))


def test_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = [str(one) for one in IMAGE_SIZE]
    small = ["--image-size", *size, "--cameras", "2", "--frames", "2", "--warm-up", "1", "--device", "cpu"]
    _run("--config", str(config), *small, "--dtype", "bfloat16", "--flops")
    printed = capsys.readouterr().out
    for expected in (
        "tiny: ",
        "million parameters",
        "2 frames after 1",
        "img_backbone",
        "p99",
        "eager float32",
        "fused bfloat16",
    ):
        assert expected in printed


def test_a_device_that_is_not_there_is_said(config: Path) -> None:
    with pytest.raises(InputError, match="device 'cuda:9' is not there"):
        _run("--config", str(config), "--device", "cuda:9")


def test_few_images_take_turns() -> None:
    stream = benchmark.made_stream(9, 1, IMAGE_SIZE, torch.device("cpu"))
    shown = [frame.images.data_ptr() for frame in stream]
    assert len(set(shown)) == 4 and shown[0] == shown[4] == shown[8] != shown[1]
