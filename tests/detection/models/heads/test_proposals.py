"""Proposals as queries: their place, content, names and memory; detectors and heads that do not fit each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.frames import FrameBatch
from detection.models.box_coder import decode_boxes
from detection.models.detectors import MultiViewDetector
from detection.models.heads.query_head import QueryHead
from detection.models.layers.position import to_shares
from detection.models.predictions import HeadOutputs
from detection.models.proposals import Proposals
from detection.registry import MODELS
from scenes import InputError

MakeFrame = Callable[..., FrameBatch]
FeaturesOf = Callable[[FrameBatch], tuple[Tensor]]
LEARNED, PROPOSED, CARRIED, CHANNELS = 12, 5, 4, 7  # of `head_config`, and of the proposals here
REPDETR3D = dict(
    type="RepDETR3DHead",
    in_channels=None,
    position_range=None,
    decoder=dict(num_layers=2, num_heads=4, num_levels=1, num_points=3, feedforward_channels=64, sampling="in_view"),
)
PETR = dict(type="PETRHead", memory=None)
PERSPECTIVE = dict(
    type="PerspectiveHead",
    num_classes=10,
    mean_sizes_m=[(4.0, 2.0, 1.6)] * 10,
    merge_radii_m=(1.0,) * 10,
    in_channels=32,
    strides_px=(16,),
    hidden_channels=16,
    peaks_per_camera=6,
)


def _head(config: dict[str, Any], **changes: Any) -> QueryHead:
    torch.manual_seed(0)
    settings = {name: value for name, value in {**config, **changes}.items() if value is not None}
    head: QueryHead = MODELS.build(settings)
    return head.eval()


def _proposals(streams: int = 1, seed: int = 0) -> Proposals:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(streams, PROPOSED, 9, generator=generator)
    boxes[..., :2] = 20 * boxes[..., :2] - 10
    boxes[..., 2] = -1.0
    boxes[..., 3:6] += 0.5
    return Proposals(
        boxes=boxes,
        scores=0.1 + 0.8 * torch.rand(streams, PROPOSED, generator=generator),
        labels=torch.randint(0, 10, (streams, PROPOSED), generator=generator),
        features=torch.randn(streams, PROPOSED, CHANNELS, generator=generator),
    )


@pytest.fixture(params=["StreamPETRHead", "RepDETR3DHead", "PETRHead"])
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What makes `head_config` a head of each member of the family."""
    return {"StreamPETRHead": {}, "RepDETR3DHead": REPDETR3D, "PETRHead": PETR}[request.param]


