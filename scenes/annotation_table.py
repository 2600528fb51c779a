"""Joins the annotation tables of nuScenes into the `Annotations` of key frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.classes import NO_CLASS
from scenes.errors import InputError
from scenes.geometry import FloatArray
from scenes.scene import Annotations
from scenes.table_rows import AnnotationRow, InstanceRow, NamedRow, RowT, SampleRow, Table
from scenes.taxonomy import Taxonomy

_MAX_VELOCITY_GAP_S = 1.5
"""Longest time between two annotations that still gives a velocity (devkit `NuScenes.box_velocity`)."""

IntArray = NDArray[np.int64]


def read_annotations(
    table: Table[AnnotationRow],
    samples: Mapping[str, SampleRow],
    taxonomy: Taxonomy,
    other: Callable[[str, type[Any]], Table[Any]],
) -> dict[str, Annotations]:
    """The annotations of the wanted samples, by token.

    Args:
        table: the rows of sample_annotation of the wanted samples.
        samples: the rows of the wanted samples by token.
        taxonomy: the classes of the data root.
        other: gives another table of the data root by its name and the type of its rows.

    Raises:
        InputError: a table is missing or unusable, a token leads nowhere, an annotation has several attributes or is
            its own neighbour in time.
    """
    rows = list(table.values())
    for row in rows:
        if row.token in (row.prev, row.next):
            raise table.error(row, "points to the row itself", "next" if row.next == row.token else "prev")
    label = _labels(other, rows, taxonomy)
    rotation = _columns(rows, "rotation", 4)
    if len(zero := np.flatnonzero(~rotation.any(axis=1))):
        raise table.error(rows[zero[0]], "a zero quaternion", "rotation")
    boxes = Boxes3D(
        center_m=_columns(rows, "translation", 3),
        size_wlh_m=_columns(rows, "size", 3),
        rotation=rotation,
        velocity_mps=_velocity_mps(table, rows, samples),
        label=label,
        score=np.ones(len(rows)),
        track_id=np.array([row.instance_token for row in rows], dtype=np.str_),
        attribute=_attributes(table, other("attribute", NamedRow), rows),
    )
    num_lidar_pts = np.array([row.num_lidar_pts for row in rows], dtype=np.int64)
    num_radar_pts = np.array([row.num_radar_pts for row in rows], dtype=np.int64)
    visibility = np.array([int(row.visibility_token or 0) for row in rows], dtype=np.int64)

    def annotations(of_sample: IntArray) -> Annotations:
        labelled = of_sample[label[of_sample] >= 0]
        return Annotations(
            boxes=boxes.select(labelled),
            num_lidar_pts=num_lidar_pts[labelled],
            num_radar_pts=num_radar_pts[labelled],
            visibility=visibility[labelled],
            bike_racks=boxes.select(of_sample[label[of_sample] == NO_CLASS]),
        )

    indices: dict[str, list[int]] = {token: [] for token in samples}
    for index, row in enumerate(rows):
        indices[row.sample_token].append(index)
    return {token: annotations(np.array(of_sample, dtype=np.int64)) for token, of_sample in indices.items()}


def _columns(rows: Sequence[AnnotationRow], name: str, width: int) -> FloatArray:
    values = chain.from_iterable(map(attrgetter(name), rows))
    return np.fromiter(values, dtype=np.float64, count=len(rows) * width).reshape(-1, width)


def _labels(other: Callable[[str, type[Any]], Table[Any]], rows: list[AnnotationRow], taxonomy: Taxonomy) -> IntArray:
    """The label of each annotation; see `Taxonomy.label_of_category`."""
    categories = other("category", NamedRow)
    instances = other("instance", InstanceRow)
    row_of_instance = {row.instance_token: row for row in rows}
    label_of_instance = {}
    for token, row in row_of_instance.items():
        instance = instances.at(token, _named(row))
        category = categories.at(instance.category_token, f"instance '{token}'").name
        label_of_instance[token] = taxonomy.label_of_category(category)
    return np.array([label_of_instance[row.instance_token] for row in rows], dtype=np.int64)


def _attributes(
    annotations: Table[AnnotationRow], table: Table[NamedRow], rows: list[AnnotationRow]
) -> NDArray[np.str_]:
    several = next((row for row in rows if len(row.attribute_tokens) > 1), None)
    if several:
        raise InputError(f"{annotations.path}: {_named(several)} has several attributes")
    with _told_where(table, rows, lambda row: row.attribute_tokens[0] if row.attribute_tokens else ""):
        names = [table[row.attribute_tokens[0]].name if row.attribute_tokens else "" for row in rows]
    return np.array(names, dtype=np.str_)


def _velocity_mps(
    table: Table[AnnotationRow], rows: list[AnnotationRow], samples: Mapping[str, SampleRow]
) -> FloatArray:
    """(N, 2) velocity from the neighbours in time, NaN where there are none (devkit `box_velocity`)."""
    with _told_where(table, rows, lambda row: row.prev):
        first = [table[row.prev] if row.prev else row for row in rows]
    with _told_where(table, rows, lambda row: row.next):
        last = [table[row.next] if row.next else row for row in rows]
    between = np.array([bool(row.prev and row.next) for row in rows])
    start_s, end_s = (
        1e-6 * np.array([samples[row.sample_token].timestamp for row in ends], dtype=np.int64) for ends in (first, last)
    )
    elapsed_s = end_s - start_s
    known = (elapsed_s > 0) & (elapsed_s <= _MAX_VELOCITY_GAP_S * (1 + between))
    moved_m = _columns(last, "translation", 3) - _columns(first, "translation", 3)
    velocity: FloatArray = np.divide(
        moved_m[:, :2], elapsed_s[:, None], out=np.full((len(rows), 2), np.nan), where=known[:, None]
    )
    return velocity


@contextmanager
def _told_where(
    table: Table[RowT], rows: list[AnnotationRow], pointer: Callable[[AnnotationRow], str]
) -> Iterator[None]:
    """Turn a token that is not in `table` into an error that names the annotation that points to it.

    The names are made up only when one is needed: there are a million annotations.
    """
    try:
        yield
    except KeyError:
        for row in rows:
            if pointer(row):
                table.at(pointer(row), _named(row))
        raise


def _named(row: AnnotationRow) -> str:
    return f"sample_annotation '{row.token}'"
