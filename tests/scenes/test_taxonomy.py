"""Classes of one's own: what a file says, what it cannot say, and nuScenes' ten, which are one of many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes import (
    DETECTION_CLASSES,
    LABEL_OF_CLASS,
    NUSCENES,
    TRACKING_CLASSES,
    Boxes3D,
    InputError,
    Results,
    Scene,
    Taxonomy,
    read_classes,
    read_detections,
    read_taxonomy,
    read_tracks,
    shared_taxonomy,
    write_detections,
    write_tracks,
)
from scenes.classes import BIKE_RACK_CATEGORY, CLASS_OF_CATEGORY, NO_CLASS
from scenes.taxonomy import CLASSES_FILE, IGNORED

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "classes"

FORKLIFT = {"name": "forklift", "range_m": 150, "max_speed_mps": 8, "size_wlh_m": [1.2, 2.5, 2.2], "color": "#e69f00"}
PALLET = {"name": "pallet", "range_m": 60.5, "thin": True, "static": True, "tracked": False}
PERSON = {"name": "person", "range_m": 150, "categories": ["worker", "visitor"]}


def written(tmp_path: Path, classes: Any) -> Path:
    path = tmp_path / CLASSES_FILE
    path.write_text(classes if isinstance(classes, str) else json.dumps(classes))
    return path


def test_nuscenes_is_what_it_was() -> None:
    assert NUSCENES.names == DETECTION_CLASSES and NUSCENES.tracked_names == TRACKING_CLASSES
    assert dict(NUSCENES.label_of) == LABEL_OF_CLASS
    for category, name in CLASS_OF_CATEGORY.items():
        assert NUSCENES.label_of_category(category) == LABEL_OF_CLASS[name]
    assert NUSCENES.label_of_category(BIKE_RACK_CATEGORY) == NO_CLASS
    assert NUSCENES.label_of_category("animal") == IGNORED
    assert [NUSCENES.names[label] for label in NUSCENES.racked_labels] == ["motorcycle", "bicycle"]


def test_a_root_without_a_file_has_nuscenes(tmp_path: Path) -> None:
    assert read_taxonomy(tmp_path) is NUSCENES


def test_the_ten_spelled_out_are_nuscenes(tmp_path: Path, spelled_out) -> None:
    assert read_classes(written(tmp_path, spelled_out(NUSCENES))) is NUSCENES
    other_order = read_classes(written(tmp_path, spelled_out(NUSCENES)[::-1]))
    assert other_order != NUSCENES and other_order.names == DETECTION_CLASSES[::-1]


def test_own_classes(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON, FORKLIFT, PALLET]))
    assert taxonomy.names == ("person", "forklift", "pallet") and len(taxonomy) == 3
    assert taxonomy.tracked_names == ("forklift", "person") and taxonomy.tracked_labels == {0, 1}
    assert taxonomy.range_m.tolist() == [150.0, 150.0, 60.5]
    assert taxonomy.classes[1].size_wlh_m == (1.2, 2.5, 2.2) and taxonomy.classes[1].color == "#e69f00"
    assert [taxonomy.label_of_category(name) for name in ("visitor", "worker", "pallet")] == [0, 0, 2]
    assert taxonomy.label_of_category("person") == taxonomy.label_of_category("vehicle.car") == IGNORED
    assert taxonomy == read_taxonomy(tmp_path) and hash(taxonomy) == hash(read_taxonomy(tmp_path))


def test_a_class_with_a_parent_counts_as_it(tmp_path: Path) -> None:
    stacker = {"name": "stacker", "parent": "reach_truck"}
    reach_truck = {"name": "reach_truck", "parent": "forklift", "categories": ["reach.large", "reach.small"]}
    taxonomy = read_classes(written(tmp_path, [stacker, PALLET, FORKLIFT, reach_truck]))
    assert taxonomy.names == ("pallet", "forklift")
    assert taxonomy.merged == (("stacker", "forklift"), ("reach_truck", "forklift"))
    assert {name: taxonomy.label_of[name] for name in ("stacker", "reach_truck", "pallet")} == {
        "stacker": 1,
        "reach_truck": 1,
        "pallet": 0,
    }
    assert set(taxonomy.classes[1].categories) == {"forklift", "stacker", "reach.large", "reach.small"}
    assert set(taxonomy.tracking_names) == {"forklift", "stacker", "reach_truck"}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[", ": not JSON"),
        ("{}", ": expected a list of classes"),
        ([], ": expected a list of classes"),
        ([7], ": class 0: expected an object, got 7"),
        ([{"range_m": 5}], ": class 0, key name: missing"),
        ([PERSON, {"name": "", "range_m": 5}], ": class 1, key name: expected letters"),
        ([{"name": "a:b", "range_m": 5}], ": class 0, key name: expected letters"),
        ([{"name": "all", "range_m": 5}], ": class 0, key name: 'all' stands for all"),
        ([PALLET, PERSON, PALLET], ": class 2 'pallet', key name: 'pallet' is there twice, first in class 'pallet'"),
        ([PERSON, {**PALLET, "categories": ["worker"]}], ": class 1 'pallet', key categories: 'worker' is there twice"),
        ([{"name": "a"}], ": class 0 'a', key range_m: missing"),
        (
            [{"name": "a", "range_m": -3}],
            ": class 0 'a', key range_m: expected a number, positive, up to 10000, got -3",
        ),
        ([{"name": "a", "range_m": 0}], ": class 0 'a', key range_m: expected a number"),
        ('[{"name": "a", "range_m": NaN}]', ": class 0 'a', key range_m: expected a number"),
        ('[{"name": "a", "range_m": 1, "range_m": 2}]', ": key 'range_m' is there twice"),
        ([{"name": "a", "range_m": True}], ": class 0 'a', key range_m: expected a number"),
        (
            [{"name": "a", "rangem": 5}],
            ": class 0 'a', key rangem: 'rangem' is none of the known ones (nearest: range_m",
        ),
        ([{"name": "a", "range_m": 5, "thin": 1}], ": class 0 'a', key thin: expected true or false, got 1"),
        ([{**PALLET, "round": True}], ": class 0 'pallet', key round: a class is thin or round, not both"),
        ([{**PERSON, "categories": []}], ": class 0 'person', key categories: expected at least one"),
        ([{**PERSON, "categories": "worker"}], ": class 0 'person', key categories: expected a list of names"),
        ([{**PERSON, "attributes": ["vehicle.movin"]}], ": class 0 'person', key attributes: 'vehicle.movin' is none"),
        (
            [{**PERSON, "attributes": ["on fire"]}],
            ": class 0 'person', key attributes: expected letters, digits and _ . -",
        ),
        ([{**PERSON, "size_wlh_m": [1, 2]}], ": class 0 'person', key size_wlh_m: expected width, length and height"),
        ([{**PERSON, "size_wlh_m": [1, 2, -1]}], ": class 0 'person', key size_wlh_m: expected width"),
        ([{**PERSON, "color": "red"}], ": class 0 'person', key color: expected #rrggbb, got 'red'"),
        ([{**PERSON, "parent": 7}], ": class 0 'person', key parent: expected the name of a class"),
        (
            [PERSON, {"name": "kid", "parent": "persn"}],
            ": class 1 'kid', key parent: 'persn' is none of the known ones (nearest: person)",
        ),
        (
            [PERSON, {"name": "kid", "parent": "person", "range_m": 9}],
            ": class 1 'kid', key range_m: a class with a parent",
        ),
        (
            [PERSON, {"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}],
            ": class 2 'b', key parent: a class is its own ancestor: a -> b -> a",
        ),
        ([{"name": "a", "parent": "a"}], ": class 0 'a', key parent: a class is its own ancestor: a -> a"),
    ],
)
def test_what_cannot_be_used_is_one_line(classes: Any, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, classes)
    with pytest.raises(InputError) as told:
        read_taxonomy(tmp_path)
    assert f"{path}{message}" in str(told.value) and "\n" not in str(told.value)


def boxes(labels: list[int], identities: list[str] | None = None) -> Boxes3D:
    count = len(labels)
    return Boxes3D(
        center_m=np.zeros((count, 3)),
        size_wlh_m=np.ones((count, 3)),
        rotation=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        velocity_mps=np.zeros((count, 2)),
        label=np.array(labels),
        score=np.full(count, 0.5),
        track_id=None if identities is None else np.array(identities),
    )


def test_results_hold_own_classes(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON, FORKLIFT, PALLET, {"name": "stacker", "parent": "forklift"}]))
    path = tmp_path / "results.json"
    write_detections(path, Results({"s": boxes([0, 1, 2])}, taxonomy=taxonomy))
    content = json.loads(path.read_text())
    assert [box["detection_name"] for box in content["results"]["s"]] == ["person", "forklift", "pallet"]
    found = read_detections(path, taxonomy)
    assert found.boxes["s"].label.tolist() == [0, 1, 2] and found.taxonomy == taxonomy
    with pytest.raises(
        InputError, match="sample 's', box 0, key detection_name: class 'person' is none of the known ones"
    ):
        read_detections(path)
    content["results"]["s"][0]["detection_name"] = "stacker"
    path.write_text(json.dumps(content))
    assert read_detections(path, taxonomy).boxes["s"].label.tolist() == [1, 1, 2]
    content["results"]["s"][2]["detection_name"] = "pallette"
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"box 2, key detection_name: class 'pallette' is none of the known ones \(nearest: pallet\)$"
    ):
        read_detections(path, taxonomy)


def test_tracks_hold_tracked_classes(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON, FORKLIFT, PALLET]))
    path = tmp_path / "results.json"
    write_tracks(path, Results({"s": boxes([1, 0], ["1", "2"])}, taxonomy=taxonomy))
    assert read_tracks(path, taxonomy).boxes["s"].label.tolist() == [1, 0]
    write_tracks(path, Results({"s": boxes([2], ["1"])}, taxonomy=taxonomy))
    with pytest.raises(
        InputError, match="box 0, key tracking_name: class 'pallet' is none of the known ones \\(forklift, person"
    ):
        read_tracks(path, taxonomy)


def scene_of(taxonomy: Taxonomy) -> Scene:
    return Scene("token", "name", "", "", (), taxonomy)


def test_results_of_other_classes_are_refused(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON]))
    assert shared_taxonomy(Results({}, taxonomy=taxonomy), []) == taxonomy
    assert shared_taxonomy(Results({}, taxonomy=taxonomy), [scene_of(taxonomy)]) == taxonomy
    with pytest.raises(InputError, match="results with the classes of nuScenes, for scenes with those of"):
        shared_taxonomy(Results({}), [scene_of(taxonomy)])
    with pytest.raises(InputError, match="scenes with different classes"):
        shared_taxonomy(Results({}), [scene_of(NUSCENES), scene_of(taxonomy)])
    with pytest.raises(InputError, match="the devkit knows nuScenes' ten classes only"):
        taxonomy.require_nuscenes("the devkit")


def test_classes_that_a_user_names(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON, FORKLIFT, PALLET]))
    assert taxonomy.labels(["pallet", "person"]).tolist() == [2, 0]
    with pytest.raises(
        InputError, match=r"classes.json: class 'forklit' is none of the known ones \(nearest: forklift\)"
    ):
        taxonomy.labels(["forklit"])


def test_attributes_of_one_s_own_are_those_of_result_files(tmp_path: Path) -> None:
    taxonomy = read_classes(written(tmp_path, [PERSON, {**PALLET, "attributes": ["pallet.laden", "pallet.empty"]}]))
    assert taxonomy.attributes == (*NUSCENES.attributes, "pallet.laden", "pallet.empty")
    boxes = Boxes3D(
        center_m=np.zeros((1, 3)),
        size_wlh_m=np.ones((1, 3)),
        rotation=np.array([[1.0, 0, 0, 0]]),
        velocity_mps=np.zeros((1, 2)),
        label=np.array([1]),
        score=np.ones(1),
        attribute=np.array(["pallet.laden"]),
    )
    path = tmp_path / "boxes.json"
    write_detections(path, Results({"frame": boxes}, taxonomy=taxonomy))
    assert read_detections(path, taxonomy).boxes["frame"].attribute.tolist() == ["pallet.laden"]
    path.write_text(path.read_text().replace("pallet.laden", "pallet.lost"))
    with pytest.raises(InputError, match=r"box 0, key attribute_name: unknown attribute .pallet\.lost."):
        read_detections(path, taxonomy)


@pytest.mark.parametrize(("name", "count"), [("kitti", 8), ("argoverse2", 26), ("truckscenes", 12)])
def test_files_that_ship(name: str, count: int) -> None:
    taxonomy = read_classes(CONFIGS / f"{name}.json")
    assert len(taxonomy) == count


def test_the_shipped_classes_are_all_of_their_data_sets() -> None:
    from scenes.conversion.kitti import _TYPES, REGION_TYPE

    kitti, argoverse2 = (read_classes(CONFIGS / f"{name}.json") for name in ("kitti", "argoverse2"))
    assert {f"kitti.{type_}" for type_ in _TYPES if type_ != REGION_TYPE} == {
        category for class_ in kitti.classes for category in class_.categories
    }
    assert all(class_.categories == (f"argoverse2.{class_.name}",) for class_ in argoverse2.classes)
    truckscenes = read_classes(CONFIGS / "truckscenes.json")
    assert {class_.range_m for class_ in truckscenes.classes} == {75.0, 150.0}


def test_trucks_are_judged_as_by_their_kit() -> None:
    """Which errors are left out: truckscenes-devkit 1.2.0, `eval/detection/algo.py` and `evaluate.py`."""
    classes = read_classes(CONFIGS / "truckscenes.json").classes
    assert {one.name for one in classes if one.thin} == {"barrier", "traffic_sign"}
    assert {one.name for one in classes if one.round} == {"traffic_cone"}
    assert {one.name for one in classes if one.static} == {"barrier", "traffic_cone", "traffic_sign"}
    assert {one.name for one in classes if not one.attributes} == {"animal", "barrier", "traffic_cone"}
    assert {one.name for one in classes if one.range_m == 150.0} == {"car", "truck", "bus", "trailer", "other_vehicle"}
