"""JSON of any content is read, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import InputError
from scenes.json_text import decode_json, is_number, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_holds_comes_back(value: Any) -> None:
    assert decode_json(json.dumps(value)) == value
    assert decode_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=40) | st.text(alphabet='[]{}",:0e-. \n').map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        decode_json(content)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"1" + b"0" * 5000, "a whole number has thousands of digits"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "key 'b' is there twice in one object"),
        (b'{"a": 1', r"not JSON: .*\(is the file truncated\?\)"),
        (b'{"a": "1', r"not JSON: Unterminated string starting at line 1, column 7 \(is the file truncated\?\)"),
        (b"[1, 2,, 3]", "not JSON: .* at line 1, column 7$"),
        (b'["\x80"]', "not JSON: not UTF-8 text at byte 2"),
        (b"", "not JSON"),
    ],
)
def test_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        decode_json(content)
    with pytest.raises(InputError, match=f"^{tmp_path}/file.json: .*{message}"):
        read_json(tmp_path / "file.json")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: No such file"):
        read_json(tmp_path / "nothing")
    with pytest.raises(InputError, match="Is a directory"):
        read_json(tmp_path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in (1, -2.5, 0.0)),
        *((value, False) for value in (True, "1", None, float("nan"), float("inf"), 10**400, -(10**400))),
    ],
)
def test_numbers(value: object, expected: bool) -> None:
    assert is_number(value) is expected
