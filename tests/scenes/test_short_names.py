"""Short names of files: they tell apart, and say no more."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes.short_names import short_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["out/a.json", "out/b.json"], ["a", "b"]),
        (["out/a/tracks.json", "out/b/tracks.json"], ["a", "b"]),
        (["out/a/one.json", "out/b/two.json"], ["a/one", "b/two"]),
        (["out/a.json", "out/a.txt"], ["a.json", "a.txt"]),
        (["out", "out/a"], ["out", "a"]),
        (["out/a.json"] * 3, ["out/a.json", "out/a.json (2)", "out/a.json (3)"]),
        (["work_dirs/first"], ["first"]),
    ],
)
def test_names(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names


def test_file_on_its_own_has_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.touch()
    assert short_names([path]) == [f"{tmp_path.name}/metrics.json"]


_PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.lists(_PATHS, min_size=2, max_size=4, unique=True))
def test_different_files_have_different_names(paths: list[str]) -> None:
    assert len(set(short_names([f"{path}.json" for path in paths]))) == len(paths)
