"""Distillation equals the published code: losses of maps, and iterations in the released setting and in others."""

from pathlib import Path

import pytest

from parity.checks import check_file
from parity.distillation_losses import check_distillation_losses
from parity.models import Workshop
from parity.rule import Rule

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_every_loss_alone(golden_methods: Path) -> None:
    workshop = Workshop(CONFIGS, Rule.find(golden_methods))
    comparison = check_distillation_losses(golden_methods / "harmo_losses.json", workshop)
    assert comparison.agrees, str(comparison.worst)
    assert len(comparison.compared) == 158 and not comparison.not_compared


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("harmo_distill_r50_r18.json", 300), ("harmo_branches.json", 100)])
def test_iterations(name: str, least: int, golden_methods: Path, golden: Path) -> None:
    report = check_file(golden_methods / name, Workshop(CONFIGS, Rule.find(golden)))
    assert report.comparison is not None and report.agrees, str(report)
    assert len(report.comparison.compared) > least
