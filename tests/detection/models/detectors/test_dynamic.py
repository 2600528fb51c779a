"""The dynamic detector: paths of streams, the memory that they share, both steps of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.detectors.dynamic import DynamicDetector
from detection.models.detectors.multi_view import MultiViewDetector
from detection.models.routing.adaptive_offset import routing_losses
from detection.registry import MODELS
from scenes.errors import InputError

MakeFrame = Callable[..., FrameBatch]
Build = Callable[..., DynamicDetector]
SCRIPT = [[False, False], [True, True], [True, False], [True, True]]  # which streams go on, frame by frame


_SINGLE_FRAMES = dict(head=dict(type="PETRHead", memory=None))


@pytest.fixture
def build(head_config: dict[str, Any]) -> Build:
    """Builds a dynamic detector, the same weights every time, without dropout, with a fusion that does something."""

    def path(depth: int, layers: int, **settings: Any) -> dict[str, Any]:
        decoder = dict(num_layers=layers, num_heads=4, feedforward_channels=64, dropout=0.0)
        return dict(
            type="MultiViewDetector",
            img_backbone=dict(type="ResNet", depth=depth, base_channels=8, out_indices=(2, 3)),
            img_neck=dict(type="CPFPN", in_channels=[32, 64], out_channels=32),
            pts_bbox_head={**head_config, "decoder": decoder, **settings.pop("head", {})},
            **settings,
        )

    def build(
        easy: dict[str, Any] | None = None, hard: dict[str, Any] | None = None, trained: bool = True, **settings: Any
    ) -> DynamicDetector:
        torch.manual_seed(0)
        paths = dict(easy=path(18, 1, **(easy or {})), hard=path(34, 2, **(hard or {})))
        model: DynamicDetector = MODELS.build(dict(type="DynamicDetector", **paths, **settings))
        for parameter in model.fusion.parameters():
            nn.init.normal_(parameter, std=0.1)
        if trained:
            nn.init.normal_(model.router.layer2.weight, std=0.1)
        return model

    return build


def _plain(model: MultiViewDetector) -> MultiViewDetector:
    """The detector of a path as it would be alone."""
    model.memory.reset()
    return model.eval()


def _detections(model: nn.Module, frames: Sequence[FrameBatch]) -> list[Any]:
    with torch.no_grad():
        return [model([frame], mode="predict") for frame in frames]


def _assert_same(found: list[Any], expected: list[Any]) -> None:
    for mine, its in zip(found, expected, strict=True):
        for one, other in zip(mine, its, strict=True):
            assert torch.equal(one.query_ids, other.query_ids)
            torch.testing.assert_close(one.scores, other.scores)
            torch.testing.assert_close(one.boxes, other.boxes, atol=1e-4, rtol=1e-4)


def _route(model: DynamicDetector, scores: Callable[[int], Sequence[float]]) -> None:
    """Lets a router give the scores of a time step, counted from the call on."""
    calls = iter(range(1000))
    model.router.forward = lambda maps, summary: torch.tensor(scores(next(calls)))  # type: ignore[method-assign]


def test_easy_path_is_the_light_detector(build: Build, make_frame: MakeFrame) -> None:
    frames = [make_frame(t, continues) for t, continues in enumerate(SCRIPT)]
    model = build(threshold=0.0).eval()
    found = _detections(model, frames)
    _assert_same(found, _detections(_plain(model.easy), frames))


def test_paths_with_proposals_share_their_queries(build: Build, make_frame: MakeFrame) -> None:
    image_head = dict(
        type="PerspectiveHead",
        num_classes=10,
        mean_sizes_m=[(4.0, 2.0, 1.6)] * 10,
        merge_radii_m=(1.0,) * 10,
        in_channels=32,
        strides_px=(16, 32),
        peaks_per_camera=6,
    )
    proposals = dict(count=5, in_channels=MODELS.build(image_head).proposal_channels)
    path = dict(img_roi_head=image_head, head=dict(proposals=proposals))
    frames = [make_frame(t, continues) for t, continues in enumerate(SCRIPT)]
    model = build(easy=dict(path), hard=dict(path), threshold=0.0).eval()
    # What is remembered is read with the same branches; proposals are of one frame, and read with its path's own.
    assert model.easy.pts_bbox_head.cls_branches is model.hard.pts_bbox_head.cls_branches
    assert model.easy.pts_bbox_head.proposed is not model.hard.pts_bbox_head.proposed
    _assert_same(_detections(model, frames), _detections(_plain(model.easy), frames))
    losses = model.train()([make_frame(0, [False, False], [3, 2])], mode="loss")
    assert {"easy_loss_heat_map", "hard_loss_heat_map"} <= losses.keys()
    with pytest.raises(InputError, match=r"pts_bbox_head\.proposals is .* in easy and None in hard"):
        build(easy=dict(path))


def test_hard_path_begins_as_the_heavy_detector(build: Build, make_frame: MakeFrame) -> None:
    frames = [make_frame(t, continues) for t, continues in enumerate(SCRIPT)]
    model = build(threshold=1.0).eval()
    fused = _detections(model, frames)
    for parameter in model.fusion.parameters():
        nn.init.zeros_(parameter)
    model.memory.reset()
    alone = _detections(_plain(model.hard), frames)
    assert not torch.allclose(fused[0][0].scores, alone[0][0].scores)
    _assert_same(_detections(model, frames), alone)


def test_streams_of_a_batch_take_their_own_paths(build: Build, make_frame: MakeFrame) -> None:
    """Each stream of a mixed batch gives what it gives alone, at every change of its path."""
    paths = [[0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.1, 0.9]]
    frames = [make_frame(t, continues) for t, continues in enumerate(SCRIPT)]
    model = build().eval()
    _route(model, lambda t: paths[t])
    together = _detections(model, frames)
    assert model.last_routing is not None and model.last_routing.hard.tolist() == [True, False]
    for stream in range(2):
        alone = build().eval()
        _route(alone, lambda t, stream=stream: [paths[t][stream]])  # type: ignore[misc]
        found = _detections(alone, [frame.select([stream]) for frame in frames])
        _assert_same([[one[stream]] for one in together], found)


def test_identities_survive_a_change_of_path(build: Build, make_frame: MakeFrame) -> None:
    frames = [make_frame(t, [t > 0]) for t in range(3)]
    model = build().eval()
    _route(model, lambda t: [float(t % 2)])  # hard, easy, hard
    new, carried = model.easy.pts_bbox_head.num_query, model.easy.memory.num_propagated
    remembered = set(range(carried))
    for t, frame in enumerate(frames):
        ((found,),) = _detections(model, [frame])
        born = set(range(carried + t * new, carried + (t + 1) * new))
        assert set(found.query_ids.tolist()) <= remembered | born  # the other head has taken no names
        remembered = set(model.memory.state()["query_ids"][0, :carried].tolist())
        assert remembered <= set(found.query_ids.tolist())


def test_both_heads_have_one_query_space(build: Build) -> None:
    model = build()
    heads = model.easy.pts_bbox_head, model.hard.pts_bbox_head
    for name in ("reference_points", "pseudo_reference_points", "query_embedding", "ego_pose_memory", "cls_branches"):
        assert getattr(heads[0], name) is getattr(heads[1], name)
    assert heads[0].transformer is not heads[1].transformer


def test_hysteresis_holds_the_path_within_a_scene(build: Build, make_frame: MakeFrame) -> None:
    scores = [0.45, 0.55, 0.65, 0.45, 0.35, 0.45]  # limits of 0.5 and hysteresis 0.2: 0.6 to leave hard, 0.4 to enter
    expected = [True, True, False, False, True, True]
    frames = [make_frame(t, [t > 0]) for t in range(6)] + [make_frame(6, [False])]
    model = build(hysteresis=0.2).eval()
    _route(model, lambda t: [scores[t] if t < 6 else 0.55])
    taken = []
    for frame in frames:
        _detections(model, [frame])
        assert model.last_routing is not None
        taken.append(model.last_routing.hard.item())
    assert taken[:6] == expected
    assert not taken[6]  # a new scene is not held by the last one


def test_a_budget_is_spent_evenly_and_given_anew_with_a_scene(build: Build, make_frame: MakeFrame) -> None:
    """Scores alone would send all frames on."""
    continues = [[False, False], [True, True], [True, False], [True, True]]
    model = build(budget=dict(share=0.5, hard_shares=[0.0, 1.0], thresholds=[0.0, 1.0])).eval()
    _route(model, lambda t: [0.1, 0.1])
    taken = []
    for t, goes_on in enumerate(continues):
        _detections(model, [make_frame(t, goes_on)])
        assert model.last_routing is not None
        taken.append(model.last_routing.hard.tolist())
    assert taken == [[True, True], [False, False], [True, True], [False, False]]
    model.memory.reset()
    _detections(model, [make_frame(0, [False, False])])
    assert model.last_routing.hard.tolist() == [True, True]


def test_router_sees_the_memory(build: Build, make_frame: MakeFrame) -> None:
    seen: list[Tensor] = []
    model = build(track_score=0.0).eval()
    model.router.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    _detections(model, [make_frame(0, [False, False]), make_frame(1, [True, False])])
    start, later = seen
    assert torch.equal(start, torch.zeros(2, 3)) and torch.equal(later[1], torch.zeros(3))
    metres = torch.dist(
        make_frame(0, [True]).global_from_lidar[0, :3, 3], make_frame(1, [True]).global_from_lidar[0, :3, 3]
    )
    assert later[0, 0] == 1.0 and 0 < later[0, 1] < 1
    torch.testing.assert_close(later[0, 2], (metres / 0.5 / 10).float(), rtol=1e-3, atol=0)


def test_a_stream_goes_on_from_a_saved_memory(build: Build, make_frame: MakeFrame) -> None:
    frames = [make_frame(t, continues) for t, continues in enumerate(SCRIPT)]
    script = [[0.9, 0.1], [0.9, 0.1], [0.45, 0.55], [0.45, 0.55]]  # held by hysteresis where the scene goes on
    straight, other = build(hysteresis=0.5).eval(), build(hysteresis=0.5).eval()
    _route(straight, lambda t: script[t])
    _route(other, lambda t: script[t + 2])
    first = _detections(straight, frames[:2])
    state = {name: value.clone() for name, value in straight.memory.state().items()}
    rest = _detections(straight, frames[2:])
    assert not torch.equal(first[1][0].scores, rest[0][0].scores)
    other.memory.load_state(state)
    found = _detections(other, frames[2:])
    for mine, its in zip(found, rest, strict=True):
        assert all(torch.equal(a.scores, b.scores) for a, b in zip(mine, its, strict=True))
    for name, value in straight.memory.state().items():
        assert torch.equal(other.memory.state()[name], value), name


def test_first_step_trains_both_detectors_and_not_the_router(build: Build, make_frame: MakeFrame) -> None:
    roi = dict(type="FocalHead", num_classes=10, in_channels=32)
    model = build(easy=dict(grid_mask=dict(prob=1.0), img_roi_head=roi), trained=False).train()
    losses: dict[str, Tensor] = {}
    for t in range(2):
        losses = model([make_frame(t, [t > 0] * 2, num_boxes=[2, 0])], mode="loss")
    assert {"easy_loss_cls", "hard_loss_cls", "easy_enc_loss_cls", "hard_d0.loss_bbox"} <= losses.keys()
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (parameter.requires_grad), name
        if name.startswith("router."):
            assert parameter.grad is None


@pytest.mark.parametrize("hard", [False, True])
def test_chance_decides_whose_queries_are_remembered(build: Build, make_frame: MakeFrame, hard: bool) -> None:
    model = build(switch_probability=0.0).eval()
    frames = [make_frame(t, [t > 0] * 2, num_boxes=[1, 1]) for t in range(2)]
    torch.manual_seed(1)
    model(frames[:1], mode="loss")
    path = model.memory.hard_path
    assert path is not None
    model(frames[1:], mode="loss")
    assert torch.equal(model.memory.hard_path, path)  # nothing switches
    model.switch_probability = 1.0
    model([make_frame(2, [True, True], num_boxes=[1, 1])], mode="loss")
    assert torch.equal(model.memory.hard_path, ~path)
    # The memory of the stream is that of a detector that only ever took its path.
    fixed = build(threshold=float(hard)).eval()
    model.memory.reset()
    with torch.no_grad():
        fixed(frames[:1], mode="predict")
        model(frames[:1], mode="loss")
    for stream, on_hard_path in enumerate(model.memory.hard_path.tolist()):
        same = torch.equal(model.memory.state()["embeddings"][stream], fixed.memory.state()["embeddings"][stream])
        assert same == (on_hard_path == hard)


def test_second_step_trains_the_router_alone(build: Build, make_frame: MakeFrame) -> None:
    model = build(trains="router", trained=False).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for t in range(2):
        losses = model([make_frame(t, [t > 0] * 2, num_boxes=[2, 1])], mode="loss")
        optimizer.zero_grad()
        losses["loss_router"].backward()
        optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        "router.layer1.weight",
        "router.layer1.bias",
        "router.layer2.weight",
        "router.layer2.bias",
    }
    assert model.router.is_trained and len(model.adaptive_offset.state()["differences"]) == 4


def test_loss_of_the_router_is_that_of_each_stream(build: Build, make_frame: MakeFrame) -> None:
    frame = make_frame(0, [False, False], num_boxes=[3, 1])
    gains, scores, totals = [], [], []
    for stream in range(2):
        alone = build(trains="router").train()
        parts: list[tuple[Tensor, Tensor]] = []
        for path in (alone.easy, alone.hard):
            path.pts_bbox_head.register_forward_hook(lambda head, _, out, kept=parts: kept.append((head, out)))  # type: ignore[misc]
        losses = alone([frame.select([stream])], mode="loss")
        of_paths = [head.loss(out, frame.select([stream])) for head, out in parts]
        totals.append([found["loss_cls"] + found["loss_bbox"] for found in of_paths])
        gains.append(losses["gain"])
        scores.append(losses["score"])
        torch.testing.assert_close(losses["gain"], totals[-1][0] - totals[-1][1])
    both = build(trains="router").train()([frame], mode="loss")
    easy, hard = torch.tensor(totals).unbind(dim=1)
    expected = routing_losses(torch.stack(scores), easy, hard, float(torch.stack(gains).mean())).mean()
    torch.testing.assert_close(both["loss_router"], expected, rtol=1e-4, atol=1e-5)


def test_memory_is_forgotten_between_training_and_inference(build: Build, make_frame: MakeFrame) -> None:
    model = build(threshold=0.0).eval()
    started = _detections(model, [make_frame(1, [True])])
    model([make_frame(0, [False], num_boxes=[1])], mode="loss")
    _assert_same(_detections(model, [make_frame(1, [True])]), started)


def test_number_of_streams_may_change_between_scenes_only(build: Build, make_frame: MakeFrame) -> None:
    model = build().eval()
    _detections(model, [make_frame(0, [False, False]), make_frame(1, [False])])
    with pytest.raises(InputError, match="every batch has to hold the same streams"):
        _detections(model, [make_frame(2, [True, True, False])])


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_router_never_trained_is_not_asked(build: Build, make_frame: MakeFrame, threshold: float) -> None:
    model = build(trained=False, threshold=threshold).eval()
    _detections(model, [make_frame(0, [False])])
    assert model.last_routing is not None and model.last_routing.scores is None
    model.threshold = 0.5
    with pytest.raises(InputError, match="the router of these weights has never been trained"):
        _detections(model, [make_frame(1, [True])])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(threshold=1.5), "threshold is 1.5, expected a number from 0 to 1"),
        (dict(hysteresis=1.0), "hysteresis is 1.0"),
        (dict(switch_probability=-0.1), "switch_probability is -0.1"),
        (dict(trains="all"), "trains is 'all', expected detectors or router"),
        (dict(hard=dict(grid_mask={})), "hard.grid_mask"),
        (dict(hard=dict(head=dict(num_query=13))), "pts_bbox_head.num_query is 12 in easy and 13 in hard"),
        (
            dict(hard=dict(head=dict(memory=dict(length=12, topk=5, num_propagated=4)))),
            "pts_bbox_head.memory is {.*'topk': 4.*} in easy and {.*'topk': 5.*} in hard",
        ),
        (dict(easy=_SINGLE_FRAMES, hard=_SINGLE_FRAMES), "easy.pts_bbox_head has no memory"),
    ],
)
def test_settings_that_do_not_fit_are_named(build: Build, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(**settings)


def test_windows_and_missing_annotations_are_refused(build: Build, make_frame: MakeFrame) -> None:
    with pytest.raises(InputError, match="not windows of 2"):
        build()([make_frame(0, [False]), make_frame(1, [True])], mode="predict")
    with pytest.raises(InputError, match="sample sample-0-0 has none"):
        build()([make_frame(0, [False])], mode="loss")


@pytest.mark.parametrize("trains", ["detectors", "router"])
def test_autocast_trains_and_predicts(build: Build, make_frame: MakeFrame, trains: str) -> None:
    model = build(trains=trains)
    frames = [make_frame(0, [False, False], num_boxes=[2, 1])]
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.train()(frames, mode="loss")
        _detections(model.eval(), frames)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    sum(value for name, value in losses.items() if "loss" in name).backward()  # type: ignore[union-attr]
