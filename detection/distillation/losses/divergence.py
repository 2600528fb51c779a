"""Losses that compare where in a map each channel is active: the map as a probability distribution over its cells."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import kl_div

from detection.distillation.losses.map_loss import MapLoss, Setting
from detection.distillation.step import LinearSchedule, TrainingStep, schedule
from detection.registry import MODELS

_BALANCE = LinearSchedule(start=1.0, end=0.0)


@MODELS.register_module()
class BalancedKL(MapLoss):
    """KL divergence both ways: first the student covers whatever the teacher looks at, in the end only that.

    `balance * KL(teacher || student) + (1 - balance) * reverse_weight * KL(student || teacher)`, each a mean over
    images and channels, times the square of its temperature, so that the temperature hardly changes the gradient.

    Source: HarmoDistill-BEV, whose released setting are the defaults. (Its `weight` 0.1 and `reverse` 7, which
    multiplies both divergences there, are the weight of 0.7 here; its `temp_stu` is `temperature`, its `temp_tea`
    `reverse_temperature`.)
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        weight: Setting = 0.7,
        temperature: float = 4.0,
        reverse_temperature: float | None = None,
        reverse_weight: float = 1.0,
        balance: Setting | None = None,
        published: bool = False,
    ) -> None:
        """A loss.

        Args:
            student_channels, teacher_channels: of the maps; where they differ, learned layers bring the student's to
                the number of the teacher's.
            weight: see `MapLoss`.
            temperature: of the distributions in KL(teacher || student).
            reverse_temperature: of those in KL(student || teacher); by default the same.
            reverse_weight: of KL(student || teacher) beside the other.
            balance: share of KL(teacher || student), a number or the config of a schedule; by default from 1 to 0.
            published: see `MapLoss`; where channels differ, it also cuts the maps into distributions as if they had
                the student's number of channels, so that each spans pieces of several channels.
        """
        super().__init__(weight, published)
        self.align = _projection(student_channels, teacher_channels)
        self.temperature = temperature
        self.reverse_temperature = temperature if reverse_temperature is None else reverse_temperature
        self.reverse_weight = reverse_weight
        self.balance = _BALANCE if balance is None else schedule(balance)
        self._rows = student_channels if published else teacher_channels

    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """See `MapLoss`."""
        student, teacher = (maps.reshape(len(maps), self._rows, -1) for maps in (self.align(student), teacher))
        balance = self.balance.at(step.progress)
        forward = _divergence(teacher, student, self.temperature)
        reverse = _divergence(student, teacher, self.reverse_temperature)
        return balance * forward + (1 - balance) * self.reverse_weight * reverse


@MODELS.register_module()
class ChannelWiseKL(MapLoss):
    """KL(teacher || student) of each channel's distribution, a mean over images and channels.

    Source: Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, 2021, equation 4.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        weight: Setting = 3.0,
        temperature: float = 4.0,
        published: bool = False,
    ) -> None:
        """A loss.

        Args:
            student_channels, teacher_channels: see `BalancedKL`.
            weight: see `MapLoss`.
            temperature: of the distributions.
            published: see `MapLoss`; where channels differ, it also divides by the student's number of channels
                instead of the teacher's, which is how many there are.
        """
        super().__init__(weight, published)
        self.align = _projection(student_channels, teacher_channels)
        self.temperature = temperature
        self._factor = teacher_channels / student_channels if published else 1.0

    def compare(self, student: Tensor, teacher: Tensor, step: TrainingStep) -> Tensor:
        """See `MapLoss`."""
        return self._factor * _divergence(teacher.flatten(2), self.align(student).flatten(2), self.temperature)


def _divergence(wanted: Tensor, given: Tensor, temperature: float) -> Tensor:
    """Mean over images and channels of KL(wanted || given) of logits (M, C, cells), times the squared temperature."""
    log_wanted, log_given = ((maps / temperature).log_softmax(dim=-1) for maps in (wanted, given))
    rows = wanted.shape[0] * wanted.shape[1]
    return kl_div(log_given, log_wanted, reduction="sum", log_target=True) * (temperature**2 / rows)


def _projection(student_channels: int, teacher_channels: int) -> nn.Module:
    """Learned layers from the student's number of channels to the teacher's; none where they are the same."""
    if student_channels == teacher_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.BatchNorm2d(student_channels), nn.ReLU(), nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
    )
