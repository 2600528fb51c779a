"""`tools/evaluate.py` as a user runs it."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from evaluation.check import first_difference
from scenes import read_scenes


@pytest.fixture
def evaluate(run):
    return partial(run, "evaluate.py")


def where(mini_val: Path, out: Path, split: str = "mini_val") -> list[object]:
    return ["--dataroot", mini_val, "--version", "v1.0-mini", "--split", split, "--out", out]


def test_writes_and_prints_the_recorded_numbers(evaluate, recorded, written, mini_val, tmp_path) -> None:
    path, expected = recorded("fastbev", "detections")
    done = evaluate("detection", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert first_difference(written("detection", tmp_path / "out"), expected) is None
    assert f"NDS {expected.summary['nd_score']:.4f}" in done.stdout


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-100], "not JSON"),
        (lambda text: text.replace('"translation"', '"translatoin"', 1), "box 0, key translation: missing"),
        (lambda text: text.replace('"meta"', '"mata"', 1), "key 'meta': missing"),
    ],
)
def test_bad_file_ends_in_one_line_and_writes_nothing(evaluate, damage, message, recorded, mini_val, tmp_path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(damage(recorded("fastbev", "tracks_polymot")[0].read_text()))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 2
    assert message in done.stderr and str(path) in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_results_of_another_split_are_refused(evaluate, recorded, mini_val, tmp_path) -> None:
    path = tmp_path / "other.json"
    content = json.loads(recorded("fastbev", "tracks_polymot")[0].read_text())
    token, boxes = content["results"].popitem()
    path.write_text(json.dumps(content))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 2 and f"sample '{token}' of the split is missing (1 of 81 are)" in done.stderr
    content["results"].update({token: boxes, "elsewhere": []})
    path.write_text(json.dumps(content))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 2 and "sample 'elsewhere' does not belong to the split" in done.stderr


def test_partial_results(evaluate, recorded, written, mini_val, tmp_path) -> None:
    """One scene of two, evaluated alone: the numbers of a split that holds only that scene."""
    content = json.loads(recorded("fastbev", "tracks_polymot")[0].read_text())
    scenes = {scene.name: scene for scene in read_scenes(mini_val, "v1.0-mini")}
    kept = {token: content["results"][token] for token in scenes["scene-0916"].sample_tokens}
    kept |= {token: content["results"][token] for token in scenes["scene-0103"].sample_tokens[:7]}
    path = tmp_path / "part.json"
    path.write_text(json.dumps({"meta": content["meta"], "results": kept}))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "part"), "--partial")
    assert done.returncode == 0 and "1 of 2 scenes are left out" in done.stderr and "scene-0103" in done.stderr
    split = tmp_path / "split.txt"
    split.write_text("scene-0916\n")
    path.write_text(json.dumps(content))
    assert evaluate("tracking", path, *where(mini_val, tmp_path / "whole", str(split))).returncode == 0
    part, whole = (written("tracking", tmp_path / name) for name in ("part", "whole"))
    assert first_difference(part, whole) is None


def test_partial_results_without_a_whole_scene_are_refused(evaluate, recorded, mini_val, tmp_path) -> None:
    content = json.loads(recorded("fastbev", "tracks_polymot")[0].read_text())
    path = tmp_path / "part.json"
    path.write_text(json.dumps({"meta": {}, "results": dict(list(content["results"].items())[:3])}))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "out"), "--partial")
    assert done.returncode == 2 and "all samples of none of the split's 2 scenes" in done.stderr


def test_check_compares_both_engines(evaluate, recorded, mini_val, tmp_path) -> None:
    pytest.importorskip("nuscenes")
    done = evaluate("detection", recorded("fastbev", "detections")[0], *where(mini_val, tmp_path / "out"), "--check")
    assert done.returncode == 0 and "both engines agree within 1e-09" in done.stdout


def test_identities_that_mean_little_are_named(evaluate, recorded, mini_val, tmp_path) -> None:
    content = json.loads(recorded("fastbev", "tracks_polymot")[0].read_text())
    samples = [boxes for boxes in content["results"].values() if len(boxes) > 1]
    first, last = samples[0], samples[-1]
    first[1]["tracking_id"] = first[0]["tracking_id"]
    last[0]["tracking_id"] = first[0]["tracking_id"]
    samples[1][0].update(tracking_id=first[0]["tracking_id"], tracking_name="bus")
    path = tmp_path / "faulty.json"
    path.write_text(json.dumps(content))
    done = evaluate("tracking", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    identity = f"tracking_id '{first[0]['tracking_id']}'"
    assert f"warning: {identity} stands at several boxes of sample '{first[0]['sample_token']}'" in done.stderr
    assert f"warning: {identity} appears in scenes" in done.stderr
    assert f"warning: {identity} is {first[0]['tracking_name']} and bus in scene" in done.stderr


def test_unknown_split_is_refused(evaluate, recorded, mini_val, tmp_path) -> None:
    done = evaluate("tracking", recorded("fastbev", "tracks_polymot")[0], *where(mini_val, tmp_path / "out", "nowhere"))
    assert done.returncode == 2 and "split 'nowhere'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("version", ["v1.0-test", "v1.0-own"])
def test_split_without_annotations_is_validated_only(version, evaluate, recorded, mini_val, tmp_path) -> None:
    tables = tmp_path / "root" / version
    shutil.copytree(mini_val / "v1.0-mini", tables)
    (tables / "sample_annotation.json").write_text("[]")
    (tables / "splits.json").write_text(json.dumps({"drives": ["scene-0103", "scene-0916"]}))
    done = evaluate(
        "tracking",
        recorded("fastbev", "tracks_polymot")[0],
        *("--dataroot", tmp_path / "root", "--version", version, "--split", "drives", "--out", tmp_path / "out"),
    )
    assert done.returncode == 0 and "81 samples of split 'drives' are valid" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_file_compared_with_itself_has_a_table(evaluate, recorded, mini_val) -> None:
    path = recorded("fastbev", "tracks_polymot")[0]
    done = evaluate("compare", path, path, "--dataroot", mini_val, "--version", "v1.0-mini", "--split", "mini_val")
    assert done.returncode == 0, done.stderr
    header, amota, *_ = done.stdout.splitlines()
    assert f"{path}  {path} (2)" in header
    assert amota.split()[:4] == ["AMOTA", "0.5350", "0.5350", "+0.0000"]


def test_import_is_light() -> None:
    heavy = ("torch", "nuscenes", "pandas", "sklearn", "matplotlib", "numba")
    code = f"import sys, evaluation; sys.exit(str([name for name in {heavy} if name in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_report_tells_how_far_the_tracker_can_be_trusted(evaluate, recorded, mini_val, tmp_path) -> None:
    detections, tracks = recorded("fastbev", "detections")[0], recorded("fastbev", "tracks_polymot")[0]
    done = evaluate("tracking", tracks, *where(mini_val, tmp_path), "--report", "--detections", detections)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    table = page[page.index("uncertainty can be trusted") :]
    for kind in ("NIS", "NEES place", "NEES velocity"):
        assert f"<th>{kind}</th>" in table
    assert "car" in table and "all" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detections", "boxes.json"], "--detections goes with --report"),
        (["--report", "--tracker-config", "default.py"], "--tracker-config goes with --detections"),
    ],
)
def test_options_of_the_tracker_alone_are_refused(options, message, evaluate, recorded, mini_val, tmp_path) -> None:
    tracks = recorded("fastbev", "tracks_polymot")[0]
    done = evaluate("tracking", tracks, *where(mini_val, tmp_path / "out"), *options)
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_ceiling_of_detections(evaluate, recorded, written, mini_val, tmp_path) -> None:
    path = recorded("fastbev", "detections")[0]
    done = evaluate("ceiling", path, *where(mini_val, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    again = evaluate("tracking", tmp_path / "out" / "tracks.json", *where(mini_val, tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    best, judged = written("tracking", tmp_path / "out"), written("tracking", tmp_path / "again")
    assert first_difference(best, judged) is None
