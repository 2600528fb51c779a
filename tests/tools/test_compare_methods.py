"""The table of two methods over seeds."""

from pathlib import Path

import numpy as np
import pytest

from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, Boxes3D, Results, read_detections, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city

config_factory = pytest.importorskip("nuscenes.eval.common.config").config_factory


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene without images; detections of all objects, all cars and nothing: `all.json`, `cars.json`, `none.json`."""
    root = tmp_path_factory.mktemp("compared")
    make_city(root / "city", train_scenes=0, val_scenes=1, frames=6, seed=4, images=False, workers=1)
    found: dict[str, dict[str, Boxes3D]] = {"all": {}, "cars": {}, "none": {}}
    for scene in read_scenes(root / "city", VERSION, VAL_SPLIT):
        for frame in scene.frames:
            assert frame.annotations is not None
            boxes = frame.annotations.boxes.select(frame.annotations.num_lidar_pts > 0).replace(track_id=None)
            found["all"][frame.token] = boxes
            found["cars"][frame.token] = boxes.select(boxes.label == LABEL_OF_CLASS["car"])
            found["none"][frame.token] = Boxes3D.empty()
    for name, boxes_of in found.items():
        write_detections(root / f"{name}.json", Results(boxes_of))
    return root


def arguments(root: Path, *methods: str) -> tuple[object, ...]:
    return (*methods, "--dataroot", root / "city", "--version", VERSION, "--split", VAL_SPLIT, "--workers", 1)


def judged_classes(root: Path) -> set[str]:
    """Those with an object near enough to be judged."""
    reach_m = config_factory("detection_cvpr_2019").class_range
    classes = set()
    for scene in read_scenes(root / "city", VERSION, VAL_SPLIT):
        for frame in scene.frames:
            boxes = read_detections(root / "all.json").boxes[frame.token]
            distance_m = np.linalg.norm(boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
            names = [DETECTION_CLASSES[label] for label in boxes.label]
            classes |= {name for name, away_m in zip(names, distance_m, strict=True) if away_m < reach_m[name]}
    return classes


def test_rows_hold_mean_and_spread_of_every_method_and_of_the_difference(root: Path, run) -> None:
    """The precision of one who finds everything is 1 for each class that is there, of one who finds nothing 0."""
    files = {"a": ("all", "none"), "b": ("cars", "all"), "c": ("none", "cars")}
    methods = [f"{name}=" + ",".join(str(root / f"{file}.json") for file in of) for name, of in files.items()]
    code, out, _ = run("compare_methods.py", *arguments(root, *methods))
    assert code == 0
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines())
    assert header[0] == "1 scenes, 2 seeds"
    of_file = {
        "mAP": {"all": len(judged_classes(root)) / 10, "cars": 0.1, "none": 0.0},
        "car AP": {"all": 1.0, "cars": 1.0, "none": 0.0},
    }
    table = {cells[0]: dict(zip(header, cells, strict=True)) for cells in rows}
    assert list(table) == ["a", "b", "c", "b - a", "c - a"]
    for column, value in of_file.items():
        values = {name: np.array([value[file] for file in of]) for name, of in files.items()}
        values |= {f"{name} - a": values[name] - values["a"] for name in "bc"}
        for name, expected in values.items():
            mean, spread = (float(number) for number in table[name][column].split("±"))
            assert mean == pytest.approx(expected.mean(), abs=6e-4), (name, column)
            assert spread == pytest.approx(abs(expected[1] - expected[0]) / np.sqrt(2), abs=6e-4), (name, column)


def test_bad_arguments_end_in_one_line(root: Path, run) -> None:
    file = root / "all.json"
    for methods, message in (
        (("a",), "a: expected NAME=FILE"),
        ((f"a={file}", f"b={file},{file}"), "as many files as the first"),
        (("a=nowhere.json",), "nowhere.json"),
    ):
        code, out, err = run("compare_methods.py", *arguments(root, *methods))
        assert code == 2 and out == "" and err.count("\n") == 1 and message in err
