"""COCO results: which camera image a box belongs to, what is mended and counted, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import LABEL_OF_CLASS, Camera, Frame, InputError, Scene
from scenes.coco_results import CocoBoxes, read_coco_boxes

WIDTH, HEIGHT = 320, 180
NAMES = ("CAM_FRONT", "CAM_BACK")


def camera(name: str, path: str) -> Camera:
    return Camera(name, 0, Path("/data") / path, (WIDTH, HEIGHT), np.eye(3), np.eye(4), np.eye(4))


def scene() -> Scene:
    """Two frames of two cameras; the images of one are numbered alike in both cameras' folders."""
    frames = [
        Frame(
            token=f"sample-{index}",
            timestamp_us=500_000 * index,
            global_from_ego=np.eye(4),
            ego_from_lidar=None,
            cameras=tuple(camera(name, f"samples/{name}/{index:03d}.jpg") for name in NAMES),
            annotations=None,
        )
        for index in range(2)
    ]
    return Scene("drive", "drive-0", "", "", tuple(frames))


def image(id_: object, name: str, **changes: object) -> dict[str, Any]:
    return {"id": id_, "file_name": name, "width": WIDTH, "height": HEIGHT, **changes}


def found(image_id: object, bbox: list[float], **changes: object) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 3, "bbox": bbox, "score": 0.5, **changes}


IMAGES = [image(70, "samples/CAM_FRONT/000.jpg"), image(9, "samples/CAM_BACK/001.jpg")]
CATEGORIES = [{"id": 3, "name": "car"}, {"id": 90, "name": "person"}, {"id": 4, "name": "zebra"}]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., CocoBoxes]:
    return lambda rows, **changes: read_from(tmp_path, rows, **changes)


def read_from(folder: Path, rows: object, **changes: object) -> CocoBoxes:
    results, data_set = folder / "boxes.json", folder / "dataset.json"
    results.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    content = {"images": IMAGES, "categories": CATEGORIES, "annotations": [], **changes}
    data_set.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return read_coco_boxes(results, data_set, [scene()])


def test_ids_with_gaps_name_images_and_categories(read) -> None:
    got = read([found(9, [10, 20, 30, 40]), found(70, [1, 2, 3, 4], category_id=90, score=0.25)])
    assert got.notes == ()
    assert {token: sorted(of) for token, of in got.boxes.items()} == {
        "sample-0": ["CAM_FRONT"],
        "sample-1": ["CAM_BACK"],
    }
    back, front = got.boxes["sample-1"]["CAM_BACK"], got.boxes["sample-0"]["CAM_FRONT"]
    assert back.edges_px.tolist() == [[10, 20, 40, 60]] and back.label.tolist() == [LABEL_OF_CLASS["car"]]
    assert front.label.tolist() == [LABEL_OF_CLASS["pedestrian"]] and front.score.tolist() == [0.25]


def test_ids_may_be_words_and_categories_nuscenes_own(read) -> None:
    images = [image("a1b2", "CAM_BACK/000.jpg")]
    categories = [{"id": "x", "name": "vehicle.bus.rigid"}]
    got = read([found("a1b2", [0, 0, 5, 5], category_id="x")], images=images, categories=categories)
    assert got.boxes["sample-0"]["CAM_BACK"].label.tolist() == [LABEL_OF_CLASS["bus"]]


@pytest.mark.parametrize("name", ["CAM_BACK/001.jpg", "samples/CAM_BACK/001.jpg", "/data/samples/CAM_BACK/001.jpg"])
def test_a_file_name_is_the_end_of_a_path(name: str, read) -> None:
    got = read([found(1, [0, 0, 5, 5])], images=[image(1, name)])
    assert len(got.boxes["sample-1"]["CAM_BACK"]) == 1


def test_an_image_without_boxes_was_looked_at(read) -> None:
    got = read([found(9, [0, 0, 5, 5])])
    assert len(got.boxes["sample-0"]["CAM_FRONT"]) == 0


def test_what_lies_outside_is_cut_and_counted(read) -> None:
    rows = [
        *(found(9, [-10, 20, 30, 40]), found(9, [300, 100, 100, 100])),
        *(found(9, [400, 20, 30, 40]), found(9, [10, 10, 0, 40]), found(9, [1e308, 0, 1e308, 5])),
        *(found(9, [5, 5, 5, 5]), found(9, [-0.04, 0, 20, 20])),
    ]
    got = read(rows)
    assert got.boxes["sample-1"]["CAM_BACK"].edges_px.tolist() == [
        *([0, 20, 20, 60], [300, 100, WIDTH, HEIGHT]),
        *([5, 5, 10, 10], [0, 0, 19.96, 20]),
    ]
    assert [note.split(": ")[1] for note in got.notes] == [
        "2 boxes cut at the image's edge",
        "3 boxes outside the image or without area left out",
    ]


def test_other_images_and_categories_are_left_out_and_counted(read) -> None:
    images = [*IMAGES, image(11, "samples/CAM_FRONT/777.jpg")]
    rows = [found(11, [0, 0, 5, 5]), found(9, [0, 0, 5, 5], category_id=4), found(9, [0, 0, 6, 6])]
    got = read(rows, images=images)
    assert sum(len(boxes) for of in got.boxes.values() for boxes in of.values()) == 1
    assert sorted(note.split(": ")[1] for note in got.notes) == [
        "1 boxes in images of other frames left out",
        "1 boxes of other categories left out",
    ]


