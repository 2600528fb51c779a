"""The example in `docs/python.md` runs, and sees in a frame what the data set shows of it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detection.config import read_config
from detection.running.detector import detect

ROOT = Path(__file__).resolve().parents[2]
CONFIG, WEIGHTS = "configs/repdetr3d/city_r18.py", "detection/weights/repdetr3d_city_r18.safetensors"


def test_example_of_the_page(tiny_city: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))
    example, *_ = re.findall(r"```python\n(.*?)```", Path("docs/python.md").read_text(), re.S)
    assert len(example.splitlines()) <= 20
    seen: dict[str, Any] = {}
    exec(compile(example.replace("out/city", str(tiny_city)), "docs/python.md", "exec"), seen)
    assert re.search(r"^AMOTA \d\.\d{3}, \d+ identity switches$", capsys.readouterr().out, re.M)
    expected = detect(read_config(CONFIG), WEIGHTS)
    assert expected is not None and list(seen["tracks"]) == list(expected.boxes)
    last = list(expected.boxes)[-1]
    assert seen["frame"].token == last
    np.testing.assert_allclose(seen["boxes"].center_m, expected.boxes[last].center_m, atol=1e-3)
    np.testing.assert_allclose(seen["boxes"].score, expected.boxes[last].score, atol=1e-4)
