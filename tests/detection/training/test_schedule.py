"""Iterations and learning rates follow from data set, batch and processes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.optim import OptimWrapper

from detection.training.schedule import PlannedLR, Schedule, plan_training, read_schedule
from scenes import InputError


def test_the_published_run() -> None:
    """28,130 samples on 8 processes of batch 2 for 24 epochs: the numbers that the published config writes down."""
    plan = plan_training(Schedule(epochs=24), iterations_per_epoch=28130 // 16, total_batch=16)
    assert plan.iterations == 24 * 1758
    assert plan.peak_lr == 4e-4
    assert plan.warmup_iterations == 500
    assert plan.lr_factor(0) == pytest.approx(1 / 3)
    assert plan.lr_factor(250) == pytest.approx(2 / 3, rel=1e-3)
    assert plan.lr_factor(plan.iterations // 2) == pytest.approx((1 + 1e-3) / 2)
    assert plan.lr_factor(plan.iterations) == pytest.approx(1e-3)


@pytest.mark.parametrize(("rule", "expected"), [("linear", 1e-4), ("sqrt", 2e-4)])
def test_learning_rate_follows_the_batch(rule: str, expected: float) -> None:
    plan = plan_training(Schedule(epochs=1, lr_rule=rule), iterations_per_epoch=100, total_batch=4)
    assert plan.peak_lr == pytest.approx(expected)


def test_epochs_that_are_no_whole_number() -> None:
    plan = plan_training(Schedule(epochs=2.5, validation_epochs=0.5), iterations_per_epoch=11, total_batch=1)
    assert (plan.iterations, plan.validation_interval, plan.checkpoint_interval) == (28, 6, 11)


@given(
    epochs=st.floats(0.1, 100),
    per_epoch=st.integers(1, 5000),
    warmup=st.integers(0, 2000),
    warmup_ratio=st.floats(0, 1),
    min_lr_ratio=st.floats(0, 1),
)
def test_learning_rate_stays_between_its_ends(epochs, per_epoch, warmup, warmup_ratio, min_lr_ratio) -> None:
    schedule = Schedule(epochs, warmup_iterations=warmup, warmup_ratio=warmup_ratio, min_lr_ratio=min_lr_ratio)
    plan = plan_training(schedule, per_epoch, total_batch=16)
    assert plan.warmup_iterations <= plan.iterations / 10
    iterations = {0, plan.warmup_iterations, plan.iterations // 2, plan.iterations}
    for iteration in iterations:
        assert 0 <= plan.lr_factor(iteration) <= 1 + 1e-12
    after_warmup = [plan.lr_factor(t) for t in sorted({plan.warmup_iterations, plan.iterations})]
    assert after_warmup == sorted(after_warmup, reverse=True)


def test_scheduler_steps_through_the_plan_and_resumes() -> None:
    plan = plan_training(Schedule(epochs=1), iterations_per_epoch=40, total_batch=16)
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1], "lr": plan.peak_lr}, {"params": weights[1:], "lr": plan.peak_lr / 4}]

    def scheduler() -> PlannedLR:
        optimizer = torch.optim.AdamW([dict(group) for group in groups])
        return PlannedLR(OptimWrapper(optimizer), plan)

    first = scheduler()
    for iteration in range(40):
        expected = plan.peak_lr * plan.lr_factor(iteration)
        rates = [group["lr"] for group in first.optimizer.optimizer.param_groups]
        assert rates == pytest.approx([expected, expected / 4])
        first.optimizer.step()
        first.step()
    resumed = scheduler()
    resumed.go_to(22)
    rates = [group["lr"] for group in resumed.optimizer.optimizer.param_groups]
    assert rates == [plan.peak_lr * plan.lr_factor(22), plan.peak_lr / 4 * plan.lr_factor(22)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 1, "warm_up": 3}, "schedule has no argument 'warm_up'; there are"),
        ({}, "schedule.epochs is missing"),
        ({"epochs": 0}, "schedule.epochs is 0, expected a number above 0"),
        ({"epochs": math.nan}, "schedule.epochs is nan"),
        ({"epochs": 1, "warmup_ratio": "a"}, "schedule.warmup_ratio is 'a', expected a number not below 0"),
        ({"epochs": 1, "lr_rule": "cube"}, "schedule.lr_rule is 'cube', expected linear or sqrt"),
    ],
)
def test_a_wrong_schedule_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        read_schedule(given)


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        (0.1, "1 iteration, 10 an epoch; learning rate 0.0004 after 0 iterations of warm-up; validation at the end,"),
        (2, "20 iterations, 10 an epoch; learning rate 0.0004 after 2 iterations of warm-up; validation every 10 iter"),
    ],
)
def test_plan_in_words(epochs: float, text: str) -> None:
    assert str(plan_training(Schedule(epochs=epochs), 10, 16)).startswith(text)
