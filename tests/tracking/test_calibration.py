"""What was learned, as a file and in words."""

import json
from pathlib import Path

import numpy as np
import pytest

from scenes import InputError
from tracking import ScoreScale, read_calibration, write_calibration
from tracking.calibration import described


@pytest.fixture
def scale() -> ScoreScale:
    score = np.linspace(0.0, 1.0, 101)
    return ScoreScale.unknown().with_frame(score).with_outcome(score, (score > 0.4).astype(np.float64))


def test_a_file_holds_all_that_was_learned(scale: ScoreScale, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "detector.json"
    write_calibration(path, scale)
    again = read_calibration(path)
    assert again.frames == scale.frames == 1
    for name in ("score", "count", "judged", "followed"):
        assert np.array_equal(getattr(again, name), getattr(scale, name))


def test_people_read_what_scores_mean(scale: ScoreScale) -> None:
    header, *rows = described(scale)
    assert header == ("score", "boxes below", "followed", "probably true")
    assert [row[1] for row in rows] == ["99%", "95%", "90%", "80%", "70%", "60%", "50%", "30%", "10%"]
    assert [float(row[2]) for row in rows][-2:] == [0.0, 0.0] and float(rows[0][2]) == 1.0
    true = [float(row[3]) for row in rows]
    assert true == sorted(true, reverse=True) and true[0] > 0.5 > true[-1]
    shares = [0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1]
    assert [float(row[0]) for row in rows] == pytest.approx(shares, abs=0.011)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("calibration_version"), "not a calibration"),
        (lambda content: content.update(calibration_version=2), "not a calibration"),
        (lambda content: content.pop("score"), "score is not a list of numbers"),
        (lambda content: content.update(count=["a"]), "count is not a list of numbers"),
        (lambda content: content["judged"].append(float("nan")), "judged is not a list of numbers"),
        (lambda content: content["followed"].pop(), "score, count, judged, followed are not of one length"),
        (lambda content: content.update(score=[], count=[], judged=[], followed=[]), "or empty"),
        (lambda content: content["score"].reverse(), "score is not ascending"),
        (lambda content: content["count"].__setitem__(0, -1.0), "numbers of boxes, not negative"),
        (lambda content: content.update(frames=0), "frames is 0"),
        (lambda content: content.update(frames=True), "frames is True"),
    ],
)
def test_what_is_no_calibration_is_refused(scale: ScoreScale, tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "detector.json"
    write_calibration(path, scale)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as refused:
        read_calibration(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_other_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "detector.json"
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="not a calibration"):
        read_calibration(path)
