"""The configs of the released models: every parameter has the published name, shape and type."""

import re
from pathlib import Path

import pytest
import torch

from detection import models  # noqa: F401 - registers the networks
from detection.config import read_config
from detection.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RELEASED = sorted(path for method in ("petr", "streampetr", "repdetr3d") for path in (CONFIGS / method).glob("*.py"))


def _recorded(golden: Path, name: str) -> dict[str, tuple[str, str]]:
    rows = [line.split("\t") for line in (golden / f"keys_{name}.txt").read_text().splitlines() if line[0] != "#"]
    return {key: (shape, dtype) for key, shape, dtype in rows}


def test_there_is_a_config_for_every_released_model(golden: Path) -> None:
    assert {path.stem for path in RELEASED} >= {path.stem[len("keys_") :] for path in golden.glob("keys_*.txt")}


@pytest.mark.parametrize("name", [path.stem for path in RELEASED])
def test_names_shapes_and_types(golden: Path, name: str) -> None:
    path = next(path for path in RELEASED if path.stem == name)
    with torch.device("meta"):
        weights = MODELS.build(read_config(path)["model"]).state_dict()
    own = {key: ("x".join(map(str, one.shape)) or "scalar", str(one.dtype)[6:]) for key, one in weights.items()}
    assert own == _recorded(golden, name)


@pytest.mark.parametrize("name", [path.stem for path in RELEASED])
def test_what_is_trained(golden: Path, name: str) -> None:
    path = next(path for path in RELEASED if path.stem == name)
    with torch.device("meta"):
        model = MODELS.build(read_config(path)["model"])
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    counts = re.search(r"requires_grad (\d+)", (golden / f"keys_{name}.txt").read_text())
    assert counts is not None
    # Recorded before their initialisation took the gradient from the points that first frames begin with.
    never_trained = getattr(model.pts_bbox_head, "pseudo_reference_points", None)
    assert trained == int(counts[1]) - (0 if never_trained is None else never_trained.weight.numel())
