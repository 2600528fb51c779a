"""The losses between maps as they are by default: what the published faults are mended to."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detection.distillation.losses import (
    BalancedKL,
    ChannelWiseKL,
    FeatureL2,
    FocalGlobalLoss,
    MaskedGenerativeLoss,
)
from detection.distillation.losses.focal_global import object_masks
from detection.distillation.losses.map_loss import MapLoss
from detection.distillation.step import LinearSchedule, TrainingStep, schedule
from detection.frames import FrameBatch

ALL = [BalancedKL, ChannelWiseKL, FeatureL2, FocalGlobalLoss, MaskedGenerativeLoss]
MakeFrame = Callable[..., FrameBatch]


def _maps(*channels: int, seed: int = 0) -> list[Tensor]:
    """Maps (2, C, 4, 6) of one frame of two cameras."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(2, each, 4, 6, generator=random) for each in channels]


@pytest.fixture
def step(make_frame: MakeFrame) -> TrainingStep:
    """The middle of a training."""
    return TrainingStep(0.5, make_frame(0))


@pytest.mark.parametrize("kind", ALL[:-1])
def test_equal_maps_cost_nothing(kind: type[MapLoss], step: TrainingStep) -> None:
    maps = _maps(8)[0]
    assert kind(8, 8)(maps, maps, step).item() == pytest.approx(0, abs=1e-6)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", ALL)
def test_maps_of_other_channels_and_sizes(kind: type[MapLoss], step: TrainingStep) -> None:
    student, _ = _maps(8, 12)
    student.requires_grad_()
    loss = kind(8, 12)  # type: ignore[call-arg]
    value = loss(student, torch.randn(2, 12, 9, 13), step)
    value.backward()
    assert value.isfinite() and student.grad is not None and student.grad.isfinite().all()
    assert loss.align.state_dict()


@pytest.mark.parametrize("kind", ALL)
def test_weight_follows_its_schedule(kind: type[MapLoss], make_frame: MakeFrame) -> None:
    student, teacher = _maps(8, 8)
    fading = kind(8, 8, weight=dict(type="LinearSchedule", start=2.0, end=0.0), **_even(kind))  # type: ignore[call-arg]
    constant = kind(8, 8, weight=1.0, **_even(kind))  # type: ignore[call-arg]
    constant.load_state_dict(fading.state_dict())
    values = []
    for loss, progress in ((fading, 0.25), (constant, 0.25), (fading, 1.0)):
        torch.manual_seed(0)
        values.append(loss(student, teacher, TrainingStep(progress, make_frame(0))).item())
    assert values[0] == pytest.approx(1.5 * values[1]) and values[2] == 0


def test_balance_turns_from_one_divergence_to_the_other(make_frame: MakeFrame) -> None:
    student, teacher = _maps(8, 8)
    loss = BalancedKL(8, 8, weight=1.0)
    first, last = (loss(student, teacher, TrainingStep(progress, make_frame(0))) for progress in (0.0, 1.0))
    swapped = loss(teacher, student, TrainingStep(1.0, make_frame(0)))
    torch.testing.assert_close(first, swapped)
    assert first.item() != pytest.approx(last.item(), rel=1e-4)


def test_reverse_weight_is_of_the_reversed_divergence_alone(make_frame: MakeFrame) -> None:
    student, teacher = _maps(8, 8)
    start, end = TrainingStep(0.0, make_frame(0)), TrainingStep(1.0, make_frame(0))
    plain, weighted = BalancedKL(8, 8), BalancedKL(8, 8, reverse_weight=7.0)
    torch.testing.assert_close(weighted(student, teacher, start), plain(student, teacher, start))
    torch.testing.assert_close(weighted(student, teacher, end), 7 * plain(student, teacher, end))


@pytest.mark.parametrize("kind", [BalancedKL, ChannelWiseKL])
def test_each_channel_is_a_distribution_also_where_their_numbers_differ(
    kind: type[BalancedKL | ChannelWiseKL], step: TrainingStep
) -> None:
    """A constant added to a channel changes nothing; in the published code it does, since rows mix channels."""
    student, teacher = _maps(4, 8)
    shifted = teacher + torch.arange(8.0).view(8, 1, 1)
    loss = kind(4, 8)
    torch.testing.assert_close(loss(student, shifted, step), loss(student, teacher, step))
    if kind is BalancedKL:
        faulty = BalancedKL(4, 8, published=True)
        assert faulty(student, shifted, step).item() != pytest.approx(faulty(student, teacher, step).item(), rel=1e-3)


def test_mean_squared_difference(step: TrainingStep) -> None:
    student, teacher = _maps(8, 8)
    assert FeatureL2(8, 8)(student, teacher, step).item() == pytest.approx(((student - teacher) ** 2).mean().item())


def test_adapter_is_the_students(step: TrainingStep) -> None:
    student, teacher = _maps(8, 8)
    loss = FeatureL2(8, 8, adapter=True)
    value = loss(student, teacher, step)
    torch.testing.assert_close(value, ((loss.generation(student) - teacher) ** 2).mean())


def test_loss_of_a_batch_is_that_of_its_images(step: TrainingStep) -> None:
    """The published code divides by the number of images once too often."""
    student, teacher = (maps[:1].repeat(2, 1, 1, 1) for maps in _maps(8, 8))
    loss = FeatureL2(8, 8)
    torch.testing.assert_close(loss(student, teacher, step), loss(student[:1], teacher[:1], step))


def test_smaller_maps_of_a_teacher_keep_their_place(step: TrainingStep) -> None:
    """A teacher's cells cover the same parts of the image after resizing."""
    ramp = torch.arange(12.0).repeat(8, 1).expand(2, 8, 8, 12)
    halved = torch.nn.functional.avg_pool2d(ramp, 2)
    difference = FeatureL2(8, 8)(halved, ramp, step)
    assert difference.item() < 0.02  # the borders are not quite linear
    assert FeatureL2(8, 8, published=True)(halved, ramp, step).item() > 2 * difference.item()


def test_context_block_learns_from_the_student_alone(step: TrainingStep) -> None:
    loss = FocalGlobalLoss(8, 8)
    assert loss.teacher_context is None
    student, teacher = _maps(8, 8)
    teacher.requires_grad_()
    loss(student, teacher.detach(), step).backward()
    assert loss.context.attention.weight.grad is not None


def test_objects_weigh_by_their_size() -> None:
    boxes = [torch.tensor([[1.2, 0.5, 2.4, 1.5], [0.0, 0.0, 5.0, 3.0]]), torch.zeros(0, 4)]
    masks = object_masks(boxes, rows=4, columns=6)
    assert masks[0, 0, 1] == pytest.approx(1 / 9) and masks[0, 3, 5] == pytest.approx(1 / 24)
    assert not masks[1].any()


def test_losses_are_in_full_precision(step: TrainingStep) -> None:
    student, teacher = _maps(8, 8)
    loss = BalancedKL(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(student, teacher, step)
    assert half.dtype == torch.float32 and torch.equal(half, loss(student, teacher, step))


def test_schedule() -> None:
    assert schedule(0.3) == LinearSchedule(0.3, 0.3)
    assert schedule(dict(type="LinearSchedule", start=1.0, end=0.5)).at(0.5) == 0.75


def _even(kind: type[MapLoss]) -> dict[str, Any]:
    return dict(balance=0.5) if kind is BalancedKL else {}
