"""Instances files: what is kept, what is mended and counted, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.images2d.annotations import chosen_categories, image_records, read_instances
from scenes import InputError
from scenes.coco import CocoAnnotation, CocoCategory, CocoImage, edges_in_image

WIDTH, HEIGHT = 60, 40


def box_row(image_id: object, category_id: object, bbox: list[float], **changes: object) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, **changes}


def image_row(id_: object, name: str, **changes: object) -> dict[str, Any]:
    return {"id": id_, "file_name": name, "width": WIDTH, "height": HEIGHT, **changes}


def _records(folder: Path, classes: list[str] | None = None) -> Any:
    path = folder / "instances.json"
    instances = read_instances(path)
    return image_records(instances, chosen_categories(instances.categories, classes, path), path)


def test_labels_follow_the_ids_and_not_their_order_or_gaps(write_coco: Callable[..., Path]) -> None:
    folder = write_coco([box_row(10, 90, [1, 2, 3, 4]), box_row(10, 3, [5, 5, 5, 5]), box_row(0, 17, [0, 0, 9, 9])])
    (first, second, third), left_out = _records(folder)
    assert (first.image_id, first.file_name, first.size_px) == (0, "0.png", (WIDTH, HEIGHT))
    assert first.labels.tolist() == [1] and second.labels.tolist() == [2, 0] and third.labels.tolist() == []
    assert second.boxes_px.tolist() == [[1, 2, 4, 6], [5, 5, 10, 10]] and third.boxes_px.shape == (0, 4)
    assert left_out == {"images without boxes": 1}


def test_what_cannot_be_learned_from_is_left_out_and_counted(write_coco: Callable[..., Path]) -> None:
    rows = [
        box_row(0, 3, [-5, -5, 10, 10]),
        box_row(0, 3, [WIDTH, 0, 10, 10]),
        box_row(0, 3, [5, 5, 0, 10]),
        box_row(0, 3, [5, 5, -3, 10]),
        box_row(0, 3, [5, 5, 30, 30], iscrowd=1),
        box_row(0, 17, [5, 5, 5, 5]),
        box_row(10, 3, [0, 0, WIDTH + 0.05, HEIGHT]),
        box_row(20, 3, [1, 1, 2, 2]),
    ]
    records, left_out = _records(write_coco(rows), ["zebra", "car"])
    assert [record.labels.tolist() for record in records] == [[1], [1], [1]]
    assert records[0].boxes_px.tolist() == [[0, 0, 5, 5]]
    assert left_out == {
        "crowds left out": 1,
        "boxes of other categories left out": 1,
        "boxes cut at the image's edge": 1,
        "boxes outside the image or without area left out": 3,
    }


@given(st.lists(st.tuples(*[st.floats(-200, 200)] * 2, *[st.floats(-10, 300)] * 2), max_size=8))
def test_edges_lie_in_the_image(boxes: list[tuple[float, float, float, float]]) -> None:
    rows = [CocoAnnotation(1, 1, box) for box in boxes]
    edges, visible, cut = edges_in_image(rows, CocoImage(1, "a.png", WIDTH, HEIGHT))
    kept = edges[visible]
    assert (kept >= 0).all() and (kept <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all() and (kept[:, 2:] > kept[:, :2]).all()
    for (left, top, width, height), shown, reaches in zip(boxes, visible, cut, strict=True):
        inside = left >= 0 and top >= 0 and left + width <= WIDTH and top + height <= HEIGHT
        assert not (inside and reaches)
        assert shown or min(width, height) <= 1e-9 or not (-width < left < WIDTH and -height < top < HEIGHT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: Input data was truncated"),
        ("[]", r'expected an object with "images", "categories" and "annotations": Expected `object`'),
        ({"images": [], "categories": [{"id": 1, "name": "car"}]}, "holds no image"),
        ({"images": [image_row(1, "a.png")], "categories": []}, "holds no category"),
        ({"images": [image_row(1, "a.png")] * 2, "categories": []}, r"images\[1\], key id: 1 is there twice"),
        (
            {"images": [image_row(1, "a.png", width=0)], "categories": []},
            r"expected an .*: Expected `int` >= 1 - at `\$\.images\[0\]",
        ),
    ],
)
def test_a_file_that_is_no_data_set_is_one_line(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=rf"instances\.json: {message}") as raised:
        read_instances(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (box_row(5, 3, [0, 0, 1, 1]), r"annotations\[1\], key image_id: 5 is none of the images"),
        (box_row(0, 4, [0, 0, 1, 1]), r"annotations\[1\], key category_id: 4 is none of the categories"),
    ],
)
def test_an_annotation_of_nothing_is_named(write_coco: Callable[..., Path], row: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"instances\.json: {message}"):
        _records(write_coco([box_row(0, 3, [0, 0, 1, 1]), row]))


def test_classes_are_those_of_the_config_in_its_order() -> None:
    categories = [CocoCategory(9, "car"), CocoCategory("a", "cat"), CocoCategory(2, "dog"), CocoCategory(3, "dog")]
    path = Path("f.json")
    assert [found.id for found in chosen_categories(categories, None, path)] == [2, 3, 9, "a"]
    assert [found.id for found in chosen_categories(categories, ["cat", "car"], path)] == ["a", 9]
    with pytest.raises(InputError, match=r"f\.json: class 'bus' is 0 times among the categories \(car, cat, dog, dog"):
        chosen_categories(categories, ["bus"], path)
    with pytest.raises(InputError, match="class 'dog' is 2 times"):
        chosen_categories(categories, ["dog"], path)


def test_a_crowd_may_be_a_truth_value(write_coco: Callable[..., Path]) -> None:
    records, _ = _records(write_coco([box_row(0, 3, [0, 0, 9, 9], iscrowd=True), box_row(0, 3, [0, 0, 9, 9])]))
    assert np.array_equal(records[0].labels, [0])


@given(st.integers(0, 400), st.binary(max_size=3), st.integers(0, 20))
def test_a_damaged_file_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, at: int, inserted: bytes, lost: int
) -> None:
    whole = json.dumps(
        {
            "images": [image_row(1, "a.png"), image_row("b", "b.png")],
            "categories": [{"id": 3, "name": "car"}, {"id": 7, "name": "cat"}],
            "annotations": [box_row(1, 3, [1, 2, 3, 4]), box_row("b", 7, [5.5, 6, 7, 8], iscrowd=1)],
        }
    ).encode()
    path = tmp_path_factory.getbasetemp() / "instances.json"
    path.write_bytes(whole[:at] + inserted + whole[at + lost :])
    try:
        _records(path.parent)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
