"""Two processes read a result file as one does."""

import json
from pathlib import Path

import numpy as np
import pytest

from scenes import InputError, Results, Scene, read_detections, shared_reading, write_detections
from scenes.city.simulated_detector import simulate_detections
from scenes.shared_reading import begun_reading, read_shared
from scenes.taxonomy import NUSCENES


@pytest.fixture
def path(plain_scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A detection file that counts as large."""
    monkeypatch.setattr(shared_reading, "_LARGE_FILE_BYTES", 0)
    write_detections(tmp_path / "detections.json", simulate_detections(plain_scenes[:2]))
    return tmp_path / "detections.json"


def test_reads_what_one_process_reads(path: Path) -> None:
    wanted = read_detections(path)
    with begun_reading(read_detections, path, NUSCENES) as content:
        shared: Results = content()
    assert list(shared.boxes) == list(wanted.boxes) and shared.meta == wanted.meta
    for token, boxes in wanted.boxes.items():
        for name, column in boxes._arrays().items():
            assert np.array_equal(getattr(shared.boxes[token], name), column)


def test_a_script_needs_no_guard(path: Path, ran) -> None:
    """Nobody asked for a second process."""
    script = ran(
        "from scenes import read_detections, shared_reading\n"
        "from scenes.taxonomy import NUSCENES\n"
        "shared_reading._LARGE_FILE_BYTES = 0\n"
        f"print(len(shared_reading.read_shared(read_detections, {str(path)!r}, NUSCENES).boxes), __name__)\n"
    )
    assert (script.stdout, script.stderr) == (f"{len(read_detections(path).boxes)} __main__\n", "")


def test_parts_are_the_whole(path: Path) -> None:
    tokens = [token for number in range(7) for token in read_detections(path, part=(number, 7)).boxes]
    assert tokens == list(read_detections(path).boxes)


@pytest.mark.parametrize("which", [0, -1])
def test_a_fault_in_either_half_is_named(path: Path, which: int) -> None:
    content = json.loads(path.read_text())
    token = [token for token, boxes in content["results"].items() if boxes][which]
    content["results"][token][0]["size"] = [0, 1, 1]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"sample '{token}', box 0, key size: must be positive"):
        read_shared(read_detections, path, NUSCENES)
