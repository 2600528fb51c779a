"""DynamicDet: router, loss of the router, thresholds and fusion agree with the recordings; changed ones do not."""

import json
from pathlib import Path

import pytest

from detection.parity.checks import check_file
from detection.parity.comparison import Comparison
from detection.parity.dynamic import compare_adaptive_offset
from detection.parity.methods_rule import MethodsRule
from detection.parity.models import Workshop


def test_recording_agrees(shared: Path, workshop: Workshop) -> None:
    report = check_file(shared / "golden_methods" / "dynamicdet.json", workshop)
    assert report.comparison is not None and report.agrees, str(report)
    assert len(report.comparison.compared) > 90
    assert all(name.split("_")[-1][:3] in ("raw", "41s") for name in report.comparison.not_compared)


@pytest.mark.parametrize("key", ["loss", "tracked_diff", "dloss_dscore"])
def test_changed_offset_is_found(key: str, shared: Path, workshop: Workshop) -> None:
    folder = shared / "golden_methods"
    content = json.loads((folder / "dynamicdet.json").read_text())
    content["adaptive_offset"][7][key] += 1e-4
    comparison = Comparison()
    compare_adaptive_offset(comparison, MethodsRule(folder, workshop.rule), content)
    assert comparison.worst is not None and comparison.worst.array == f"adaptive_offset 7 {key}"
    assert not comparison.agrees
