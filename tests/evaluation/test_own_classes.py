"""nuScenes' arithmetic with classes of one's own: the same numbers for the same classes, whoever lists them how."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation import evaluate_detection, evaluate_tracking, report_tracking
from evaluation.check import first_difference
from scenes import NUSCENES, InputError, Results, read_detections
from scenes.taxonomy import CLASSES_FILE

EVALUATE = {"detection": evaluate_detection, "tracking": evaluate_tracking}
TRACKED = ["car", "bicycle", "pedestrian"]
WORLDS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "scene_lengths": st.lists(st.sampled_from([1, 2, 5]), min_size=1, max_size=2).map(tuple),
        "objects": st.sampled_from([3, 8]),
        "grid_m": st.sampled_from([0.0, 0.25]),
        "scores": st.sampled_from([3, 1000]),
        "noise_m": st.sampled_from([0.0, 0.3, 1.5]),
    }
)


def write_world(random_world: Any, root: Path, task: str, world: dict[str, Any], names: tuple[str, ...]) -> Path:
    return random_world(**world, faulty_identities=False, annotated=names, predicted=names).write(root, task)


def metrics(task: str, path: Path, root: Path) -> Any:
    return EVALUATE[task](path, root, "v1.0-world", "all")


@pytest.mark.parametrize("task", ["detection", "tracking"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(world=WORLDS, turn=st.integers(0, 9))
def test_the_ten_in_any_order_give_the_same_numbers(world, turn: int, task: str, random_world, spelled_out) -> None:
    """Bit for bit, curves and settings included, also where the file's order is another one."""
    names = tuple(TRACKED if task == "tracking" else [*TRACKED, "barrier", "traffic_cone"])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "world")
        path = write_world(random_world, root, task, world, names)
        try:
            expected = metrics(task, path, root)
        except InputError as error:
            expected = str(error)
        listed = spelled_out(NUSCENES)
        for classes in (listed, listed[turn:] + listed[:turn]):
            (root / CLASSES_FILE).write_text(json.dumps(classes))
            try:
                found = metrics(task, path, root)
            except InputError as error:
                found = str(error)
            if isinstance(expected, str):
                assert found == expected
            else:
                assert first_difference(found, expected, tolerance=0.0) is None
                assert list(found.summary["cfg"]["class_range"].items()) == list(
                    expected.summary["cfg"]["class_range"].items()
                )


WORLD = {"seed": 11, "scene_lengths": (5, 5), "objects": 8, "grid_m": 0.0, "scores": 1000, "noise_m": 0.3}


def renamed(path: Path, names: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    path.write_text(text)


@pytest.mark.parametrize("task", ["detection", "tracking"])
def test_other_names_give_the_numbers_of_the_classes_they_stand_for(task, random_world, spelled_out, tmp_path) -> None:
    names = {"car": "forklift", "pedestrian": "worker"}
    root = tmp_path / "world"
    path = write_world(random_world, root, task, WORLD, tuple(names))
    expected = metrics(task, path, root)
    classes = spelled_out(NUSCENES)
    for class_ in classes:
        class_["name"] = names.get(class_["name"], class_["name"])
    (root / CLASSES_FILE).write_text(json.dumps(classes))
    with pytest.raises(InputError, match="none of the known ones"):
        metrics(task, path, root)
    renamed(path, names)
    found = metrics(task, path, root)
    part = "label_metrics" if task == "tracking" else "mean_dist_aps"
    of_class = (
        (lambda summary, name: {key: row[name] for key, row in summary[part].items()})
        if task == "tracking"
        else (lambda summary, name: summary[part][name])
    )
    for old, new in names.items():
        assert of_class(found.summary, new) == of_class(expected.summary, old)


def test_ranges_are_those_of_the_classes(random_world, spelled_out, tmp_path: Path) -> None:
    """A box beyond nuScenes' 50 m counts where its class reaches farther, and one nearer does not where it does not."""
    root = tmp_path / "world"
    path = write_world(random_world, root, "detection", {**WORLD, "seed": 3}, ("car",))
    classes = spelled_out(NUSCENES)
    aps = []
    for range_m in (1.0, 50, 150):
        classes[0]["range_m"] = range_m
        (root / CLASSES_FILE).write_text(json.dumps(classes))
        evaluation = metrics("detection", path, root)
        assert evaluation.summary["cfg"]["class_range"]["car"] == range_m
        aps.append(evaluation.summary["mean_dist_aps"]["car"])
    assert aps[0] == 0.0 and aps[1] > 0.0


def test_errors_that_no_class_has_are_left_out_of_the_nds(random_world, tmp_path: Path) -> None:
    root = tmp_path / "world"
    path = write_world(random_world, root, "detection", WORLD, ("car",))
    still = {"name": "car", "range_m": 50, "categories": ["vehicle.car"], "round": True, "static": True}
    (root / CLASSES_FILE).write_text(json.dumps([still]))
    summary = metrics("detection", path, root).summary
    defined = {name for name, value in summary["tp_errors"].items() if value == value}
    assert defined == {"trans_err", "scale_err"}
    scores = sum(summary["tp_scores"][name] for name in defined)
    assert summary["nd_score"] == pytest.approx((5 * summary["mean_ap"] + scores) / 7)


def test_a_thin_class_is_the_same_from_both_sides(random_world, tmp_path: Path) -> None:
    root = tmp_path / "world"
    path = write_world(random_world, root, "detection", {**WORLD, "noise_m": 0.0}, ("car",))
    errors = []
    for thin in (False, True):
        gate = {"name": "car", "range_m": 50, "categories": ["vehicle.car"], "thin": thin}
        (root / CLASSES_FILE).write_text(json.dumps([gate]))
        errors.append(metrics("detection", path, root).summary["tp_errors"]["orient_err"])
    assert errors[1] < errors[0] and errors[1] <= 1.6


def test_the_report_has_own_classes(random_world, spelled_out, tmp_path: Path) -> None:
    root = tmp_path / "world"
    path = write_world(random_world, root, "tracking", WORLD, ("car",))
    classes = spelled_out(NUSCENES)[:1]
    classes[0].update(name="forklift", range_m=150, color="#123456")
    (root / CLASSES_FILE).write_text(json.dumps(classes))
    renamed(path, {"car": "forklift"})
    report_tracking(path, root, "v1.0-world", "all", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "forklift" in page and "#123456" in page and "100-150" in page and "pedestrian" not in page


def test_what_knows_the_ten_alone_refuses_others(random_world, tmp_path: Path) -> None:
    pytest.importorskip("evaluation.devkit")
    root = tmp_path / "world"
    path = write_world(random_world, root, "detection", WORLD, ("car",))
    (root / CLASSES_FILE).write_text(json.dumps([{"name": "car", "range_m": 50, "categories": ["vehicle.car"]}]))
    with pytest.raises(InputError, match=r"classes\.json: the devkit knows nuScenes' ten classes only"):
        evaluate_detection(path, root, "v1.0-world", "all", engine="devkit")
    renamed_results = read_detections(path)
    with pytest.raises(InputError, match="results with the classes of nuScenes, for scenes with those of"):
        evaluate_detection(Results(renamed_results.boxes), root, "v1.0-world", "all")
