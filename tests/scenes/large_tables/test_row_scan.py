"""The scanner finds the rows that a JSON reader finds, or says that it is not sure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes.large_tables import row_scan
from scenes.large_tables.row_scan import hashes_of, scan_rows

KEYS = ("token", "is_key")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["", "}", "]},\n{", "a\\", '"token": ', "0123456789abcdef0123456789abcdef", "ü"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=6,
)


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with the two keys among others, often of one layout, as in tables."""
    same = draw(st.booleans())
    names = draw(st.permutations([*KEYS, "a", "height"]))
    found = []
    for _ in range(draw(st.integers(0, 12))):
        if not same:
            names = draw(st.permutations(names))
        row = {name: draw(VALUES) for name in names}
        found.append(row | {"token": draw(TEXT), "is_key": draw(st.booleans() | st.integers())})
    return found


def written_as(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@given(
    rows(),
    st.sampled_from([None, 0, 2, "\t"]),
    st.booleans(),
    st.sampled_from([(1 << 16, 1 << 16), (400, 1 << 16), (1 << 16, 3), (900, 2)]),
)
def test_finds_the_rows(
    tmp_path_factory: pytest.TempPathFactory, table: list[dict[str, Any]], indent: Any, ascii_only: bool, sizes: Any
) -> None:
    path = tmp_path_factory.mktemp("rows") / "table.json"
    path.write_text(json.dumps(table, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    content = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_scan, "_PIECE_BYTES", sizes[0])
        patch.setattr(row_scan, "_ROWS_A_CALL", sizes[1])
        scan = scan_rows(path, KEYS)
    escaped = any("\\" in json.dumps(row["token"], ensure_ascii=ascii_only) for row in table)
    escaped_key = any("\\" in key for row in table for key in row)
    too_long = max((len(json.dumps(row, indent=indent).encode()) for row in table), default=0) + 50 > sizes[0]
    if scan is None:
        assert escaped or escaped_key or too_long
        return
    assert not escaped
    assert [json.loads(content[a:b]) for a, b in zip(scan.start, scan.stop, strict=True)] == table
    for key in KEYS:
        np.testing.assert_array_equal(scan.hashes[key], hashes_of(written_as(row[key]) for row in table))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[",
        '[{"token": "a", "is_key": true}',
        '[{"token": "a", "is_key": true}] 1',
        '[{"token": "a", "is_key": true},]',
        '[{"token": "a"}]',
        '[{"token": "a", "is_key": true, "token": "b"}]',
        '[{"token": "a", "is_key": true}, {"token": "b", "is_key": true, "is_key": false}]',
        '[{"token": "a", "is_key": true}, {"token": "b", "is_kex": true}]',
        '[{"token": ["a"], "is_key": true}]',
        '[{"token": "\\u0061", "is_key": true}]',
        '[{"t\\u006fken": "a", "is_key": true}]',
        '[{"token": "a" "is_key": true}]',
        '[{"token": "a", "is_key": true} {"token": "b", "is_key": true}]',
        '[{"token": "a", "is_key": [1, 2}]',
        "[[]]",
        "[1]",
    ],
)
def test_is_not_sure(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    assert scan_rows(path, KEYS) is None


def test_hashes_tell_tokens_apart() -> None:
    rng = np.random.default_rng(0)
    tokens = {rng.bytes(16).hex() for _ in range(20_000)} | {"a" * n for n in range(40)} | {"a" * 7 + "\0", "a\0"}
    assert len(np.unique(hashes_of(tokens))) == len(tokens)