@torch.no_grad()
def test_proposals_are_queries_after_the_learned_ones(
    head_config: dict[str, Any], kind: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head = _head(head_config, **kind, proposals=dict(count=PROPOSED, in_channels=CHANNELS))
    frame, proposals = make_frame(0, [False]), _proposals()
    points, content = head._new_queries(1, proposals)
    assert content is not None and points.shape == (1, LEARNED + PROPOSED, 3)
    torch.testing.assert_close(points[:, LEARNED:], to_shares(proposals.boxes[..., :3], head.pc_range))
    assert not content[:, :LEARNED].any() and content[:, LEARNED:].any()
    outputs = head(features_of(frame), frame, None, proposals)
    carried = 0 if head.memory is None else CARRIED
    assert outputs.predictions.codes.shape[2] == LEARNED + PROPOSED + carried


@torch.no_grad()
def test_an_untrained_decoder_leaves_proposals_as_they_are(
    head_config: dict[str, Any], kind: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head = _head(head_config, **kind, proposals=dict(count=PROPOSED, in_channels=CHANNELS))
    frame, proposals = make_frame(0, [False]), _proposals()
    proposals.scores[0, 3] = 0.0
    found = head(features_of(frame), frame, None, proposals).predictions
    ours = slice(LEARNED, LEARNED + PROPOSED)
    torch.testing.assert_close(decode_boxes(found.codes[-1, :, ours]), proposals.boxes, rtol=0, atol=2e-4)
    scores = found.logits[-1, 0, ours].sigmoid()
    own = functional.one_hot(proposals.labels[0], 10).bool()
    torch.testing.assert_close(scores[own], proposals.scores[0].clamp(min=0.01))
    torch.testing.assert_close(scores[~own], torch.full((PROPOSED * 9,), 0.01))


@torch.no_grad()
def test_content_of_a_proposal_matters(
    head_config: dict[str, Any], kind: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head = _head(head_config, **kind, proposals=dict(count=PROPOSED, in_channels=CHANNELS))
    nn.init.normal_(head.proposed.cls_branch[-1].weight)  # type: ignore[union-attr]
    frame, proposals = make_frame(0, [False]), _proposals()
    other = replace(proposals, features=proposals.features + 1)
    found = [head(features_of(frame), frame, None, one).predictions.logits for one in (proposals, other)]
    assert not torch.allclose(
        found[0][:, :, LEARNED : LEARNED + PROPOSED], found[1][:, :, LEARNED : LEARNED + PROPOSED]
    )


@torch.no_grad()
def test_proposals_get_names_and_live_on(
    head_config: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head = _head(head_config, proposals=dict(count=PROPOSED, in_channels=CHANNELS))
    assert head.memory is not None
    born = LEARNED + PROPOSED
    before: HeadOutputs | None = None
    for t in range(4):
        frame = make_frame(t, [t > 0])
        outputs = head(features_of(frame), frame, None, _proposals(seed=t))
        first = CARRIED + t * born
        new = list(range(first, first + born))
        if before is None:
            carried = list(range(CARRIED))
        else:
            assert before.query_ids is not None and before.pushed is not None
            carried = before.query_ids.gather(1, before.pushed)[0, :CARRIED].tolist()
        assert outputs.query_ids is not None and outputs.query_ids[0].tolist() == [*new, *carried]
        before = outputs


def test_denoising_queries_come_first_and_see_nobody(
    head_config: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    head = _head(head_config, proposals=dict(count=PROPOSED, in_channels=CHANNELS)).train()
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0  # type: ignore[assignment]
    frame, proposals = make_frame(0, [False], [3]), _proposals()
    assert frame.targets is not None
    proposals.boxes[0, :3] = frame.targets[0].boxes  # so that they are matched, and their boxes learn
    proposals.labels[0, :3] = frame.targets[0].labels
    with_noise = head(features_of(frame), frame, None, proposals)
    assert with_noise.denoising is not None
    head.memory.reset()  # type: ignore[union-attr]
    strategy, head.denoising = head.denoising, None
    without = head(features_of(frame), frame, None, proposals)
    head.denoising = strategy
    torch.testing.assert_close(with_noise.predictions.logits, without.predictions.logits, rtol=0, atol=1e-5)
    losses = head.loss(with_noise, frame)
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert head.proposed is not None
    for branch in (head.proposed.cls_branch, head.proposed.reg_branch):
        assert branch[-1].weight.grad is not None and branch[-1].weight.grad.any()


def test_a_head_without_proposals_has_the_weights_that_it_had(
    head_config: dict[str, Any], kind: dict[str, Any]
) -> None:
    plain = _head(head_config, **kind)
    with_proposals = _head(head_config, **kind, proposals=dict(count=PROPOSED, in_channels=CHANNELS))
    added = with_proposals.state_dict().keys() - plain.state_dict().keys()
    assert added and all(name.startswith("proposed.") for name in added)


def test_other_numbers_of_proposals_are_refused(
    head_config: dict[str, Any], make_frame: MakeFrame, features_of: FeaturesOf
) -> None:
    frame = make_frame(0, [False])
    with pytest.raises(ValueError, match="takes 5 proposals, it was given 0"):
        _head(head_config, proposals=dict(count=5, in_channels=CHANNELS))(features_of(frame), frame)
    with pytest.raises(ValueError, match="takes 0 proposals, it was given 5"):
        _head(head_config)(features_of(frame), frame, None, _proposals())
    with pytest.raises(ValueError, match=r"proposals\.count is 0"):
        _head(head_config, proposals=dict(count=0, in_channels=CHANNELS))


class _Cells(nn.Module):
    """A backbone of one convolution: 32 channels at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 32, 16, stride=16)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.cells(images),)


def _detector(head: dict[str, Any] | None, image_head: dict[str, Any] | None) -> MultiViewDetector:
    torch.manual_seed(0)
    backbone = dict(type=_Cells)
    model: MultiViewDetector = MODELS.build(
        dict(
            type="MultiViewDetector", img_backbone=backbone, img_neck=None, pts_bbox_head=head, img_roi_head=image_head
        )
    )
    return model


def _channels() -> int:
    channels: int = MODELS.build(PERSPECTIVE).proposal_channels
    return channels


def test_a_detector_trains_and_detects_with_proposals(head_config: dict[str, Any], make_frame: MakeFrame) -> None:
    model = _detector({**head_config, "proposals": dict(count=PROPOSED, in_channels=_channels())}, PERSPECTIVE)
    losses = model([make_frame(0, [False, False], [3, 0])], mode="loss")
    assert {"frame_0_loss_cls", "frame_0_loss_heat_map", "frame_0_loss_depth"} <= losses.keys()
    torch.stack([value for name, value in losses.items() if "loss" in name]).sum().backward()
    assert model.img_backbone.cells.weight.grad is not None
    model.eval()
    with torch.no_grad():
        found = [model([make_frame(t, [t > 0, t > 0])], mode="predict") for t in range(2)]
    assert all(one.query_ids is not None for frame in found for one in frame)


def test_a_window_with_history_trains_with_proposals(head_config: dict[str, Any], make_frame: MakeFrame) -> None:
    model = _detector({**head_config, "proposals": dict(count=PROPOSED, in_channels=_channels())}, PERSPECTIVE)
    window = [make_frame(t, [t > 0], [3]) for t in range(3)]
    assert all(torch.isfinite(value) for value in model(window, mode="loss").values())


def test_the_perspective_head_detects_alone(make_frame: MakeFrame) -> None:
    model = _detector(None, PERSPECTIVE)
    assert model.memory is None
    losses = model([make_frame(0, [False], [3])], mode="loss")
    assert all(name.startswith("frame_0_loss_") for name in losses)
    model.eval()
    with torch.no_grad():
        (found,) = model([make_frame(0, [False])], mode="predict")
    assert found.query_ids is None and len(found.boxes) and found.scores.tolist() == sorted(found.scores, reverse=True)


def test_heads_that_do_not_fit_are_named(head_config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has to be a PerspectiveHead"):
        _detector(None, None)
    proposals = dict(count=5, in_channels=9)
    with pytest.raises(InputError, match="need a PerspectiveHead"):
        _detector({**head_config, "proposals": proposals}, None)
    with pytest.raises(InputError, match=f"in_channels is 9, img_roi_head gives {_channels()}"):
        _detector({**head_config, "proposals": proposals}, PERSPECTIVE)
