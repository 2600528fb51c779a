"""`tools/track.py` as a user runs it: what comes out, and what is said of bad input."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.tracking import tracking_metrics
from scenes import read_scenes, read_tracks

TOKENS = [f"sample-{index}" for index in range(3)]


@pytest.fixture
def refused(run, small_root: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the tool and asserts that it ends in one line; returns the line."""

    def run_and_check(
        path: Path, root: Path = small_root, *, and_also: Sequence[object] = (), **options: object
    ) -> str:
        out = tmp_path / "out" / "tracks.json"
        given = {"dataroot": root, "version": "v1.0-small", "split": "all", "out": out, **options}
        flags = [word for name, value in given.items() for word in (f"--{name}", value)]
        done = run("track.py", path, *and_also, *flags)
        assert done.returncode == 2
        assert done.stdout == "" and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
        assert not out.parent.exists()
        return done.stderr

    return run_and_check


@pytest.fixture(scope="module")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of one scene of three frames, without sensors' files or annotations; split `all`."""
    root = tmp_path_factory.mktemp("root")
    write_tables(root, [1_500_000_000_000_000 + 500_000 * index for index in range(len(TOKENS))])
    return root


def write_tables(root: Path, times_us: list[int]) -> None:
    tokens = [f"sample-{index}" for index in range(len(times_us))]
    identity = {"translation": [0.0, 0.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    samples = [
        {"token": token, "timestamp": time_us, "scene_token": "drive"}
        | {"prev": tokens[index - 1] if index else "", "next": tokens[index + 1] if index + 1 < len(tokens) else ""}
        for index, (token, time_us) in enumerate(zip(tokens, times_us, strict=True))
    ]
    tables: dict[str, list[dict[str, Any]]] = {
        "scene": [
            {"token": "drive", "name": "drive-0", "description": "", "log_token": "log", "nbr_samples": len(tokens)}
            | {"first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
        ],
        "log": [{"token": "log", "location": "nowhere", "logfile": "", "vehicle": "", "date_captured": ""}],
        "sample": samples,
        "sensor": [{"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"}],
        "calibrated_sensor": [{"token": "lidar", "sensor_token": "lidar", "camera_intrinsic": [], **identity}],
        "ego_pose": [{"token": row["token"], "timestamp": row["timestamp"], **identity} for row in samples],
        "sample_data": [
            {"token": row["token"], "sample_token": row["token"], "ego_pose_token": row["token"]}
            | {"calibrated_sensor_token": "lidar", "timestamp": row["timestamp"], "is_key_frame": True}
            | {"filename": "sweep.bin", "fileformat": "pcd", "prev": "", "next": "", "height": 0, "width": 0}
            for row in samples
        ],
    }
    folder = root / "v1.0-small"
    folder.mkdir()
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "splits.json").write_text(json.dumps({"all": ["drive-0"]}))


def box(token: str, **changes: object) -> dict[str, Any]:
    ordinary = {
        "sample_token": token,
        "translation": [10.0, 4.0, 1.0],
        "size": [1.9, 4.5, 1.6],
        "rotation": [1.0, 0.0, 0.0, 0.0],
        "velocity": [0.0, 0.0],
        "detection_name": "car",
        "detection_score": 0.7,
        "attribute_name": "vehicle.parked",
    }
    return {**ordinary, **changes}


def content(**changes: object) -> dict[str, Any]:
    """Detections of `small_root`; the changes go to the second frame's second box."""
    results = {token: [box(token), box(token, translation=[30.0, 4.0, 1.0])] for token in TOKENS}
    results[TOKENS[1]][1].update(changes)
    return {"meta": {"use_camera": True}, "results": results}


def without(key: str) -> dict[str, Any]:
    data = content()
    del data["results"][TOKENS[1]][1][key]
    return data


def with_results(**samples: object) -> dict[str, Any]:
    data = content()
    data["results"].update(samples)
    return data


@pytest.fixture
def track(run) -> Callable[..., Any]:
    """Runs the tool, by default on `small_root`."""

    def track_(
        root: Path, path: Path, out: Path, *more: object, split: object = "all", version: str = "v1.0-small"
    ) -> Any:
        return run("track.py", path, "--dataroot", root, "--version", version, "--split", split, "--out", out, *more)

    return track_


BOX = "sample 'sample-1', box 1, key "
MANY = [box(TOKENS[1])] * 501


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("not JSON at all", "not JSON"),
        (json.dumps(content())[:-40], "not JSON"),
        ("", "not JSON"),
        ("[" * 200_000, "nested too deeply"),
        ([], "not a result file: expected an object"),
        ({"results": {}}, "key 'meta': missing"),
        ({"meta": {}}, "key 'results': missing"),
        ({"meta": {}, "results": []}, "key 'results': expected an object"),
        (with_results(**{TOKENS[1]: {}}), "sample 'sample-1': expected a list of boxes"),
        (with_results(**{TOKENS[1]: [1]}), "sample 'sample-1', box 0: expected an object"),
        (without("translation"), BOX + "translation: missing"),
        (without("detection_name"), BOX + "detection_name: missing"),
        (content(translation=[1.0, 2.0]), BOX + "translation: expected 3 finite numbers"),
        (content(translation=[1.0, float("nan"), 2.0]), "sample 'sample-1', box 1, key translation"),
        (content(velocity=[float("inf"), 0.0]), "sample 'sample-1', box 1, key velocity"),
        (content(detection_score=float("nan")), "sample 'sample-1', box 1, key detection_score"),
        (content(detection_score="high"), BOX + "detection_score: expected a finite number"),
        (content(size=[0.0, 4.0, 1.0]), BOX + "size: must be positive"),
        (content(size=[-1.0, 4.0, 1.0]), BOX + "size: must be positive"),
        (content(rotation=[2.0, 0.0, 0.0, 0.0]), BOX + "rotation: not a unit quaternion"),
        (content(rotation=[0.0, 0.0, 0.0, 0.0]), BOX + "rotation: not a unit quaternion"),
        (content(detection_name="cart"), BOX + "detection_name: class 'cart' is none of the known ones"),
        (content(attribute_name="vehicle.flying"), BOX + "attribute_name: unknown attribute"),
        (content(query_id="seven"), BOX + "query_id: expected an integer"),
        (content(sample_token=TOKENS[0]), BOX + "sample_token: 'sample-0' is not the sample"),
        (with_results(**{TOKENS[1]: MANY}), "sample 'sample-1': 501 boxes, more than the 500"),
        (with_results(foreign=[]), "sample 'foreign' does not belong to the split"),
        ({"meta": {}, "results": {TOKENS[0]: [], TOKENS[2]: []}}, "sample 'sample-1' of the split is missing"),
    ],
)
def test_bad_detections_end_in_one_line(data: object, message: str, refused, tmp_path: Path) -> None:
    path = tmp_path / "detections.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    line = refused(path)
    assert str(path) in line and message in line


