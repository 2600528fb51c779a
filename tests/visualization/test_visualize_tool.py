"""The command line: what is written and what is refused."""

import json
from functools import partial
from pathlib import Path

import pytest

from scenes import read_scenes


@pytest.fixture
def visualize(run):
    return partial(run, "visualize.py")


@pytest.fixture
def tracks(shared: Path) -> Path:
    return shared / "expected" / "fastbev" / "tracks_polymot.json"


def test_a_scene_not_in_the_data_root_is_one_line(visualize, mini_val, tracks, tmp_path):
    out = tmp_path / "out"
    run = visualize(tracks, "--dataroot", mini_val, "--version", "v1.0-mini", "--scene", "scene-9999", "--out", out)
    assert run.returncode == 2
    assert run.stderr == "error: scene 'scene-9999' is not in the data root (or not in the split)\n"
    assert not out.exists()


def test_a_file_that_is_no_result_file_is_one_line(visualize, mini_val, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    run = visualize(bad, "--dataroot", mini_val, "--version", "v1.0-mini", "--out", tmp_path / "out")
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: {bad}: not JSON")
    assert run.stderr.count("\n") == 1


def test_one_scene_becomes_one_video(visualize, mini_val, tracks, tmp_path):
    out = tmp_path / "out"
    run = visualize(tracks, "--dataroot", mini_val, "--version", "v1.0-mini", "--scene", "scene-0916", "--out", out)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in out.iterdir()] == ["scene-0916.mp4"]
    assert "41 frames" in run.stdout


def test_compared_tracks_must_hold_the_scenes(visualize, mini_val, tracks, tmp_path):
    results = json.loads(tracks.read_text())
    scene = read_scenes(mini_val, "v1.0-mini", "mini_val")[1]
    results["results"] = {token: results["results"][token] for token in scene.sample_tokens}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(results))
    data = ("--dataroot", mini_val, "--version", "v1.0-mini", "--out", tmp_path / "out")
    run = visualize(tracks, *data, "--compare", other)
    assert run.returncode == 2
    assert run.stderr == f"error: {other}: holds no frame of scene 'scene-0103'; it has scene-0916\n"
    run = visualize(tracks, *data, "--compare", other, "--scene", "scene-0916")
    assert run.returncode == 0, run.stderr


def test_pages_and_the_list_of_scenes(visualize, mini_val, shared, tracks, tmp_path):
    out = tmp_path / "out"
    metrics = shared / "expected" / "fastbev" / "tracks_polymot.metrics_summary.json"
    detections = shared / "detections" / "fastbev.json"
    data = ("--dataroot", mini_val, "--version", "v1.0-mini", "--out", out)
    run = visualize(tracks, *data, "--format", "html", "--metrics", metrics, "--detections", detections)
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "scene-0103.html", "scene-0916.html"]
    assert "228 images are missing or broken" in run.stdout


def test_a_frame_that_is_not_there_is_one_line(visualize, mini_val, tracks, tmp_path):
    data = ("--dataroot", mini_val, "--version", "v1.0-mini", "--out", tmp_path, "--scene", "scene-0103")
    run = visualize(tracks, *data, "--format", "pdf", "--frames", 1, 41)
    assert run.returncode == 2
    assert run.stderr == "error: scene 'scene-0103' has 40 frames, none with number 41\n"
    assert list(tmp_path.iterdir()) == []


def test_frames_are_looked_for_in_all_scenes_first(visualize, mini_val, tracks, tmp_path):
    out = tmp_path / "out"
    data = ("--dataroot", mini_val, "--version", "v1.0-mini", "--out", out, "--format", "png", "--frames")
    run = visualize(tracks, *data, 41, "--scene", "scene-0916", "scene-0103")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "error: scene 'scene-0103' has 40 frames, none with number 41\n"
    assert visualize(tracks, *data, 99).returncode == 2
    assert not out.exists()


PICTURES = "png, svg, pdf"
DRAWN = f"{PICTURES}, rerun or video"


@pytest.mark.parametrize(
    ("kind", "option", "goes_with"),
    [
        ("html", "--compare nosuch", "video"),
        ("png", "--compare annotations", "video"),
        ("html", "--smooth", "video"),
        ("png", "--smooth", "video"),
        ("png", "--metrics nosuch", "html"),
        ("rerun", "--analysis nosuch", "html"),
        ("png", "--detections nosuch", "html or rerun"),
        ("video", "--detections nosuch", "html or rerun"),
        ("video", "--images embed", "html"),
        ("video", "--frames 1", "png, svg or pdf"),
        ("heat", "--frames 2", "png, svg or pdf"),
        ("heat", "--annotations", f"{PICTURES} or video"),
        ("rerun", "--annotations", f"{PICTURES} or video"),
        ("html", "--classes car", DRAWN),
        ("heat", "--min-score 0", DRAWN),
        ("html", "--color-by identity", DRAWN),
        ("svg", "--executor process", "html, rerun or video"),
        ("heat", "--address auto", "html, rerun or video"),
    ],
)
def test_options_of_other_formats_are_refused(visualize, tmp_path, kind, option, goes_with):
    data = ("--dataroot", tmp_path, "--version", "v1.0-mini", "--out", tmp_path / "out")
    run = visualize(tmp_path / "tracks.json", *data, "--format", kind, *option.split())
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"error: {option.split()[0]} goes with --format {goes_with}, not with {kind}\n"


@pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
def test_a_score_is_a_number(visualize, tmp_path, score):
    data = ("--dataroot", tmp_path, "--version", "v1.0-mini", "--out", tmp_path / "out")
    run = visualize(tmp_path / "tracks.json", *data, f"--min-score={score}")
    assert run.returncode == 2
    assert run.stderr == f"error: --min-score {score}: expected -1e+06 to 1e+06\n"
