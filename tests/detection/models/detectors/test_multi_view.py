"""The detector: windows of frames, streams of a batch, switches between training and inference, half precision."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.detectors.multi_view import FramePreprocessor, MultiViewDetector
from detection.registry import MODELS
from scenes.errors import InputError

MakeFrame = Callable[..., FrameBatch]
Build = Callable[..., MultiViewDetector]


class Patches(nn.Module):
    """A backbone of one convolution: 32 channels at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 16, stride=16)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.patches(images),)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    MODELS.register_module(module=Patches)
    yield
    MODELS.module_dict.pop("Patches")


@pytest.fixture
def build(head_config: dict[str, Any]) -> Build:
    """Builds a detector with the same weights every time and without dropout."""

    def build(head: dict[str, Any] | None = None, **settings: Any) -> MultiViewDetector:
        torch.manual_seed(0)
        config = dict(type="MultiViewDetector", img_backbone=dict(type="Patches"), img_neck=None)
        model: MultiViewDetector = MODELS.build(
            dict(**config, pts_bbox_head={**head_config, **(head or {})}, **settings)
        )
        for module in model.modules():
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0  # type: ignore[assignment]  # of attention weights
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model

    return build


def _window(make_frame: MakeFrame, length: int, num_boxes: list[int] | None = None) -> list[FrameBatch]:
    counts = num_boxes or [3]
    return [make_frame(t, [t > 0] * len(counts), num_boxes=counts) for t in range(length)]


def _loss(model: MultiViewDetector, frames: list[FrameBatch]) -> dict[str, Tensor]:
    losses = model(frames, mode="loss")
    assert isinstance(losses, dict)
    return losses


def test_frames_of_a_window_have_the_losses_of_the_streaming_frames(build: Build, make_frame: MakeFrame) -> None:
    """The history of a window fills the memory exactly as single frames do."""
    frames = _window(make_frame, 4)
    model, streaming = build().train(), build().train()
    torch.manual_seed(1)  # of the denoising noise
    window = _loss(model, frames)
    for frame in frames[:-1]:
        _loss(streaming, [frame])
    torch.manual_seed(1)
    last = _loss(streaming, frames[-1:])
    assert {name.replace("frame_3_", "frame_0_") for name in window} == set(last)
    for name, value in last.items():
        torch.testing.assert_close(window[name.replace("frame_0_", "frame_3_")], value)


def test_window_has_losses_and_gradients_at_its_end_only(build: Build, make_frame: MakeFrame) -> None:
    model = build(num_frame_losses=2, num_frame_backbone_grads=2, num_frame_head_grads=2).train()
    modes: list[tuple[bool, bool]] = []
    model.pts_bbox_head.register_forward_pre_hook(
        lambda head, _: modes.append((head.training, torch.is_grad_enabled()))
    )
    losses = _loss(model, _window(make_frame, 4))
    assert {name[:7] for name in losses} == {"frame_2", "frame_3"}
    assert modes == [(False, False), (False, False), (True, True), (True, True)]
    assert model.training
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_batch_of_two_streams_equals_single_streams(build: Build, make_frame: MakeFrame) -> None:
    model = build().eval()
    script = [[False, False], [True, True], [True, False], [True, True]]
    together, alone = [], []
    with torch.no_grad():
        for t, continues in enumerate(script):
            together.append(model([make_frame(t, continues)], mode="predict"))
        for stream in range(2):
            model.pts_bbox_head.memory.reset()
            for t, continues in enumerate(script):
                pair = make_frame(t, continues)
                alone.append(model([_stream(pair, stream)], mode="predict")[0])
    for stream in range(2):
        for t in range(4):
            mine, its = together[t][stream], alone[4 * stream + t]
            torch.testing.assert_close(mine.scores, its.scores)
            torch.testing.assert_close(mine.boxes, its.boxes, atol=1e-4, rtol=1e-4)
            assert torch.equal(mine.query_ids, its.query_ids)


def _stream(frame: FrameBatch, stream: int) -> FrameBatch:
    """One stream of a batch."""
    kept = {
        name: getattr(frame, name)[stream : stream + 1]
        for name in FrameBatch.__dataclass_fields__
        if getattr(frame, name) is not None
    }
    return FrameBatch(**kept)


def test_memory_is_forgotten_between_training_and_inference(build: Build, make_frame: MakeFrame) -> None:
    model = build()
    first, second = _window(make_frame, 2)
    with torch.no_grad():
        model.eval()([first], mode="predict")
        continued = model([second], mode="predict")
        model.pts_bbox_head.memory.reset()
        started = model([second], mode="predict")
        model([first], mode="predict")
        _loss(model.train(), [first])
        after_training = model.eval()([second], mode="predict")
    assert not torch.equal(continued[0].scores, started[0].scores)
    assert torch.equal(after_training[0].scores, started[0].scores)