def test_bad_detections_end_with_exit_code_2(track, small_root: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "detections.json", tmp_path / "out" / "tracks.json"
    path.write_text("{")
    done = track(small_root, path, out)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {path}: not JSON")
    assert done.stderr.count("\n") == 1 and done.stdout == "" and not out.parent.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root / "v1.0-small"), "v1.0-small"),
        (lambda root: (root / "v1.0-small" / "sample.json").unlink(), "sample.json"),
        (lambda root: (root / "v1.0-small" / "sample_data.json").write_text("[{"), "sample_data.json"),
        (lambda root: dangle(root / "v1.0-small" / "sample_data.json", "ego_pose_token"), "nowhere-to-be-found"),
        (lambda root: dangle(root / "v1.0-small" / "sample.json", "next"), "nowhere-to-be-found"),
    ],
)
def test_bad_tables_end_in_one_line(damage, message: str, refused, small_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(small_root, root)
    damage(root)
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(content()))
    assert message in refused(path, root)


def dangle(table: Path, key: str) -> None:
    rows = json.loads(table.read_text())
    rows[1][key] = "nowhere-to-be-found"
    table.write_text(json.dumps(rows))


def test_other_bad_arguments_end_in_one_line(refused, tmp_path: Path) -> None:
    path, config = tmp_path / "detections.json", tmp_path / "own.py"
    path.write_text(json.dumps(content()))
    config.write_text("tracker = dict(gate_sigma=3.0)")
    before = path.read_bytes()
    assert "nothing.json: No such file" in refused(tmp_path / "nothing.json")
    assert "night" in refused(path, split="night")
    assert "v1.0-other" in refused(path, version="v1.0-other")
    assert f"{config}: no setting 'gate_sigma'" in refused(path, config=config)
    assert "no such config file" in refused(path, config=tmp_path / "none.py")
    assert "would overwrite the detections" in refused(path, out=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("times_us", "message"),
    [
        ([0, 0, 500_000], "time repeats"),
        ([0, 500_000, 200_000], "runs backwards by 0.300 s"),
        ([0, 500_000, 30_500_000], "a gap of 30.0 s"),
    ],
)
def test_odd_time_is_named_and_tracked(track, times_us: list[int], message: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_tables(root, [1_500_000_000_000_000 + time_us for time_us in times_us])
    path, out = tmp_path / "detections.json", tmp_path / "tracks.json"
    path.write_text(json.dumps(content()))
    done = track(root, path, out)
    assert done.returncode == 0 and message in done.stderr, done.stderr
    assert [len(boxes) for boxes in read_tracks(out).boxes.values()] == [2, 2, 2]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_frames=st.integers(2, 9), with_queries=st.booleans(), data=st.data())
