"""The distillation losses equal the published code: values, gradients of maps, gradients of layers."""

from pathlib import Path

from parity.distillation_losses import check_distillation_losses
from parity.models import Workshop
from parity.rule import Rule

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_every_loss_alone(golden_methods: Path) -> None:
    workshop = Workshop(CONFIGS, Rule.find(golden_methods))
    comparison = check_distillation_losses(golden_methods / "harmo_losses.json", workshop)
    assert comparison.agrees, str(comparison.worst)
    assert len(comparison.compared) == 158 and not comparison.not_compared
