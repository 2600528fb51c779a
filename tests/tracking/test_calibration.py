"""What was learned, as a file and in words."""

import json
from pathlib import Path

import numpy as np
import pytest

from scenes import InputError
from tracking import BoxErrors, Calibration, MeasurementNoise, ScoreScale, read_calibration, write_calibration
from tracking.box_errors import N_BINS, N_SUMS
from tracking.calibration import described, described_errors


@pytest.fixture
def scale() -> ScoreScale:
    score = np.linspace(0.0, 1.0, 101)
    return ScoreScale.unknown().with_frame(score, score, (score > 0.4).astype(np.float64))


@pytest.fixture
def errors() -> BoxErrors:
    rng = np.random.default_rng(0)
    return BoxErrors(
        rng.uniform(0.0, 9.0, N_BINS),
        rng.uniform(0.0, 9.0, N_BINS),
        rng.uniform(1.0, 9.0, N_SUMS),
        rng.uniform(0.0, 9.0, 1),
    )


def test_a_file_holds_all_that_was_learned(scale: ScoreScale, errors: BoxErrors, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "detector.json"
    write_calibration(path, Calibration(scale, errors))
    again = read_calibration(path)
    assert again.score_scale.frames == scale.frames == 1
    for name in ("score", "count", "judged", "followed"):
        assert np.array_equal(getattr(again.score_scale, name), getattr(scale, name))
    for name in ("along", "across", "velocities"):
        assert np.array_equal(getattr(again.box_errors, name), getattr(errors, name))


def test_people_read_how_boxes_err() -> None:
    """Before anything is seen as assumed; a detector whose velocities are all next to nothing is named one."""
    noise = MeasurementNoise(along_m=1.0, along_per_m=0.1, across_m=0.5, across_per_m=0.0, velocity_mps=1.5)
    places, velocities = described_errors(BoxErrors.unknown(), noise)
    assert places.startswith("places 30 m away err by 4.00 m along the ray and 0.50 m across (1.00 and 1.00 of")
    assert velocities == "velocities: none reported"
    sums = np.array([500.0, 9000.0, 0.0, 0.0, 1.0])
    _, velocities = described_errors(BoxErrors(np.zeros(N_BINS), np.zeros(N_BINS), sums, np.array([0.4])), noise)
    assert velocities == "velocities are all below 0.5 m/s: as good as none"
    moving = np.array([9.0])
    _, velocities = described_errors(BoxErrors(np.zeros(N_BINS), np.zeros(N_BINS), sums, moving), noise)
    assert velocities.startswith("velocities err by ") and velocities.endswith(": as good as none")
    right = np.add(sums, [0.0, 0.0, 0.0, 9000.0, 9000.0])
    _, velocities = described_errors(BoxErrors(np.zeros(N_BINS), np.zeros(N_BINS), right, moving), noise)
    assert velocities == "velocities err by 0.2 m/s"


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
        (lambda content: content.update(calibration_version=1), "not a calibration"),
        (lambda content: content.pop("score"), "score is not a list of numbers"),
        (lambda content: content.update(count=["a"]), "count is not a list of numbers"),
        (lambda content: content["judged"].append(float("nan")), "judged is not a list of numbers"),
        (lambda content: content["followed"].pop(), "score, count, judged, followed are not of one length"),
        (lambda content: content.update(score=[], count=[], judged=[], followed=[]), "or empty"),
        (lambda content: content["score"].reverse(), "score is not ascending"),
        (lambda content: content["count"].__setitem__(0, -1.0), "numbers of boxes, not negative"),
        (lambda content: content.update(frames=0), "frames is 0"),
        (lambda content: content.pop("across"), "across is not a list of numbers"),
        (lambda content: content["velocities"].pop(), "velocities has 4 numbers, expected 5"),
        (lambda content: content["along"].__setitem__(0, -1.0), "numbers of boxes, not negative"),
        (lambda content: content["velocities"].__setitem__(0, -1.0), "numbers of boxes, not negative"),
        (lambda content: content.update(frames=True), "frames is True"),
    ],
)
def test_what_is_no_calibration_is_refused(scale: ScoreScale, tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "detector.json"
    write_calibration(path, Calibration(scale))
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