def test_later_frames_change_nothing(run, seed: int, n_frames: int, with_queries: bool, data) -> None:
    """Tracking the first k frames gives exactly the first k frames of the tracking of all."""
    rng = np.random.default_rng(seed)
    times_us = np.cumsum(rng.choice([100_000, 500_000, 12_000_000], n_frames, p=[0.45, 0.45, 0.1])).tolist()
    results = {f"sample-{index}": random_rows(rng, f"sample-{index}", with_queries) for index in range(n_frames)}
    first = data.draw(st.integers(1, n_frames - 1))
    whole, part = (track_here(run, results, times_us[:count]) for count in (n_frames, first))
    assert part == dict(list(whole.items())[:first])


def random_rows(rng: np.random.Generator, token: str, with_queries: bool) -> list[dict[str, Any]]:
    """Boxes near one another, whose scores drift from sample to sample."""
    level = rng.uniform(0.2, 0.8)
    return [
        box(token, translation=[*rng.uniform(-12.0, 12.0, 2), 1.0], detection_score=level * rng.random())
        | ({"query_id": int(rng.integers(6))} if with_queries else {})
        for _ in range(rng.integers(0, 9))
    ]


def track_here(run: Callable[..., Any], results: dict[str, Any], times_us: list[int]) -> dict[str, Any]:
    """What the tool writes for the first frames."""
    with tempfile.TemporaryDirectory() as folder:
        root, path, out = Path(folder, "root"), Path(folder, "detections.json"), Path(folder, "tracks.json")
        root.mkdir()
        write_tables(root, [1_500_000_000_000_000 + time_us for time_us in times_us])
        kept = {token: rows for token, rows in results.items() if int(token.split("-")[1]) < len(times_us)}
        path.write_text(json.dumps({"meta": {"use_camera": True}, "results": kept}))
        flags = ["--dataroot", root, "--version", "v1.0-small", "--split", "all", "--out", out]
        assert run("track.py", path, *flags).returncode == 0
        tracked: dict[str, Any] = json.loads(out.read_text())["results"]
    return tracked


def test_scores_can_be_learned_from_another_recording(track, small_root: Path, run, refused, tmp_path: Path) -> None:
    path, other, learned, out = (
        tmp_path / name for name in ("detections.json", "other.json", "detector.json", "tracks.json")
    )
    path.write_text(json.dumps(content()))
    data = content()
    for token, boxes in data["results"].items():
        # Three times in the same place, and a crowd that is better and nowhere twice.
        for index in range(90):
            place = [1000.0 + 37.0 * index, 500.0 * (1 + len(boxes)), 1.0]
            boxes.append(box(token, detection_score=0.9, translation=place))
    other.write_text(json.dumps(data))
    root = ("--dataroot", small_root, "--version", "v1.0-small", "--split", "all")
    code, printed, err = run("calibrate.py", other, *root, "--out", learned)
    assert code == 0, err
    assert "276 boxes of 3 frames" in printed and "probably true" in printed and "places 30 m away err by" in printed
    scores = []
    for more in ((), ("--calibration", learned)):
        done = track(small_root, path, out, *more)
        assert done.returncode == 0, done.stderr
        scores.append([boxes.score.max(initial=0.0) for boxes in read_tracks(out).boxes.values()])
    assert scores[0] != scores[1]
    other.write_text(json.dumps({"meta": {"use_camera": True}, "results": {token: [] for token in data["results"]}}))
    code, _, err = run("calibrate.py", other, *root, "--out", learned)
    assert code == 2 and "no boxes to learn from" in err
    assert "not a calibration" in refused(path, calibration=path)


