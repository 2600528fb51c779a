"""Converters with classes of one's own: which category a type of the source gets, and what lies beside the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scenes import NUSCENES, ObjectClass, Taxonomy, read_classes, read_scenes, read_taxonomy
from scenes.conversion.data_root import convert
from scenes.conversion.drive import category_of_type
from scenes.conversion.formats import FORMATS, open_source
from scenes.conversion.found_boxes import label_of_type, type_of_class
from scenes.taxonomy import CLASSES_FILE

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "classes"
CATEGORIES = {"Car": "vehicle.car", "Van": "vehicle.car"}


def test_a_type_keeps_its_own_category_where_a_class_lists_it() -> None:
    vans = Taxonomy((ObjectClass("van", 80.0, ("kitti.Van",)), ObjectClass("car", 80.0, ("vehicle.car",))))
    assert category_of_type("Van", "kitti", CATEGORIES, vans) == "kitti.Van"
    assert category_of_type("Car", "kitti", CATEGORIES, vans) == "vehicle.car"
    assert category_of_type("Tram", "kitti", CATEGORIES, vans) == "kitti.Tram"
    assert category_of_type("Van", "kitti", CATEGORIES, NUSCENES) == "vehicle.car"
    assert [label_of_type(name, "kitti", CATEGORIES, vans) for name in ("Van", "Car", "Tram")] == [0, 1, None]
    assert label_of_type("Van", "kitti", CATEGORIES, NUSCENES) == 0
    assert [type_of_class(class_, "kitti", {"car": "Car"}) for class_ in vans.classes] == ["Van", "Car"]
    assert type_of_class(ObjectClass("pallet", 60.0, ("pallet",)), "kitti", {"car": "Car"}) is None


@pytest.mark.parametrize("format_", [name for name in FORMATS if name not in ("rosbag", "mcap", "py123d")])
def test_the_file_comes_along(format_: str, write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """Of every format the car and the pedestrian are what the classes make of their nuScenes' categories."""
    path = tmp_path / "mine.json"
    person = {"name": "person", "range_m": 90, "categories": ["human.pedestrian.adult"]}
    path.write_text(json.dumps([person, {"name": "vehicle", "range_m": 150, "categories": ["vehicle.car", "car"]}]))
    source = write_source(format_)
    if format_ == "folder":
        boxes = (source / "boxes.csv").read_text()
        (source / "boxes.csv").write_text(boxes.replace(",car,", ",vehicle,").replace(",pedestrian,", ",person,"))
    opened = open_source(format_, source, read_classes(path))
    converted = convert(opened, tmp_path / "root")
    assert converted.without_class == {}
    assert (tmp_path / "root" / CLASSES_FILE).read_bytes() == path.read_bytes()
    (scene,) = read_scenes(tmp_path / "root", opened.version, "all")
    assert scene.taxonomy == opened.taxonomy
    labels = {label for frame in scene.frames for label in frame.annotations.boxes.label.tolist()}
    assert labels == {0, 1}


def test_without_a_file_there_is_none(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    convert(open_source("kitti", write_source("kitti")), tmp_path / "root")
    assert not (tmp_path / "root" / CLASSES_FILE).exists()
    assert read_taxonomy(tmp_path / "root") is NUSCENES


def test_trucks_have_their_own_twelve(write_dialect, world, tmp_path: Path) -> None:
    source = write_dialect(tmp_path / "source", "truckscenes")
    taxonomy = read_classes(CONFIGS / "truckscenes.json")
    convert(open_source("nuscenes-schema", source, taxonomy), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-converted", "all")
    boxes = scene.frames[1].annotations.boxes
    assert [scene.taxonomy.names[label] for label in boxes.label] == ["car", "pedestrian"]
    assert boxes.attribute.tolist() == ["vehicle.parked", ""]


def test_signs_of_trucks_have_attributes_of_their_own(write_dialect, tmp_path: Path) -> None:
    """Of several attributes the first that the class can have; without the classes nobody knows of signs."""
    source = write_dialect(tmp_path / "source", "truckscenes")
    folder = source / "v1.0-mini"
    rows = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("category", "attribute")}
    rows["category"][0]["name"] = "static_object.traffic_sign"
    rows["attribute"].append({"token": "a1", "name": "traffic_sign.temporary"})
    annotations = json.loads((folder / "sample_annotation.json").read_text())
    rows["sample_annotation"] = [row | {"attribute_tokens": ["a0", "a1"]} for row in annotations]
    for name, table in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(table))
    taxonomy = read_classes(CONFIGS / "truckscenes.json")
    convert(open_source("nuscenes-schema", source, taxonomy), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-converted", "all")
    boxes = scene.frames[0].annotations.boxes
    assert [taxonomy.names[label] for label in boxes.label] == ["traffic_sign", "pedestrian"]
    assert boxes.attribute.tolist() == ["traffic_sign.temporary", ""]
    plain = convert(open_source("nuscenes-schema", source), tmp_path / "plain")
    assert plain.without_class == {"static_object.traffic_sign": 5}


def test_other_classes_begin_a_conversion_anew(write_source: Callable[[str], Path], tmp_path: Path) -> None:
    """What a stopped run left is of the classes that it was given."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"name": "vehicle", "range_m": 150, "categories": ["vehicle.car"]}]))
    source = write_source("kitti")
    plain, own = open_source("kitti", source), open_source("kitti", source, read_classes(path))
    assert repr(plain) != repr(own)
