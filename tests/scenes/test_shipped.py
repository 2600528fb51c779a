"""Configs that ship are found from any folder, and never hide a file of one's own."""

from pathlib import Path

import pytest

from scenes import InputError
from scenes.shipped import shipped_path
from tracking import load_tracker_config


def test_config_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_tracker_config("configs/tracking/centerpoint.py").assignment == "nearest"


def test_own_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("configs/tracking/centerpoint.py")
    own.parent.mkdir(parents=True)
    own.write_text("tracker = dict()")
    assert shipped_path(own) == own
    assert load_tracker_config(own) == load_tracker_config(own.resolve())


@pytest.mark.parametrize("path", ["setup.py", "configs/none.py", "scenes/boxes.py", "../configs/tracking/default.py"])
def test_nothing_else_is_found(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped_path(path) == Path(path)
    with pytest.raises(InputError, match="no such config file"):
        load_tracker_config(path)
