"""The example in `docs/dynamic_yolo.md` runs, with weights that have learned nothing."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detection.config import read_config
from detection.registry import MODELS

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = REPOSITORY / "docs" / "dynamic_yolo.md"


def test_the_example_finds_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = REPOSITORY / "configs" / "dynamic_yolo" / "city_step2.py"
    model = MODELS.build(read_config(config)["model"])
    torch.nn.init.ones_(model.router.layer2.weight)  # a router that counts as trained
    torch.save(model.state_dict(), tmp_path / "iter_300.pth")
    Image.fromarray(np.zeros((128, 224, 3), dtype=np.uint8)).save(tmp_path / "image.jpg")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    for named, here in (
        ("configs/dynamic_yolo/city_step2.py", config),
        ("out/step2/iter_300.pth", tmp_path / "iter_300.pth"),
        ("image.jpg", tmp_path / "image.jpg"),
    ):
        assert named in example
        example = example.replace(named, str(here))
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith("tensor(")
