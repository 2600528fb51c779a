"""Ray denoising: recorded queries of the published code, geometry, distribution and masks."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detection.frames import FrameBatch, FrameTargets
from detection.models.denoising.ray import RayDenoising, last_camera_that_sees, shifted_in_depth
from detection.models.layers.position import to_metres

RANGE = torch.tensor([-51.2, -51.2, -5.0, 51.2, 51.2, 3.0])
STANDARD_GROUPS = 10
MakeFrame = Callable[..., FrameBatch]


@pytest.fixture(scope="module")
def rule2(recordings: Path, rule: ModuleType) -> ModuleType:
    """The rule of the recordings of RayDN."""
    spec = importlib.util.spec_from_file_location("golden_rule2", recordings / "golden_methods" / "rule2.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rule", rule)  # which it imports
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded_random_numbers(rule2: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the random sources; each counts its calls."""
    calls = {"noise": 0, "beta": 0, "reset": 0}

    def draw(source: str, make: Callable[..., np.ndarray], shape: Any) -> Tensor:
        calls[source] += 1
        return torch.from_numpy(make(tuple(shape), calls[source] - 1))

    monkeypatch.setattr(torch, "rand_like", lambda like: draw("noise", rule2.dn_noise, like.shape))
    monkeypatch.setattr(torch, "rand", lambda *shape, device: draw("reset", rule2.ray_reset, shape))
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda _, shape: draw("beta", rule2.ray_beta, shape))


def _frame(frames: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> FrameBatch:
    """A batch of the rule's frames."""

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([frame[name] for frame in frames]))

    return FrameBatch(
        images=stacked("img"),
        image_from_lidar=stacked("lidar2img"),
        image_from_camera=stacked("intrinsics"),
        camera_from_lidar=stacked("extrinsics"),
        global_from_lidar=stacked("ego_pose"),
        timestamp_s=torch.tensor([float(frame["timestamp"]) for frame in frames], dtype=torch.float64),
        continues_scene=torch.zeros(len(frames), dtype=torch.bool),
        scene_tokens=("scene",) * len(frames),
        sample_tokens=("sample",) * len(frames),
        targets=tuple(
            FrameTargets(torch.from_numpy(one["boxes3d"]), torch.from_numpy(one["labels3d"]), ()) for one in annotations
        ),
    )


@pytest.mark.usefixtures("recorded_random_numbers")
@pytest.mark.parametrize("case", ["plain", "corner", "batch2", "batch2_one_empty", "group2", "one_box"])
def test_equals_the_published_queries(case: str, recordings: Path, rule2: ModuleType) -> None:
    frames, annotations, ray_groups = rule2.ray_cases()[case]
    strategy = RayDenoising(ray_groups=ray_groups, published=True)
    queries = strategy(_frame(frames, annotations), RANGE, 10)
    assert queries is not None
    with np.load(recordings / "golden_methods" / "raydn_r50.npz") as recorded:
        mask = recorded[f"{case}_attn_mask"]
        np.testing.assert_allclose(queries.reference_points, recorded[f"{case}_reference_points_dn"], atol=1e-6)
        np.testing.assert_array_equal(queries.labels, recorded[f"{case}_labels"])
        np.testing.assert_allclose(queries.boxes, recorded[f"{case}_bboxes"], atol=1e-6)
        np.testing.assert_array_equal(queries.slots, recorded[f"{case}_map_known_indice"])
    np.testing.assert_array_equal(queries.attention_mask(428, mask.shape[1] - len(queries.groups)), mask)


def _seen_frame(make_frame: MakeFrame, counts: list[int]) -> FrameBatch:
    """A frame whose boxes all lie before its first camera."""
    frame = make_frame(0, [True] * len(counts), num_boxes=counts)
    assert frame.targets is not None
    for target in frame.targets:
        places = torch.linspace(-4, 4, len(target.labels))
        target.boxes[:, :3] = torch.stack((places, 20 + places, 0 * places), dim=1)
    return frame


