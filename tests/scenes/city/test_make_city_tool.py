"""The command that writes a city."""

from functools import partial
from pathlib import Path

import pytest

from scenes import read_scenes
from scenes.city import VAL_SPLIT, VERSION


@pytest.fixture
def make(run):
    return partial(run, "make_city.py")


def test_writes_a_city(make, tmp_path: Path) -> None:
    out = tmp_path / "city"
    done = make(
        str(out),
        "--train-scenes",
        "0",
        "--val-scenes",
        "1",
        "--frames",
        "2",
        "--no-images",
        "--workers",
        "1",
        "--slope",
        "0.1",
        "--sweeps",
        "2",
    )
    assert done.returncode == 0, done.stderr
    assert "city_val" in done.stdout
    assert len(read_scenes(out, VERSION, VAL_SPLIT)[0].frames) == 2


@pytest.mark.parametrize(
    "arguments", [("--image-size", "wide"), ("--frames", "0"), ("--workers", "0"), ("--slope", "2"), ("--sweeps", "-1")]
)
def test_bad_arguments_end_in_one_line(make, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = make(str(tmp_path / "city"), *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
