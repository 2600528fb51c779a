"""Finds the rows of a table without decoding them: where each begins and ends, and hashes of some of its values.

A compiled pass over the bytes, piece by piece: a table of a gigabyte needs neither its size in memory nor an object a
row. It follows JSON's brackets and strings, whatever the order of keys and the white space, and it is sure or says
nothing: where a key repeats, is missing or is written with an escape, nobody gets wrong rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from scenes.compiled import compiled

IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

_PIECE_BYTES: Final = 1 << 21
"""It stays near the processor while it is scanned; a longer row is not plain to see."""

_ROWS_A_CALL: Final = 1 << 14
_MOST_PAIRS: Final = 32
"""Keys of a row whose layout is kept: most rows are like the one before, and then nothing needs to be looked for."""

_BEFORE_LIST, _FIRST, _AFTER_ROW, _AFTER_COMMA, _AFTER_LIST = range(5)
_ODD: Final = -1
_CUT: Final = -2


@dataclass(frozen=True)
class RowScan:
    """N rows of a table, in its order.

    Attributes:
        row: (N,) their numbers, from 0.
        start, stop: (N,) the bytes of each row.
        hashes: by key (N,) hashes of the values, see `hashes_of`.
    """

    row: IntArray
    start: IntArray
    stop: IntArray
    hashes: dict[str, HashArray]


Keep = Callable[[dict[str, HashArray]], BoolArray]


def scan_rows(path: Path, keys: Sequence[str], keep: Keep | None = None) -> RowScan | None:
    """The rows of a table; None if it is not plain to see what its rows are.

    Args:
        path: the table's file.
        keys: each row has each of them, once, with a string, a number, true, false or null.
        keep: says by the hashes of some rows (R,) which of them to keep (R,); None keeps all.

    Raises:
        OSError: the file cannot be read.
    """
    names = [key.encode() for key in keys]
    text, ends = np.frombuffer(b"".join(names), np.uint8), np.cumsum([len(name) for name in names])
    start, stop = np.empty(_ROWS_A_CALL, np.int64), np.empty(_ROWS_A_CALL, np.int64)
    hashes = np.empty((_ROWS_A_CALL, len(names)), np.uint64)
    row = np.arange(_ROWS_A_CALL)
    n_before = 0
    parts: list[tuple[IntArray, ...]] = []
    values: list[list[HashArray]] = []
    buffer = np.zeros(_PIECE_BYTES + _PADDING, np.uint8)
    begin, filled, phase = 0, 0, _BEFORE_LIST
    with path.open("rb", buffering=0) as file:
        while True:
            n_read = file.readinto(buffer[filled:_PIECE_BYTES].data)
            filled += n_read
            used = 0
            while True:
                phase, n_rows, more = _scan(buffer[used:filled], phase, text, ends, start, stop, hashes)
                if phase == _ODD:
                    return None
                found = dict(zip(keys, hashes[:n_rows].T, strict=True))
                which = slice(n_rows) if keep is None else np.flatnonzero(keep(found))
                parts.append((row[which] + n_before, start[which] + begin + used, stop[which] + begin + used))
                values.append([of_key[which].copy() for of_key in found.values()])
                n_before += n_rows
                used += more
                if n_rows < _ROWS_A_CALL:
                    break
            if not n_read:  # the end of the file, or a row that is longer than the buffer
                break
            buffer[: filled - used] = buffer[used:filled].copy()
            begin, filled = begin + used, filled - used
    if phase != _AFTER_LIST or filled > used:
        return None
    rows, starts, stops = (np.concatenate(column) for column in zip(*parts, strict=True))
    return RowScan(rows, starts, stops, dict(zip(keys, map(np.concatenate, zip(*values, strict=True)), strict=True)))


def hashes_of(values: Iterable[str]) -> HashArray:
    """(N,) what `scan_rows` gives for these strings, for `true`, or for a number as it is written."""
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    ends = np.cumsum([len(value) for value in encoded], dtype=np.int64)
    hashes: HashArray = _hash_each(np.frombuffer(b"".join(encoded) + bytes(_PADDING), np.uint8), ends)
    return hashes


_QUOTE: Final = ord('"')
_EVERY: Final = np.uint64(0x0101010101010101)
_HIGHEST: Final = np.uint64(0x8080808080808080)
_QUOTES: Final = _EVERY * np.uint64(ord('"'))
_BACKSLASHES: Final = _EVERY * np.uint64(ord("\\"))
# Brackets and braces differ in this bit alone.
_LOWER: Final = _EVERY * np.uint64(0x20)
_OPENING: Final = _EVERY * np.uint64(ord("{"))
_CLOSING: Final = _EVERY * np.uint64(ord("}"))
_DIGIT: Final = _EVERY * np.uint64(0x30)
_KIND: Final = _EVERY * np.uint64(0xF0)


def _typed_load(bits: int, numba_type: Any) -> Any:
    """Typing of a function that loads an integer of so many bits from any place of an array of bytes, unchecked."""

    def typed(_: Any, text: Any, position: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.gep(array.data, [arguments[1]])
            return builder.load(builder.bitcast(address, ir.IntType(bits).as_pointer()), align=1)

        return numba_type(text, types.int64), generate

    return typed


def _typed_trailing_zeros(_: Any, word: Any) -> Any:
    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


# numba's own indexing first asks whether an index counts from the end: at every byte that takes as long as the rest.
_byte: Any = intrinsic(_typed_load(8, types.uint8))
_word: Any = intrinsic(_typed_load(64, types.uint64))
_trailing_zeros: Any = intrinsic(_typed_trailing_zeros)
_PADDING: Final = 16
"""Bytes that must be there behind what is scanned, because words are loaded whole."""


@compiled(nogil=True, inline="always")
def _zero_bytes(word: int) -> int:
    """Of the lowest zero byte of a word the highest bit; 0 if it has none."""
    return (word - _EVERY) & ~word & _HIGHEST  # type: ignore[no-any-return]


@compiled(nogil=True)
def _hash_each(text: ByteArray, ends: IntArray) -> HashArray:
    hashes = np.empty(len(ends), np.uint64)
    start = 0
    for index in range(len(ends)):
        hashes[index] = _hash(text, start, ends[index])
        start = ends[index]
    return hashes


@compiled(nogil=True, inline="always")
def _hash(text: ByteArray, start: int, stop: int) -> int:
    mixed = np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(stop - start)
    position = start
    while position < stop:
        word = _word(text, position)
        if position + 8 > stop:
            word &= (np.uint64(1) << np.uint64(8 * (stop - position))) - np.uint64(1)
        mixed = (mixed ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(32)
        position += 8
    return mixed  # type: ignore[return-value]


@compiled(nogil=True)
def _scan(
    text: ByteArray,
    phase: int,
    keys: ByteArray,
    key_ends: IntArray,
    start: IntArray,
    stop: IntArray,
    hashes: HashArray,
) -> tuple[int, int, int]:
    """Scan the whole rows of a piece of a file.

    Args:
        text: the piece; it begins between two rows.
        phase: what came before it.
        keys, key_ends: the keys, one after the other, and where each ends.
        start, stop, hashes: filled, (R,), (R,) and (R, K).

    Returns:
        What came before the rest, `_ODD` for what is no plain list of rows; how many rows there are; where the rest
        begins.
    """
    position = 0
    n_rows = 0
    layout = np.zeros((_MOST_PAIRS + 1, 3), np.int64)
    n_pairs = 0
    while n_rows < len(start):
        position = _skip_space(text, position)
        if position == len(text):
            break
        here = _byte(text, position)
        if phase == _BEFORE_LIST and here == ord("["):
            phase = _FIRST
        elif phase in (_FIRST, _AFTER_ROW) and here == ord("]"):
            phase = _AFTER_LIST
        elif phase == _AFTER_ROW and here == ord(","):
            phase = _AFTER_COMMA
        elif phase in (_FIRST, _AFTER_COMMA) and here == ord("{"):
            end = _ODD
            if n_pairs:
                end = _scan_like_the_last(text, position, layout, n_pairs, hashes[n_rows])
            if end == _ODD:
                end, n_pairs = _scan_row(text, position, keys, key_ends, hashes[n_rows], layout)
            if end == _CUT:
                break
            if end == _ODD:
                return _ODD, 0, 0
            start[n_rows], stop[n_rows] = position, end
            n_rows += 1
            phase = _AFTER_ROW
            position = end - 1
        else:
            return _ODD, 0, 0
        position += 1
    return phase, n_rows, position


@compiled(nogil=True)
def _scan_row(
    text: ByteArray, position: int, keys: ByteArray, key_ends: IntArray, hashes: HashArray, layout: IntArray
) -> tuple[int, int]:
    """Where the row that begins at `position` ends, `_CUT` or `_ODD`, and how many keys it has, 0 for too many.

    Fills the hashes (K,) of its values and its layout: of each key, and of the end, where the text before the value
    begins, where that ends, and which of the wanted keys it is.
    """
    found = 0
    n_pairs = 0
    before = position
    while True:
        key, position = _skip_key(text, position + 1, keys, key_ends)
        if position < 0:
            return position, 0
        if n_pairs < _MOST_PAIRS:
            layout[n_pairs, 0], layout[n_pairs, 1], layout[n_pairs, 2] = before, position, key
        n_pairs += 1
        first, last, position = _skip_value(text, position)
        if position < 0:
            return position, 0
        if key >= 0:
            if first == _ODD or found & (1 << key):
                return _ODD, 0
            found |= 1 << key
            hashes[key] = _hash(text, first, last)
        before = position
        position = _skip_space(text, position)
        if position == len(text):
            return _CUT, 0
        if _byte(text, position) == ord("}"):
            if found != (1 << len(key_ends)) - 1:
                return _ODD, 0
            if n_pairs > _MOST_PAIRS:
                return position + 1, 0
            layout[n_pairs, 0], layout[n_pairs, 1] = before, position + 1
            return position + 1, n_pairs
        if _byte(text, position) != ord(","):
            return _ODD, 0


@compiled(nogil=True)
def _skip_key(text: ByteArray, position: int, keys: ByteArray, key_ends: IntArray) -> tuple[int, int]:
    """Which of the wanted keys stands there, -1 for another, and where its value begins, `_CUT` or `_ODD`."""
    position = _skip_space(text, position)
    if position == len(text):
        return -1, _CUT
    if _byte(text, position) != _QUOTE:
        return -1, _ODD
    first = position + 1
    position = _end_of_string(text, first)
    if position == _CUT:
        return -1, _CUT
    if position < 0:  # it holds an escape
        return -1, _ODD
    key = _which(text, first, position, keys, key_ends)
    position = _skip_space(text, position + 1)
    if position == len(text):
        return -1, _CUT
    if _byte(text, position) != ord(":"):
        return -1, _ODD
    position = _skip_space(text, position + 1)
    return key, position if position < len(text) else _CUT


@compiled(nogil=True)
def _scan_like_the_last(text: ByteArray, position: int, layout: IntArray, n_pairs: int, hashes: HashArray) -> int:
    """As `_scan_row` for a row between whose values the same text stands as in the row of the layout; else `_ODD`."""
    for pair in range(n_pairs):
        position = _after_same(text, position, layout[pair, 0], layout[pair, 1])
        if position < 0:
            return _ODD
        first, last, position = _skip_value(text, position)
        if position < 0:
            return position
        if layout[pair, 2] >= 0:
            if first == _ODD:
                return _ODD
            hashes[layout[pair, 2]] = _hash(text, first, last)
    return _after_same(text, position, layout[n_pairs, 0], layout[n_pairs, 1])


@compiled(nogil=True, inline="always")
def _after_same(text: ByteArray, position: int, begin: int, end: int) -> int:
    """What follows the text at `position`, if it is that from `begin` to `end`; else `_ODD`."""
    length = end - begin
    if position + length >= len(text):
        return _ODD
    place = 0
    while place + 8 <= length:
        if _word(text, position + place) != _word(text, begin + place):
            return _ODD
        place += 8
    if place < length:
        rest = _word(text, position + place) ^ _word(text, begin + place)
        if rest & ((np.uint64(1) << np.uint64(8 * (length - place))) - np.uint64(1)) != 0:
            return _ODD
    return position + length


@compiled(nogil=True)
def _skip_space(text: ByteArray, position: int) -> int:
    while position < len(text) and (
        _byte(text, position) == 10
        or _byte(text, position) == 32
        or _byte(text, position) == 13
        or _byte(text, position) == 9
    ):
        position += 1
    return position


@compiled(nogil=True, inline="always")
def _end_of_string(text: ByteArray, position: int) -> int:
    """The quotation mark that ends a string whose first character is at `position`, -3 minus it if the string holds an
    escape; or `_CUT`."""
    escaped = False
    while position < len(text):
        word = _word(text, position)
        quoted = _zero_bytes(word ^ _QUOTES) | _zero_bytes(word ^ _BACKSLASHES)
        if quoted == 0:
            position += 8
            continue
        position += _trailing_zeros(quoted) >> 3
        if position >= len(text):
            break
        if _byte(text, position) == _QUOTE:
            return -3 - position if escaped else position
        escaped = True
        position += 2
    return _CUT


@compiled(nogil=True)
def _which(text: ByteArray, first: int, last: int, keys: ByteArray, key_ends: IntArray) -> int:
    """The index of the key that stands there, -1 for another."""
    begin = 0
    for key in range(len(key_ends)):
        if key_ends[key] - begin == last - first:
            same = True
            for place in range(last - first):
                if _byte(text, first + place) != keys[begin + place]:
                    same = False
                    break
            if same:
                return key
        begin = key_ends[key]
    return -1


@compiled(nogil=True, inline="always")
def _skip_value(text: ByteArray, position: int) -> tuple[int, int, int]:
    """A value's first byte, its end, and where what follows it begins.

    The first is `_ODD` for a value that has no hash: a list, an object, a string with an escape. The last is `_CUT` or
    `_ODD` where there is no whole value.
    """
    first = position
    if _byte(text, position) == ord('"'):
        last = _end_of_string(text, position + 1)
        if last == _CUT:
            return _ODD, _ODD, _CUT
        if last < 0:
            return _ODD, _ODD, -3 - last + 1
        return first + 1, last, last + 1
    if _byte(text, position) == ord("[") or _byte(text, position) == ord("{"):
        return _ODD, _ODD, _skip_nested(text, position)
    while position < len(text):
        if _word(text, position) & _KIND == _DIGIT and position + 8 < len(text):
            position += 8
            continue
        here = _byte(text, position)
        if here == ord(",") or here == ord("}") or here == 10 or here == 32 or here == 13 or here == 9:
            return (first, position, position) if position > first else (_ODD, _ODD, _ODD)
        if here == ord("]") or here == ord("[") or here == ord("{") or here == ord('"') or here == ord(":"):
            return _ODD, _ODD, _ODD
        position += 1
    return _ODD, _ODD, _CUT


@compiled(nogil=True)
def _skip_nested(text: ByteArray, position: int) -> int:
    """Where what follows a list or an object begins."""
    depth = 0
    while position < len(text):
        word = _word(text, position)
        lower = word | _LOWER
        marked = _zero_bytes(word ^ _QUOTES) | _zero_bytes(lower ^ _OPENING) | _zero_bytes(lower ^ _CLOSING)
        if marked == 0:
            position += 8
            continue
        position += _trailing_zeros(marked) >> 3
        if position >= len(text):
            break
        here = _byte(text, position)
        if here == _QUOTE:
            position = _end_of_string(text, position + 1)
            if position == _CUT:
                return _CUT
            if position < 0:
                position = -3 - position
        elif here == ord("[") or here == ord("{"):
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return _CUT