def test_boxes_of_a_resized_image_are_scaled_back(read) -> None:
    images = [image(9, "CAM_BACK/001.jpg", width=WIDTH // 2, height=HEIGHT // 3)]
    got = read([found(9, [10, 20, 30, 40])], images=images)
    assert got.boxes["sample-1"]["CAM_BACK"].edges_px.tolist() == [[20, 60, 80, 180]]


TWICE = [image(1, "CAM_BACK/001.jpg"), image(2, "samples/CAM_BACK/001.jpg")]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ("", {}, "boxes.json: not JSON"),
        ("[{", {}, "boxes.json: not JSON"),
        ("[" * 100_000, {}, "boxes.json"),
        ('[{"image_id": 9, "category_id": 3, "bbox": [NaN, 0, 1, 1], "score": 1}]', {}, "boxes.json: not JSON"),
        ({"annotations": []}, {}, "boxes.json: expected a list of boxes"),
        ([], {}, "boxes.json: no boxes in it"),
        ([found(9, [0, 0, 5])], {}, "boxes.json: expected a list of boxes: Expected `array` of length 4"),
        ([{"image_id": 9}], {}, "missing required field `category_id`"),
        ([found(9, [0, 0, 5, 5], score="high")], {}, "Expected `float`, got `str` - at `$[0].score`"),
        ([found(9, [0, 0, 5, 5]), found(8, [0, 0, 5, 5])], {}, "box 1, key image_id: 8 is none of the images"),
        ([found("9", [0, 0, 5, 5])], {}, "box 0, key image_id: '9' is none of the images"),
        ([found(9, [0, 0, 5, 5], category_id=1)], {}, "box 0, key category_id: 1 is none of the categories"),
        ([found(9, [0, 0, -5, 5])], {}, "box 0, key bbox: width and height must not be negative"),
        ([found(9, [0, 0, 5, 5])], {"images": None}, "dataset.json: expected an object"),
        ([found(9, [0, 0, 5, 5])], {"categories": None}, "dataset.json: expected an object"),
        ([found(9, [0, 0, 5, 5])], {"images": []}, "key images: none is a camera image of the scenes (there are none"),
        (
            [found(9, [0, 0, 5, 5])],
            {"images": [image(9, "BACK/001.jpg")]},
            "key images: none is a camera image of the scenes ('BACK/001.jpg' ...)",
        ),
        ([found(9, [0, 0, 5, 5])], {"images": [image(9, "")]}, "none is a camera image of the scenes ('' ...)"),
        ([found(9, [0, 0, 5, 5])], {"images": [image(9, "CAM_BACK/001.jpg", width=0)]}, "Expected `int` >= 1"),
        ([found(1, [0, 0, 5, 5])], {"images": [image(1, "000.jpg")]}, "image 1: file_name '000.jpg' fits 2 camera"),
        ([found(1, [0, 0, 5, 5])], {"images": TWICE}, "images 1 and 2 are both /data/samples/CAM_BACK/001.jpg"),
        ([found(9, [0, 0, 5, 5])], {"images": [IMAGES[0], IMAGES[0]]}, "images[1], key id: 70 is there twice"),
        (
            [found(9, [0, 0, 5, 5])],
            {"categories": [{"id": 4, "name": "zebra"}]},
            "key categories: none is a class of nuScenes ('zebra' ...)",
        ),
        ([found(9, [0, 0, 5, 5])], {"categories": [CATEGORIES[0]] * 2}, "categories[1], key id: 3 is there twice"),
    ],
)
def test_what_does_not_fit_is_named(rows, changes, message: str, read) -> None:
    with pytest.raises(InputError) as raised:
        read(rows, **changes)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        read_coco_boxes(tmp_path / "boxes.json", tmp_path / "none.json", [scene()])


number = st.floats(-500.0, 500.0).map(lambda value: round(value, 2))
extent = st.floats(0.0, 500.0).map(lambda value: round(value, 2))
rows_of_boxes = st.lists(
    st.builds(
        lambda image_id, category, left, top, width, height: found(
            image_id, [left, top, width, height], category_id=category
        ),
        *(st.sampled_from([70, 9]), st.sampled_from([3, 90, 4]), number, number, extent, extent),
    ),
    min_size=1,
    max_size=8,
)


@given(rows_of_boxes)
def test_every_box_is_read_or_counted_and_lies_in_its_image(tmp_path_factory, rows) -> None:
    got = read_from(tmp_path_factory.mktemp("coco"), rows)
    read = [boxes for of in got.boxes.values() for boxes in of.values()]
    counted = sum(int(note.split(": ")[1].split()[0]) for note in got.notes if note.endswith("left out"))
    assert sum(map(len, read)) + counted == len(rows)
    for boxes in read:
        assert (boxes.edges_px >= 0.0).all() and (boxes.edges_px <= [WIDTH, HEIGHT] * 2).all()
        assert (boxes.edges_px[:, 2:] > boxes.edges_px[:, :2]).all()