def test_stream_without_boxes_beside_one_with(build: Build, make_frame: MakeFrame) -> None:
    model = build().train()
    losses = _loss(model, _window(make_frame, 1, num_boxes=[0, 2]))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_batch_without_boxes_logs_the_same_names_and_trains(build: Build, make_frame: MakeFrame) -> None:
    model = build().train()
    empty = _loss(model, _window(make_frame, 1, num_boxes=[0, 0]))
    full = _loss(model, _window(make_frame, 1, num_boxes=[1, 2]))
    assert empty.keys() == full.keys()
    assert not any(value.requires_grad for name, value in empty.items() if "dn_" in name)
    torch.stack(list(empty.values())).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_and_predicts(build: Build, make_frame: MakeFrame, dtype: torch.dtype) -> None:
    model = build(grid_mask=dict(prob=1.0), img_roi_head=dict(type="FocalHead", num_classes=10, in_channels=32))
    frames = _window(make_frame, 2, num_boxes=[2, 1])
    with torch.autocast("cpu", dtype):
        losses = _loss(model.train(), frames[:1])
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    with torch.no_grad():
        exact = model.eval()(frames[:1], mode="predict")
        model.pts_bbox_head.memory.reset()
        with torch.autocast("cpu", dtype):
            half = model(frames[:1], mode="predict")
    assert half[0].scores.dtype == half[0].boxes.dtype == torch.float32
    torch.testing.assert_close(half[0].scores, exact[0].scores, atol=0.01, rtol=0)


def test_training_step_lowers_the_loss(build: Build, make_frame: MakeFrame) -> None:
    model = build(head=dict(denoising=None)).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    frames = _window(make_frame, 1)
    totals = []
    for _ in range(30):
        model.pts_bbox_head.memory.reset()
        total, _ = model.parse_losses(_loss(model, frames))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


def test_evaluation_traces_into_one_graph(build: Build, make_frame: MakeFrame) -> None:
    """No branch depends on data, so that torch.compile takes head and memory whole."""
    head = build().eval().pts_bbox_head
    features = (torch.randn(1, 2, 32, 4, 6),)
    frames = [make_frame(t, [t > 0]) for t in range(3)]
    compiled = torch.compile(head, backend="eager", fullgraph=True)
    with torch.no_grad():
        plain = [head(features, frame).predictions.codes for frame in frames]
        head.memory.reset()
        for frame, expected in zip(frames, plain, strict=True):
            torch.testing.assert_close(compiled(features, frame).predictions.codes, expected)


def test_weights_do_not_hold_the_memory(build: Build, make_frame: MakeFrame) -> None:
    model = build().eval()
    names = set(model.state_dict())
    with torch.no_grad():
        model([make_frame(0, [False])], mode="predict")
    assert model.pts_bbox_head.memory.state()
    assert set(model.state_dict()) == names


def test_bad_calls_are_refused(build: Build, make_frame: MakeFrame) -> None:
    with pytest.raises(InputError, match="num_frame_losses"):
        build(num_frame_losses=2)
    with pytest.raises(InputError, match="training needs annotations; sample sample-0-0 has none"):
        build().train()([make_frame(0, [False])], mode="loss")
    with pytest.raises(ValueError, match="'tensor'"):
        build()([make_frame(0, [False])], mode="tensor")


def test_preprocessor_moves_the_frames_to_the_model(make_frame: MakeFrame) -> None:
    preprocessor = FramePreprocessor().to("meta")
    (frame,) = preprocessor({"frames": [make_frame(0, [False], num_boxes=[1])]})["frames"]
    assert frame.targets is not None
    assert frame.images.device.type == frame.targets[0].boxes.device.type == "meta"


def test_parts_begin_with_the_weights_of_a_checkpoint(build: Build, tmp_path: Path) -> None:
    given = build()
    torch.save({"state_dict": given.state_dict()}, tmp_path / "given.pth")
    model = build(pretrained=dict(pts_bbox_head=str(tmp_path / "given.pth")))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model.init_weights()
    expected = dict(given.pts_bbox_head.named_parameters())
    for name, parameter in model.pts_bbox_head.named_parameters():
        torch.testing.assert_close(parameter, expected[name])
    assert not any(parameter.any() for parameter in model.img_backbone.parameters())


def test_frozen_parts_learn_nothing_and_run_as_in_inference(build: Build, make_frame: MakeFrame) -> None:
    model = build(frozen=["img_backbone"]).train()
    assert not model.img_backbone.training and model.pts_bbox_head.training
    sum(_loss(model, _window(make_frame, 1)).values(), torch.zeros(())).backward()
    assert all(parameter.grad is None for parameter in model.img_backbone.parameters())
    assert any(parameter.grad is not None for parameter in model.pts_bbox_head.parameters())
    assert not model.eval().pts_bbox_head.training


@pytest.mark.parametrize("setting", [dict(pretrained=dict(img_neck="given.pth")), dict(frozen=["img_neck"])])
def test_a_part_that_there_is_not_is_named(build: Build, setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(InputError, match=f"{name} names img_neck, which this detector does not have"):
        build(**setting)
