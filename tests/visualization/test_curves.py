"""Curves: what is read from logs and details, what is refused, and that a picture comes of it."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from scenes import TRACKING_CLASSES, InputError
from visualization.curves import (
    _draw_logged,
    _moving_mean,
    read_details,
    read_training_log,
    speed_summary,
    write_detection_curves,
    write_tracking_curves,
    write_training_curves,
)

ROOT = Path(__file__).resolve().parents[2]


def log_lines(iterations: int = 40) -> list[str]:
    lines = [
        {"lr": 1e-4, "loss": 9.0 - 0.1 * i, "time": 0.5, "data_time": 0.1, "memory": 2048 + i, "iter": i, "step": i}
        for i in range(1, iterations + 1)
    ]
    return [json.dumps(line) for line in [*lines, {"NDS": 0.4, "mAP": 0.3, "time": 1.0, "step": iterations}]]


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    for age, folder in enumerate(("new", "old")):
        file = tmp_path / "run" / folder / "vis_data" / "scalars.json"
        file.parent.mkdir(parents=True)
        file.write_text("\n".join(log_lines(40 if folder == "new" else 3)))
        os.utime(file, (1000 - age, 1000 - age))
    return tmp_path / "run"


def test_the_newest_run_of_a_work_directory_is_read(work_dir):
    log = read_training_log(work_dir)
    assert len(log.training["loss"]) == 40
    assert log.training["loss"][1] == (2, 8.8)
    assert log.validation["NDS"] == [(40, 0.4)]
    assert "step" not in log.training


def test_a_resumed_run_is_one_curve(work_dir):
    """Killed at iteration 7, resumed from the checkpoint of iteration 5: 6 and 7 count as the second start has them."""
    lines = log_lines(10)
    first, second = (work_dir / name / "vis_data" / "scalars.json" for name in ("old", "new"))
    first.write_text("\n".join([*lines[:5], lines[-1].replace("10", "5"), *log_lines(7)[5:7]]))
    second.write_text("\n".join(line.replace('"loss": 8', '"loss": 7') for line in lines[5:]))
    log = read_training_log(work_dir)
    assert [step for step, _ in log.training["loss"]] == list(range(1, 11))
    assert [value > 8 for _, value in log.training["loss"]] == [True] * 5 + [False] * 5
    assert [step for step, _ in log.validation["NDS"]] == [5, 10]


def test_speed_and_memory(work_dir):
    assert speed_summary(read_training_log(work_dir)) == pytest.approx(
        {"iteration_s": 0.5, "data_share": 0.2, "memory_gb": 2088 / 1024}
    )


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "scalars.json"
    path.write_text("\n".join(log_lines(5))[:-10])
    assert len(read_training_log(path).training["loss"]) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no logged step"),
        ("{\n" + log_lines(1)[0], "line 1 is no JSON object"),
        ("[1]\n" + log_lines(1)[0], "line 1 is no JSON object"),
        ('{"loss": 1}\n' + log_lines(1)[0], "line 1 is no JSON object"),
    ],
)
def test_logs_that_are_none(tmp_path, content, message):
    path = tmp_path / "scalars.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_training_log(path)


def test_a_folder_without_logs(tmp_path):
    with pytest.raises(InputError, match=r"no vis_data/scalars\.json"):
        read_training_log(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_training_log(tmp_path / "none.json")


@given(arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6)))
def test_a_moving_mean_stays_within_its_window(values):
    mean = _moving_mean(values)
    half = int(0.03 * len(values) / 2)
    for index in range(len(values)):
        window = values[max(0, index - half) : index + half + 1]
        assert mean[index] == pytest.approx(window.mean(), abs=1e-3)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_of_training(work_dir, tmp_path, suffix):
    path = tmp_path / f"curves.{suffix}"
    write_training_curves({"run": read_training_log(work_dir)}, path)
    assert path.stat().st_size > 5000


@pytest.mark.parametrize(("iterations", "marker"), [(1, "o"), (2, "None")])
def test_a_run_of_one_logged_point_is_seen(iterations, marker, tmp_path):
    log = tmp_path / "scalars.json"
    log.write_text("\n".join(log_lines(iterations)))
    axes = Figure().subplots()
    _draw_logged(axes, read_training_log(log), "loss", ("red", "-"))
    assert str(axes.lines[-1].get_marker()) == marker


def test_a_key_that_nobody_logged(work_dir, tmp_path):
    with pytest.raises(InputError, match=r"no run has logged 'los'; there are .*loss"):
        write_training_curves({"run": read_training_log(work_dir)}, tmp_path / "a.png", ["los"])


def test_pictures_of_the_evaluation(shared, tmp_path):
    expected = shared / "expected"
    tracks = {
        name: read_details(expected / name / "tracks_polymot.metrics_details.json") for name in ("fastbev", "cc3dt")
    }
    write_tracking_curves(tracks, tmp_path / "tracking.png")
    boxes = {"fastbev": read_details(expected / "fastbev" / "detections.metrics_details.json", "detection")}
    write_detection_curves(boxes, tmp_path / "detection.png")
    for name in ("tracking", "detection"):
        assert cv2.imread(str(tmp_path / f"{name}.png")).std() > 5


def test_classes_without_a_curve_are_named_and_have_no_panel(shared, tmp_path):
    """Mini_val has no trailer; its details hold no number of one."""
    expected = shared / "expected" / "fastbev"
    write_tracking_curves({"a": read_details(expected / "tracks_polymot.metrics_details.json")}, tmp_path / "a.svg")
    details = read_details(expected / "detections.metrics_details.json", "detection")
    write_detection_curves({"a": details}, tmp_path / "b.svg")
    tracking, detection = ((tmp_path / name).read_text() for name in ("a.svg", "b.svg"))
    assert "<!-- without annotations: trailer -->" in tracking
    assert "<!-- trailer -->" not in tracking and "<!-- truck -->" in tracking
    assert "<!-- nothing found: trailer, " in detection or "<!-- nothing found: construction vehicle, " in detection
    assert "<!-- trailer, 2 m -->" not in detection and "<!-- truck, 2 m -->" in detection


def test_a_class_that_is_annotated_and_never_found_keeps_its_panel(shared, tmp_path):
    path = shared / "expected" / "fastbev" / "tracks_polymot.metrics_details.json"
    details = json.loads(path.read_text())
    never = {**details["bus"], "motar": [0.0] * 40, "mota": [0.0] * 40, "recall_hypo": [float("nan")] * 40}
    write_tracking_curves({"a": {**details, "bus": never}}, tmp_path / "a.svg")
    assert "<!-- bus -->" in (tmp_path / "a.svg").read_text()


def test_when_no_class_has_a_curve_all_panels_stand_empty(tmp_path):
    nothing = {key: [float("nan")] * 40 for key in ("motar", "mota", "recall_hypo")}
    write_tracking_curves({"a": dict.fromkeys(TRACKING_CLASSES, nothing)}, tmp_path / "a.svg")
    assert "<!-- car -->" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("folder", ["baseline", "better"])
def test_the_tool_names_a_single_run_by_its_folder(run, shared, tmp_path, folder):
    path = tmp_path / folder / "metrics_details.json"
    path.parent.mkdir()
    path.write_bytes((shared / "expected" / "fastbev" / "tracks_polymot.metrics_details.json").read_bytes())
    assert run("analyze_logs.py", "tracking", path, "--out", tmp_path / "a.svg").returncode == 0
    assert f"<!-- {folder}/metrics_details.json -->" in (tmp_path / "a.svg").read_text()


def test_details_of_the_other_task_are_refused(shared):
    path = shared / "expected" / "fastbev" / "detections.metrics_details.json"
    with pytest.raises(InputError, match="no curves of the tracking evaluation"):
        read_details(path)


def test_classes_are_those_of_the_file(tmp_path):
    nothing = {key: [0.5] * 40 for key in ("motar", "mota", "recall_hypo")}
    write_tracking_curves({"a": {"forklift": nothing}}, tmp_path / "a.svg")
    assert "<!-- forklift -->" in (tmp_path / "a.svg").read_text()
    found = {key: [0.5] * 101 for key in ("recall", "precision")}
    write_detection_curves({"a": {"pallet:0.5": found, "pallet:2.0": found}}, tmp_path / "b.svg")
    assert "<!-- pallet, 2 m -->" in (tmp_path / "b.svg").read_text()
    with pytest.raises(InputError, match="one and two are runs of different classes: 'car' is in one of them"):
        write_tracking_curves({"one": {"car": nothing}, "two": {"forklift": nothing}}, tmp_path / "c.svg")


def test_the_tool_names_runs_by_what_differs(run, work_dir, tmp_path):
    logs = [path.parent.parent for path in work_dir.glob("*/vis_data/scalars.json")]
    done = run("analyze_logs.py", "plot_curve", *logs, "--out", tmp_path / "a.png")
    assert {line.split(":")[0] for line in done.stdout.splitlines()[:-1]} == {"old", "new"}


def test_the_tool_refuses_other_formats(run, work_dir, tmp_path):
    done = run("analyze_logs.py", "plot_curve", work_dir, "--out", tmp_path / "a.gif")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'a.gif'}: pictures end in .png, .svg or .pdf\n"
