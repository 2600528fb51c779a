"""The devkit behind our interface gives the numbers that it gave when it was run by itself."""

from pathlib import Path

import pytest

from evaluation import evaluate_detection, evaluate_tracking
from evaluation.check import first_difference
from scenes import InputError, read_detections, read_tracks, write_tracks

pytest.importorskip("nuscenes")


@pytest.mark.parametrize("detector", ["fastbev", "cc3dt"])
def test_recorded_detections(detector, recorded, mini_val, capsys) -> None:
    path, expected = recorded(detector, "detections")
    evaluation = evaluate_detection(path, mini_val, "v1.0-mini", "mini_val", engine="devkit")
    assert first_difference(evaluation, expected) is None
    assert evaluation.summary["meta"] == expected.summary["meta"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_recorded_tracks(recorded, mini_val, capsys) -> None:
    path, expected = recorded("fastbev", "tracks_centerpoint")
    evaluation = evaluate_tracking(path, mini_val, "v1.0-mini", "mini_val", engine="devkit")
    assert first_difference(evaluation, expected) is None
    assert capsys.readouterr() == ("", "")


def test_results_in_memory_and_a_split_in_a_text_file(recorded, mini_val, tmp_path) -> None:
    path, expected = recorded("fastbev", "detections")
    split = tmp_path / "scenes.txt"
    split.write_text("scene-0103\nscene-0916\n")
    evaluation = evaluate_detection(read_detections(path), mini_val, "v1.0-mini", str(split), engine="devkit")
    assert first_difference(evaluation, expected) is None
    assert list(tmp_path.iterdir()) == [split]


def test_results_without_a_box_are_refused(recorded, mini_val, tmp_path) -> None:
    tracks = read_tracks(recorded("fastbev", "tracks_centerpoint")[0])
    empty = {token: boxes.select(slice(0)) for token, boxes in tracks.boxes.items()}
    path = Path(tmp_path, "empty.json")
    write_tracks(path, type(tracks)(empty))
    with pytest.raises(InputError, match=r"empty\.json: the devkit cannot evaluate results without a single box"):
        evaluate_tracking(path, mini_val, "v1.0-mini", "mini_val", engine="devkit")