def tracks_content() -> dict[str, Any]:
    """Tracks of `small_root`: its two boxes of each frame by name."""
    data = content()
    for boxes in data["results"].values():
        for index, row in enumerate(boxes):
            for old, new in (("detection_name", "tracking_name"), ("detection_score", "tracking_score")):
                row[new] = row.pop(old)
            del row["attribute_name"]
            row["tracking_id"] = f"object {index}"
    return data


def test_several_files_become_one_result(run, small_root: Path, tmp_path: Path) -> None:
    """What two files see is not counted twice; frames that one lacks are said, and are the other's."""
    first, second, out = (tmp_path / f"{name}.json" for name in ("first", "second", "tracks"))
    for whole in (content(), tracks_content()):
        first.write_text(json.dumps(whole))
        del whole["results"][TOKENS[1]]
        second.write_text(json.dumps(whole))
        root = ("--dataroot", small_root, "--version", "v1.0-small", "--split", "all")
        done = run("track.py", first, second, "--offline", *root, "--out", out)
        assert done.returncode == 0, done.stderr
        assert done.stderr == f"warning: {second}: lacks 1 of 3 frames\n"
        assert "1 scenes, 3 frames: 6 boxes of 2 tracks" in done.stdout
        for boxes in read_tracks(out).boxes.values():
            np.testing.assert_allclose(boxes.center_m[:, :2], [[10.0, 4.0], [30.0, 4.0]], atol=1e-6)


def test_several_files_that_do_not_fit_end_in_one_line(refused, run, small_root: Path, tmp_path: Path) -> None:
    path, other, tracks = (tmp_path / f"{name}.json" for name in ("detections", "other", "of_a_tracker"))
    path.write_text(json.dumps(content()))
    tracks.write_text(json.dumps(tracks_content()))
    other.write_text(json.dumps(with_results(foreign=[])))
    assert "takes --offline" in refused(path, and_also=[tracks])
    assert f"{path}: given twice" in refused(path, and_also=[tmp_path / "." / path.name, "--offline"])
    assert f"{path}: holds detections, and {tracks} tracks" in refused(tracks, and_also=[path, "--offline"])
    assert f"{other}: sample 'foreign' does not belong" in refused(path, and_also=[other, "--offline"])
    other.write_text(json.dumps({"meta": {}, "results": {"foreign": []}}))
    assert f"{other}: holds none of the 3 samples of split 'all'" in refused(path, and_also=[other, "--offline"])
    assert "nothing.json: No such file" in refused(path, and_also=[tmp_path / "nothing.json", "--offline"])
    other.write_text(json.dumps(content()))
    assert "would overwrite the results" in refused(path, and_also=[other, "--offline"], out=other)
    learned, root = tmp_path / "detector.json", ("--dataroot", small_root, "--version", "v1.0-small", "--split", "all")
    assert run("calibrate.py", path, *root, "--out", learned)[0] == 0
    line = refused(path, and_also=[other, "--offline"], calibration=learned)
    assert "--calibration: 1 for 2 result files" in line


def test_queries_ride_along(track, small_root: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "detections.json", tmp_path / "deep" / "tracks.json"
    data = content()
    for boxes in data["results"].values():
        for index, row in enumerate(boxes):
            row["query_id"] = 40 + index
    path.write_text(json.dumps(data))
    done = track(small_root, path, out)
    assert done.returncode == 0, done.stderr
    assert "1 scenes, 3 frames: 6 boxes of 2 tracks" in done.stdout
    for boxes in read_tracks(out).boxes.values():
        assert np.array_equal(boxes.query_id, [40, 41]) and boxes.track_id.tolist() == ["1", "2"]


@pytest.mark.parametrize(("detector", "least"), [("fastbev", 0.50), ("cc_3dt", 0.30)])
def test_real_detections_in_one_process_and_in_two(track, detector, least, shared, mini_val, tmp_path) -> None:
    detections = shared / "detections" / f"{detector}.json"
    outputs = []
    for workers in (1, 2):
        outputs.append(tmp_path / f"{workers}.json")
        done = track(mini_val, detections, outputs[-1], "--workers", workers, split="mini_val", version="v1.0-mini")
        assert done.returncode == 0, done.stderr
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    assert tracking_metrics(read_tracks(outputs[0]), scenes).summary["amota"] >= least
