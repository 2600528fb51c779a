"""The table of two methods over seeds."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.detection import detection_metrics
from scenes import read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections

SEEDS = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene without images, and the detections of two methods beside it: `a_0.json`, `a_1.json`, `b_0.json`, ..."""
    root = tmp_path_factory.mktemp("compared")
    make_city(root / "city", train_scenes=0, val_scenes=1, frames=6, seed=4, images=False, workers=1)
    scenes = read_scenes(root / "city", VERSION, VAL_SPLIT)
    for index, name in enumerate("ab"):
        for seed in range(SEEDS):
            write_detections(root / f"{name}_{seed}.json", simulate_detections(scenes, seed=10 * index + seed))
    return root


def arguments(root: Path, *methods: str) -> tuple[object, ...]:
    return (*methods, "--dataroot", root / "city", "--version", VERSION, "--split", VAL_SPLIT, "--workers", 1)


def test_rows_hold_mean_and_spread_of_every_method_and_of_the_difference(root: Path, run) -> None:
    methods = [f"{name}=" + ",".join(str(root / f"{name}_{seed}.json") for seed in range(SEEDS)) for name in "ab"]
    code, out, _ = run("compare_methods.py", *arguments(root, *methods))
    assert code == 0
    rows = {cells[1].strip(): cells[2] for cells in (line.split("|") for line in out.splitlines())}
    scenes = read_scenes(root / "city", VERSION, VAL_SPLIT)
    values = np.array(
        [
            [
                detection_metrics(simulate_detections(scenes, seed=10 * index + seed), scenes).summary["mean_ap"]
                for seed in range(SEEDS)
            ]
            for index in range(2)
        ]
    )
    for name, expected in (("a", values[0]), ("b", values[1]), ("b - a", values[1] - values[0])):
        mean, spread = (float(number) for number in rows[name].split("±"))
        assert mean == pytest.approx(expected.mean(), abs=1e-4)
        assert spread == pytest.approx(expected.std(ddof=1), abs=1e-4)


def test_bad_arguments_end_in_one_line(root: Path, run) -> None:
    file = root / "a_0.json"
    for methods, message in (
        (("a",), "a: expected NAME=FILE"),
        ((f"a={file}", f"b={file},{file}"), "as many files as the first"),
        (("a=nowhere.json",), "nowhere.json"),
    ):
        code, out, err = run("compare_methods.py", *arguments(root, *methods))
        assert code == 2 and out == "" and err.count("\n") == 1 and message in err
