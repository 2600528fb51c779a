"""What is kept between frames, in the node's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from detection.deployment.contract import MEMORY, Description
from detection.deployment.node import NodeMemory
from scenes import NO_QUERY

LENGTH, TOPK, PROPAGATED, QUERIES, CHANNELS = 12, 4, 4, 10, 8
SHAPES = {
    "pre_memory_embedding": (1, LENGTH, CHANNELS),
    "pre_memory_reference_point": (1, LENGTH, 3),
    "pre_memory_timestamp": (1, LENGTH, 1),
    "pre_memory_egopose": (1, LENGTH, 4, 4),
    "pre_memory_velo": (1, LENGTH, 2),
}
DESCRIPTION = Description(
    model="made",
    export="",
    format="autoware",
    classes=("car",),
    cameras=("a",),
    image_size_px=(32, 32),
    channels="rgb",
    center_range_m=(-50.0, -50.0, -5.0, 50.0, 50.0, 5.0),
    max_boxes=10,
    base_link_from_lidar=tuple(map(tuple, np.eye(4).tolist())),
    memory_length=LENGTH,
    memory_topk=TOPK,
    num_propagated=PROPAGATED,
    num_queries=QUERIES,
)


def _pose(t: int) -> np.ndarray:
    pose = np.eye(4)
    yaw = 0.02 * t
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = [600000.0 + 9.0 * t, 5.4e6 - 2.0 * t, 30.0]
    return pose


def _graph(inputs: dict[str, np.ndarray], t: int) -> dict[str, np.ndarray]:
    """What a network leaves: four new rows at fixed places before the car, then the old ones, moved there and back."""
    rng = np.random.default_rng(t)
    local = rng.uniform(-40, 40, (1, TOPK, 3)).astype(np.float32)
    pose = inputs["data_ego_pose"]
    new = {
        "embedding": rng.normal(size=(1, TOPK, CHANNELS)).astype(np.float32),
        "reference_point": local @ pose[0, :3, :3].T + pose[0, :3, 3],
        "timestamp": np.zeros((1, TOPK, 1), np.float32),
        "egopose": np.repeat(pose[None], TOPK, axis=1),
        "velo": rng.normal(size=(1, TOPK, 2)).astype(np.float32),
    }
    outputs = {f"post_memory_{name}": np.concatenate((new[name], inputs[f"pre_memory_{name}"]), 1) for name in MEMORY}
    outputs["post_memory_query"] = rng.permutation(QUERIES)[:TOPK][None].astype(np.float32)
    return outputs


def _drive(memory: NodeMemory, times: list[int], step_s: float) -> list[dict[str, np.ndarray]]:
    seen = []
    for t in times:
        inputs = memory.before(_pose(t), 1.6e9 + step_s * t)
        seen.append({name: array.copy() for name, array in inputs.items()})
        memory.after(_graph(inputs, t), 1.6e9 + step_s * t)
    return seen


def test_rows_age_and_stay_where_they_are() -> None:
    seen = _drive(NodeMemory(DESCRIPTION, SHAPES), list(range(5)), 0.5)
    assert all(array.dtype == np.float32 for array in seen[0].values())
    assert not any(seen[0][f"pre_memory_{name}"].any() for name in MEMORY)
    np.testing.assert_array_equal(seen[0]["data_ego_pose"][0, :3, 3], 0)  # from the first frame's place on
    np.testing.assert_allclose(seen[3]["data_ego_pose"][0, :3, 3], [27, -6, 0], atol=1e-5)
    np.testing.assert_allclose(seen[4]["data_ego_pose"][0] @ seen[4]["data_ego_pose_inv"][0], np.eye(4), atol=1e-5)
    ages = seen[4]["pre_memory_timestamp"].ravel()
    np.testing.assert_allclose(ages, np.repeat([0.5, 1.0, 1.5], 4), atol=1e-5)


def test_queries_keep_their_names() -> None:
    memory = NodeMemory(DESCRIPTION, SHAPES)
    first = memory.before(_pose(0), 0.0)
    names = memory.after(_graph(first, 0), 0.0)
    assert names.tolist() == [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    pushed = _graph(first, 0)["post_memory_query"][0].astype(int)
    again = memory.after(_graph(memory.before(_pose(1), 0.5), 1), 0.5)
    assert again.tolist() == [10, 11, 12, 13, 14, 15, *names[pushed]]
    memory.reset()
    memory.before(_pose(2), 1.0)
    assert memory.state()["query_ids"].tolist() == [0, 1, 2, 3, *[NO_QUERY] * 8]


def test_a_long_drive_counts_anew_and_forgets_nothing() -> None:
    """After 600 s: what the network sees of memory, relative to the car, is what it sees without."""
    times = [0, 100, 200, 300, 400]
    seen = _drive(NodeMemory(DESCRIPTION, SHAPES), times, 2.5)  # at 750 s it begins anew
    last = seen[-2]
    assert np.abs(last["data_ego_pose"][0, :3, 3]).max() == 0
    ages = last["pre_memory_timestamp"].ravel()
    np.testing.assert_allclose(ages, np.repeat([250.0, 500.0, 750.0], 4), atol=1e-3)
    poses = last["data_ego_pose_inv"] @ last["pre_memory_egopose"][0, 0]
    expected = np.linalg.inv(_pose(300)) @ _pose(200)
    np.testing.assert_allclose(poses[0], expected, atol=1e-3)
    point = last["pre_memory_reference_point"][0, 0] @ last["data_ego_pose_inv"][0, :3, :3].T
    point += last["data_ego_pose_inv"][0, :3, 3]
    local = np.random.default_rng(200).uniform(-40, 40, (1, TOPK, 3))[0, 0]
    np.testing.assert_allclose(point, expected[:3, :3] @ local + expected[:3, 3], atol=1e-3)


def test_rows_that_nothing_has_filled_stay_so_when_a_drive_counts_anew() -> None:
    seen = _drive(NodeMemory(DESCRIPTION, SHAPES), [0, 300], 2.5)
    assert not seen[1]["pre_memory_egopose"][0, TOPK:].any()


def test_goes_on_from_a_state() -> None:
    one, other = NodeMemory(DESCRIPTION, SHAPES), NodeMemory(DESCRIPTION, SHAPES)
    _drive(one, [0, 1, 2], 0.5)
    other.load_state(one.state())
    for first, second in zip(_drive(one, [3, 4], 0.5), _drive(other, [3, 4], 0.5), strict=True):
        assert all(np.array_equal(first[name], second[name]) for name in first)
    other.load_state({})
    assert not other.state()
    with pytest.raises(ValueError, match="embedding of the state"):
        other.load_state({**one.state(), "embedding": np.zeros((1, 2, 3))})