def _ray_points(strategy: RayDenoising, frame: FrameBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Ray queries of a frame of one stream: points (R, n, 3) in metres, labels (R, n), true centres (n, 3)."""
    assert frame.targets is not None
    count = len(frame.targets[0].labels)
    queries = strategy(frame, RANGE, 10)
    assert queries is not None
    rays = slice(STANDARD_GROUPS * count, None)
    points = to_metres(queries.reference_points[0, queries.slots[rays]], RANGE)
    return points.view(-1, count, 3), queries.labels[rays].view(-1, count), frame.targets[0].boxes[:, :3]


def test_ray_queries_lie_on_the_ray_of_the_centre(make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    frame = _seen_frame(make_frame, [4])
    points, _, centers = _ray_points(RayDenoising(ray_radius=1.0), frame)
    image_from_lidar = frame.image_from_lidar[0, 0]

    def pixels(points_m: Tensor) -> Tensor:
        scaled = points_m @ image_from_lidar[:3, :3].T + image_from_lidar[:3, 3]
        return scaled[..., :2] / scaled[..., 2:]

    torch.testing.assert_close(pixels(points), pixels(centers).expand_as(pixels(points)), atol=1e-2, rtol=1e-4)
    assert (points - centers).norm(dim=-1).max() > 0.5  # and not on the centre


def test_one_query_of_a_ray_keeps_the_class_and_it_is_the_nearest(make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    frame = _seen_frame(make_frame, [6])
    assert frame.targets is not None
    points, labels, centers = _ray_points(RayDenoising(ray_groups=1, ray_queries=7), frame)
    assert (labels < 10).sum(dim=0).tolist() == [1] * 6
    assert torch.equal(labels.amin(dim=0), frame.targets[0].labels)
    half_sizes = frame.targets[0].boxes[:, 3:6].mean(dim=1) / 2
    depth_steps = (points - centers)[..., 1] / half_sizes  # the first camera looks along y
    positive = depth_steps.gather(0, labels.argmin(dim=0, keepdim=True))
    assert positive.abs().max() <= 0.75 + 1e-3


def test_steps_are_beta_distributed_away_from_the_camera(make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    frame = _seen_frame(make_frame, [8])
    assert frame.targets is not None
    points, labels, centers = _ray_points(RayDenoising(ray_queries=400), frame)
    steps = ((points - centers)[..., 1] / (frame.targets[0].boxes[:, 3:6].mean(dim=1) / 2))[labels == 10]
    shares = (steps / 3 + 1) / 2
    assert shares.mean().item() == pytest.approx(0.8, abs=0.01)  # alpha / (alpha + beta)
    assert shares.std().item() == pytest.approx((0.8 * 0.2 / 11) ** 0.5, abs=0.01)
    assert shares.min() >= -1e-3 and shares.max() <= 1 + 1e-3


def test_annotation_that_no_camera_sees_has_no_ray_queries(make_frame: MakeFrame) -> None:
    frame = _seen_frame(make_frame, [3])
    assert frame.targets is not None
    frame.targets[0].boxes[1, :3] = torch.tensor([0.0, 5.0, 40.0])  # high above the images
    mended = RayDenoising()(frame, RANGE, 10)
    published = RayDenoising(published=True)(frame, RANGE, 10)
    assert mended is not None and published is not None
    assert len(published.labels) - len(mended.labels) == 5
    rays_of_the_unseen = mended.reference_points[0, STANDARD_GROUPS * 3 :].view(5, 3, 3)[:, 1]
    assert not rays_of_the_unseen.any()
    on_centre = to_metres(published.reference_points[0, STANDARD_GROUPS * 3 :], RANGE).view(5, 3, 3)[:, 1, :2]
    torch.testing.assert_close(on_centre, torch.tensor([0.0, 5.0]).expand(5, 2), atol=1e-4, rtol=0)


def test_last_camera_that_sees_wins(make_frame: MakeFrame) -> None:
    frame = make_frame(0, [True])
    twice = replace(frame, image_from_lidar=torch.cat([frame.image_from_lidar] * 2, dim=1))
    points = torch.tensor([[0.0, 20, 0], [0, -20, 0], [0, 5, 40]])
    cameras, seen = last_camera_that_sees(points, torch.zeros(3, dtype=torch.int64), twice)
    assert cameras.tolist()[:2] == [2, 3]
    assert seen.tolist() == [True, True, False]


def test_shift_changes_the_depth_by_what_is_asked(make_frame: MakeFrame) -> None:
    matrices = make_frame(0, [True]).image_from_lidar[0]
    points = torch.tensor([[3.0, 20, 1], [2.0, -9, 0]])
    shifts = torch.tensor([[1.5, -2.0], [0.0, 4.0]])
    moved = shifted_in_depth(points, shifts, matrices)
    depths = [(matrices[:, 2, :3] * at).sum(-1) + matrices[:, 2, 3] for at in (points, moved)]
    torch.testing.assert_close(depths[1] - depths[0], shifts, atol=1e-4, rtol=0)


def test_mask_entry_by_entry(make_frame: MakeFrame) -> None:
    queries = RayDenoising(groups=2, ray_groups=2, ray_queries=3)(_seen_frame(make_frame, [2, 1]), RANGE, 10)
    assert queries is not None
    group_of_slot = [0] * 2 + [1] * 2 + [2] * 6 + [3] * 6  # two slots a copy; a group of rays has three copies
    slots, ordinary, keys = len(group_of_slot), 3, 5
    mask = queries.attention_mask(ordinary, keys)
    assert mask.shape == (slots + ordinary, slots + keys)
    for row in range(slots + ordinary):
        for column in range(slots + keys):
            if row < slots and column < slots:
                blocked = group_of_slot[row] != group_of_slot[column]
            else:
                blocked = row >= slots > column
            assert mask[row, column].item() == blocked, (row, column)


def test_batch_without_boxes_has_no_queries(make_frame: MakeFrame) -> None:
    assert RayDenoising()(make_frame(0, [True, True], num_boxes=[0, 0]), RANGE, 10) is None
