"""The example in `docs/dynamic_yolo.md` runs, on smaller images."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[4] / "docs" / "dynamic_yolo.md"


def test_the_example_finds_boxes(capsys) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(compile(example.replace("640, 640", "64, 64"), str(PAGE), "exec"), {})
    assert "torch.Size([2, 252, 85])" in capsys.readouterr().out
