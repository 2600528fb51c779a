"""Whatever happens to a source, its conversion ends in a data root that is read, or in one line and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import InputError, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.formats import FORMATS, open_source

JUNK = (None, True, -1, 0, 1e30, float("nan"), float("inf"), 10**30, "x", "", "../../x", [], {}, [1, 2])
WORDS = ("nan", "-1", "1e30", "1e400", "x", "", "0", "inf", "9" * 20)
NUMBER = re.compile(r"(?<![\w.])-?\d+(\.\d+)?(e[-+]\d+)?")


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a JSON document."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _with_junk(content: bytes, draw: Callable[[st.SearchStrategy], Any]) -> bytes:
    """One value of a JSON document, or one number of a text, is something else."""
    try:
        document = json.loads(content)
    except ValueError:
        return _with_another_number(content, draw)
    if not (places := list(_places(document))):
        return content
    *way, last = draw(st.sampled_from(places))
    holder = document
    for key in way:
        holder = holder[key]
    if isinstance(holder, dict) and draw(st.booleans()):
        del holder[last]
    else:
        holder[last] = draw(st.sampled_from(JUNK))
    return json.dumps(document).encode()


def _with_another_number(content: bytes, draw: Callable[[st.SearchStrategy], Any]) -> bytes:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if not (numbers := list(NUMBER.finditer(text))):
        return content
    number = draw(st.sampled_from(numbers))
    return (text[: number.start()] + draw(st.sampled_from(WORDS)) + text[number.end() :]).encode()


def _damage(path: Path, draw: Callable[[st.SearchStrategy], Any]) -> None:
    content = path.read_bytes()
    kind = draw(st.sampled_from(("cut", "flipped", "removed", "copied", "junk", "junk", "junk")))
    if kind == "cut":
        path.write_bytes(content[: draw(st.integers(0, len(content)))])
    elif kind == "flipped" and content:
        at = draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :])
    elif kind == "removed":
        path.unlink()
    elif kind == "copied":
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    elif kind == "junk":
        path.write_bytes(_with_junk(content, draw))


@pytest.mark.parametrize("format_", [name for name in FORMATS if name not in ("rosbag", "mcap", "py123d")])
@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_source_is_converted_or_named(
    format_: str, data: st.DataObject, drive_in: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    original = drive_in(format_)
    folder = tmp_path_factory.mktemp("damaged")
    source = folder / "source"
    shutil.copytree(original, source)
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    for _ in range(data.draw(st.integers(1, 2))):
        path = source / data.draw(st.sampled_from(files))
        if path.is_file():
            _damage(path, data.draw)
    try:
        opened = open_source(format_, source)
        convert(opened, folder / "root")
    except InputError as error:
        assert "\n" not in str(error)
        assert [path.name for path in folder.iterdir()] == ["source"]
    else:
        read_scenes(folder / "root", opened.version, "all")


def test_boxes_without_an_orientation_are_named(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Found by the first test: they could not be turned into global coordinates."""
    source = write_source("ddad")
    path = source / "000001" / "bounding_box_3d" / "1.json"
    content = json.loads(path.read_text())
    for rotation in ({"qw": 0.0, "qx": 0.0, "qy": 0.0, "qz": 0.0}, {"qw": 1e30, "qx": 0.0, "qy": 0.0, "qz": 0.0}):
        content["annotations"][0]["box"]["pose"]["rotation"] = rotation
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match="frame 1, object '70': no box"):
            convert(open_source("ddad", source), tmp_path / "root")


def test_lenses_are_numbers(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Found by the first test: tables were written that no reader takes."""
    source = write_source("pandaset")
    path = source / "001" / "camera" / "front_camera" / "intrinsics.json"
    path.write_text('{"fx": NaN, "fy": 500.0, "cx": 320.0, "cy": 180.0}')
    with pytest.raises(InputError, match="001: front_camera: the lens holds what is no number"):
        convert(open_source("pandaset", source), tmp_path / "root")


def test_mountings_are_numbers(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Found by the first test: tables were written that no reader takes."""
    source = write_source("ddad")
    calibration = source / "000001" / "calibration" / "cal.json"
    content = json.loads(calibration.read_text())
    content["extrinsics"][0]["translation"]["y"] = 1e30
    calibration.write_text(json.dumps(content))
    with pytest.raises(InputError, match="LIDAR_TOP: the mounting holds what is no number, or is too large"):
        convert(open_source("ddad", source), tmp_path / "root")


def test_points_are_counted_by_numbers_that_readers_take(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Found by the first test, too."""
    source = write_source("ddad")
    path = source / "000001" / "bounding_box_3d" / "2.json"
    content = json.loads(path.read_text())
    for count in (-1, 10**12):
        content["annotations"][1]["num_points"] = count
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=f"frame 2, object '71': {count} are no number of points"):
            convert(open_source("ddad", source), tmp_path / "root")


def test_poses_have_orientations(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Found by the first test, too: no number is neither near one nor far from it."""
    source = write_source("ddad")
    path = source / "000001" / "scene_1.json"
    content = json.loads(path.read_text())
    content["data"][1]["datum"]["image"]["pose"]["rotation"]["qw"] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"scene_1\.json: datum c0: no unit quaternion"):
        convert(open_source("ddad", source), tmp_path / "root")
