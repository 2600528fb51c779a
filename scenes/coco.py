"""The COCO format: images, categories and boxes of a data set, and the boxes that a detector found in it.

Ids are names: they may have gaps, any order, and be text. What the rows hold besides is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from scenes.errors import InputError
from scenes.geometry import FloatArray

CocoId = int | str

_Side = Annotated[int, msgspec.Meta(ge=1)]


class CocoImage(msgspec.Struct, gc=False):
    """An image of a data set; `file_name` is its path below the folder of images, the size is in pixels."""

    id: CocoId
    file_name: str
    width: _Side
    height: _Side


class CocoCategory(msgspec.Struct, gc=False):
    """What an object can be."""

    id: CocoId
    name: str


class CocoAnnotation(msgspec.Struct, gc=False):
    """An annotated object: `bbox` is left, top, width, height in pixels; a crowd is a region of several objects."""

    image_id: CocoId
    category_id: CocoId
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0


class CocoResult(msgspec.Struct, gc=False):
    """A box that a detector found."""

    image_id: CocoId
    category_id: CocoId
    bbox: tuple[float, float, float, float]
    score: float


_T = TypeVar("_T")


def read_coco(path: Path, type_: type[_T], expected: str) -> _T:
    """A file in the COCO format.

    Args:
        path: file to read.
        type_: what it holds, a `msgspec.Struct` or a list of them.
        expected: the same in words, for messages.

    Raises:
        InputError: no such file, not JSON, or it holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {expected}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error


_EntryT = TypeVar("_EntryT", CocoImage, CocoCategory)


def by_id(entries: Iterable[_EntryT], path: Path, key: str) -> dict[CocoId, _EntryT]:
    """Images or categories by their ids, in the order of the file.

    Args:
        entries: of the file. path, key: the file and what of it they are, for messages.

    Raises:
        InputError: an id is there twice.
    """
    found: dict[CocoId, _EntryT] = {}
    for index, entry in enumerate(entries):
        if entry.id in found:
            raise InputError(f"{path}: {key}[{index}], key id: {entry.id!r} is there twice")
        found[entry.id] = entry
    return found


def edges_in_image(
    rows: Sequence[CocoAnnotation] | Sequence[CocoResult], image: CocoImage
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the boxes of an image lie in it.

    Returns:
        edges (N, 4) left, top, right, bottom in pixels, cut at the image's edge; which boxes have an area there; which
        of these were cut, by more than rounding to a tenth of a pixel.
    """
    bbox = np.array([row.bbox for row in rows], dtype=np.float64).reshape(-1, 4)
    with np.errstate(over="ignore"):  # what is infinite is cut at the edge like the rest
        given = np.concatenate([bbox[:, :2], bbox[:, :2] + bbox[:, 2:]], axis=1)
    edges: FloatArray = given.clip(0.0, [image.width, image.height, image.width, image.height])
    visible = (edges[:, 2:] > edges[:, :2]).all(axis=1)
    return edges, visible, visible & (np.abs(given - edges) > 0.1).any(axis=1)
