"""Recordings compared on a simulated GPU: nothing mixes devices. It knows no backward pass."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from parity.arithmetic import ARITHMETICS
from parity.checks import Report, check_file
from parity.models import Workshop
from tests.detection.models.simulated_gpu import simulated_gpu


@pytest.fixture
def check_on_gpu(golden: Path, workshop: Workshop) -> Callable[..., Report]:
    def check(name: str, arithmetic: str = "float32") -> Report:
        with simulated_gpu():
            on_gpu = replace(workshop, device=torch.device("cuda:0"))
            return check_file(golden / name, on_gpu, ARITHMETICS[arithmetic])

    return check


@pytest.mark.parametrize("name", ["b_r50_428q_roi_eval_A0.npz", "b_petrv1_seqA.npz", "b_r50_428q_seqA.npz"])
def test_inference_agrees(name: str, check_on_gpu: Callable[..., Report]) -> None:
    report = check_on_gpu(name)
    assert report.comparison is not None and report.agrees, str(report)


def test_training_agrees_up_to_its_gradients(check_on_gpu: Callable[..., Report]) -> None:
    with patch.object(torch.autograd, "backward"):
        comparison = check_on_gpu("c_focal_petrv1.json").comparison
    assert comparison is not None
    forward = [difference for difference in comparison.differences if " gradient of " not in difference.array]
    assert len(forward) > 20 and max(difference.ratio for difference in forward) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("raydn_r50.json", 200),
        ("harmo_distill_r50_r18.json", 80),
        ("harmo_branches.json", 100),
    ],
)
def test_methods_agree_up_to_their_gradients(name: str, least: int, recordings: Path, workshop: Workshop) -> None:
    with simulated_gpu(), patch.object(torch.autograd, "backward"):
        on_gpu = replace(workshop, device=torch.device("cuda:0"))
        comparison = check_file(recordings / "golden_methods" / name, on_gpu).comparison
    assert comparison is not None
    forward = [difference for difference in comparison.differences if " gradient of " not in difference.array]
    assert len(forward) > least
    assert max(forward, key=lambda difference: difference.ratio).ratio <= 1


@pytest.mark.slow
def test_dynamic_detectors_agree(recordings: Path, workshop: Workshop) -> None:
    """Their images, boxes and losses; the arithmetic beside them is of single numbers, and knows no device."""
    with simulated_gpu(), patch("parity.dynamic_detectors.compare_methods"):
        on_gpu = replace(workshop, device=torch.device("cuda:0"))
        report = check_file(recordings / "golden_methods" / "dynamicdet.json", on_gpu)
    assert report.comparison is not None and report.agrees, str(report)
    assert len(report.comparison.compared) > 40


def test_another_precision_differs_in_every_frame(check_on_gpu: Callable[..., Report]) -> None:
    comparison = check_on_gpu("b_petrv1_seqA.npz", "bfloat16").comparison
    assert comparison is not None and not comparison.agrees
    assert {difference.array for difference in comparison.differences if difference.ratio > 1} >= {"f0_img_feats"}


def test_arithmetic_is_left_as_it_was() -> None:
    def settings() -> tuple[bool, ...]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.backends.mkldnn.enabled

    before = settings()
    within = {}
    for name, arithmetic in ARITHMETICS.items():
        with arithmetic(torch.device("cpu")):
            within[name] = settings()
    assert settings() == before
    assert within["float32"] == (False, False, False) and within["TF32"][:2] == (True, True)
