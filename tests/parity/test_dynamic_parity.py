"""DynamicDet: router, loss of the router, thresholds and fusion agree with the recordings; changed ones do not."""

import json
from pathlib import Path

import pytest

from parity.checks import check_file
from parity.comparison import Comparison
from parity.dynamic import compare_adaptive_offset, compare_methods
from parity.dynamic_detectors import compare_detector, compare_losses
from parity.methods_rule import MethodsRule
from parity.models import Workshop
from parity.recording import read_arrays, read_json


def test_all_but_the_detectors_agrees(recordings: Path, workshop: Workshop) -> None:
    folder = recordings / "golden_methods"
    content, arrays = read_json(folder / "dynamicdet.json"), read_arrays(folder / "dynamicdet.npz")
    comparison = Comparison()
    compare_methods(comparison, MethodsRule(folder, workshop.rule), content, arrays)
    assert comparison.agrees, str(comparison.worst)
    assert len(comparison.compared) > 90


@pytest.mark.slow
def test_recording_agrees(recordings: Path, workshop: Workshop) -> None:
    report = check_file(recordings / "golden_methods" / "dynamicdet.json", workshop)
    assert report.comparison is not None and report.agrees, str(report)
    assert len(report.comparison.compared) > 130
    assert report.comparison.not_compared == []


@pytest.mark.parametrize("name", ["dy_yolov7", "dy_yolov7x", "dy_yolov7_w6"])
def test_names_and_shapes_agree(name: str, recordings: Path, workshop: Workshop) -> None:
    for step in (1, 2):
        report = check_file(recordings / "golden_methods" / f"keys_{name}_step{step}.txt", workshop)
        assert report.comparison is not None and report.agrees, str(report)
        assert len(report.comparison.compared) > 1100


def forward_of_the_smallest(folder: Path, workshop: Workshop, changed_by: float) -> Comparison:
    """Of the three detectors; one recorded number of its hard path is changed."""
    content, arrays = read_json(folder / "dynamicdet.json"), read_arrays(folder / "dynamicdet.npz")
    arrays["dy-yolov7-step2_hard_raw1"][0, 1, 2, 3, 4] += changed_by
    comparison = Comparison()
    recorded = content["forward_dy-yolov7-step2"]
    compare_detector(comparison, MethodsRule(folder, workshop.rule), "dy-yolov7", recorded, arrays, workshop.device)
    return comparison


def test_forward_agrees(recordings: Path, workshop: Workshop) -> None:
    folder = recordings / "golden_methods"
    comparison = forward_of_the_smallest(folder, workshop, 0.0)
    assert comparison.agrees, str(comparison.worst)
    recorded = {name for name in read_arrays(folder / "dynamicdet.npz") if name.startswith("dy-yolov7-step2_")}
    assert len(recorded) >= 7 and recorded <= {*comparison.compared}


@pytest.mark.slow
def test_changed_forward_is_found(recordings: Path, workshop: Workshop) -> None:
    comparison = forward_of_the_smallest(recordings / "golden_methods", workshop, 0.01)
    assert comparison.worst is not None and comparison.worst.array == "dy-yolov7-step2_hard_raw1"
    assert not comparison.agrees


def losses_of_the_smallest(folder: Path, workshop: Workshop, changed_by: float) -> Comparison:
    """In its first recorded image; one recorded number is changed."""
    (recorded, *_) = read_json(folder / "dynamicdet.json")["forward_dy-yolov7-step2"]["train"]
    recorded["head2_box_obj_cls_total"][2] += changed_by
    comparison = Comparison()
    compare_losses(comparison, MethodsRule(folder, workshop.rule), "dy-yolov7", [recorded], workshop.device)
    return comparison


def test_losses_agree(recordings: Path, workshop: Workshop) -> None:
    comparison = losses_of_the_smallest(recordings / "golden_methods", workshop, 0.0)
    assert comparison.agrees, str(comparison.worst)
    assert comparison.compared == [f"dy-yolov7 train 0 head{head}_box_obj_cls_total" for head in (1, 2)]


@pytest.mark.slow
def test_changed_losses_are_found(recordings: Path, workshop: Workshop) -> None:
    comparison = losses_of_the_smallest(recordings / "golden_methods", workshop, 1e-4)
    assert not comparison.agrees


@pytest.mark.parametrize("key", ["loss", "tracked_diff", "dloss_dscore"])
def test_changed_offset_is_found(key: str, recordings: Path, workshop: Workshop) -> None:
    folder = recordings / "golden_methods"
    content = json.loads((folder / "dynamicdet.json").read_text())
    content["adaptive_offset"][7][key] += 1e-4
    comparison = Comparison()
    compare_adaptive_offset(comparison, MethodsRule(folder, workshop.rule), content)
    assert comparison.worst is not None and comparison.worst.array == f"adaptive_offset 7 {key}"
    assert not comparison.agrees
