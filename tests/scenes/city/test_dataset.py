"""The city as a data root: the devkit opens it, seeds decide its bytes, and it is written whole or not at all."""

import hashlib
import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from scenes import (
    CAMERA_META,
    DETECTION_CLASSES,
    TRACKING_CLASSES,
    Boxes3D,
    Frame,
    InputError,
    Results,
    Scene,
    read_scenes,
    write_detections,
    write_tracks,
)
from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION, dataset, make_city
from scenes.city.scene_job import SceneJob
from scenes.new_rows import Tables

matplotlib.use("Agg")

TINY = {"train_scenes": 1, "val_scenes": 1, "frames": 2, "image_size": (64, 36)}
ONE_SCENE = {"train_scenes": 0, "val_scenes": 1, "frames": 2, "image_size": (64, 36), "workers": 1}


def observed_boxes(frame: Frame) -> Boxes3D:
    """The annotations with a point in them: the evaluation drops the others, but not predictions of them."""
    annotations = frame.annotations
    return annotations.boxes.select(annotations.num_lidar_pts + annotations.num_radar_pts > 0)


def digests(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_devkit_opens_it_and_its_tables_hang_together(pictured_city: Path) -> None:
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(pictured_city), verbose=False)
    assert len(nusc.scene) == 2
    assert len(nusc.sample) == 6
    assert len(nusc.sample_data) == 6 * 7
    for sample in nusc.sample:
        assert len(sample["data"]) == 7
        for token in sample["data"].values():
            path, _, intrinsic = nusc.get_sample_data(token)
            assert Path(path).is_file()
            assert intrinsic is None or np.linalg.det(intrinsic) > 0
    for instance in nusc.instance:
        chain = [nusc.get("sample_annotation", instance["first_annotation_token"])]
        while chain[-1]["next"]:
            following = nusc.get("sample_annotation", chain[-1]["next"])
            assert following["prev"] == chain[-1]["token"]
            chain.append(following)
        assert chain[-1]["token"] == instance["last_annotation_token"]
        assert len(chain) == instance["nbr_annotations"]
        assert all(row["instance_token"] == instance["token"] for row in chain)


def test_devkit_renders_it(pictured_city: Path, tmp_path: Path) -> None:
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(pictured_city), verbose=False)
    sample = nusc.sample[1]
    shown = [nusc.get("sample_annotation", token) for token in sample["anns"]]
    visible = next(row for row in shown if row["visibility_token"] == "4")
    nusc.render_sample(sample["token"], out_path=str(tmp_path / "sample.png"), verbose=False)
    nusc.render_annotation(visible["token"], out_path=str(tmp_path / "annotation.png"))
    assert (tmp_path / "sample.png").stat().st_size > 10_000
    assert (tmp_path / "annotation.png").stat().st_size > 10_000


def test_ego_vehicle_stays_on_the_map(plain_city: Path) -> None:
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(plain_city), verbose=False)
    mask_of_log = {log: row["mask"] for row in nusc.map for log in row["log_tokens"]}
    for scene in nusc.scene:
        sample = nusc.get("sample", scene["first_sample_token"])
        data = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
        x, y, _ = nusc.get("ego_pose", data["ego_pose_token"])["translation"]
        assert mask_of_log[scene["log_token"]].is_on_mask(x, y).all()


def test_splits_hold_the_scenes_that_were_asked_for(plain_city: Path) -> None:
    train = read_scenes(plain_city, VERSION, TRAIN_SPLIT)
    val = read_scenes(plain_city, VERSION, VAL_SPLIT)
    assert [len(train), len(val)] == [1, 4]
    assert {len(scene.frames) for scene in [*train, *val]} == {20}
    assert not {scene.name for scene in train} & {scene.name for scene in val}


def test_frames_are_half_a_second_apart_and_cameras_expose_before_the_sweep(plain_scenes: list[Scene]) -> None:
    for scene in plain_scenes:
        times_us = np.array([frame.timestamp_us for frame in scene.frames])
        gaps_s = 1e-6 * np.diff(times_us)
        assert ((gaps_s > 0.44) & (gaps_s < 0.56)).all()
        assert len(set(gaps_s.tolist())) > 1
        for frame in scene.frames:
            lags_us = [camera.timestamp_us - frame.timestamp_us for camera in frame.cameras]
            assert len(lags_us) == 6
            assert min(lags_us) > -60_000
            assert max(lags_us) <= 0


def test_cameras_sit_like_those_of_a_real_car(plain_scenes: list[Scene], mini_val: Path) -> None:
    real = {camera.name: camera for camera in read_scenes(mini_val, "v1.0-mini")[0].frames[0].cameras}
    for camera in plain_scenes[0].frames[0].cameras:
        other = real[camera.name]
        between = Rotation.from_matrix(camera.ego_from_camera[:3, :3].T @ other.ego_from_camera[:3, :3])
        assert np.degrees(between.magnitude()) < 4.0
        np.testing.assert_allclose(camera.ego_from_camera[:3, 3], other.ego_from_camera[:3, 3], atol=0.1)
        scale = camera.width_px / other.width_px
        np.testing.assert_allclose(camera.intrinsic[0, 0], scale * other.intrinsic[0, 0], rtol=0.03)


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    make_city(tmp_path / "one", seed=1, workers=1, **TINY)
    make_city(tmp_path / "two", seed=1, workers=2, **TINY)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_sweeps_lie_between_the_key_frames_and_change_nothing_else(tmp_path: Path) -> None:
    make_city(tmp_path / "without", seed=1, slope=0.1, **ONE_SCENE)
    make_city(tmp_path / "with", seed=1, slope=0.1, sweeps=3, **ONE_SCENE)
    before, after = digests(tmp_path / "without"), digests(tmp_path / "with")
    tables = {f"{VERSION}/{name}.json" for name in ("sample_data", "ego_pose")}
    assert {name for name in before if after[name] != before[name]} == tables
    assert sum(name.startswith("sweeps/") for name in after) == len(after) - len(before) == 7 * 3

    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(tmp_path / "with"), verbose=False)
    first, second = nusc.sample
    for channel, token in first["data"].items():
        chain = [nusc.get("sample_data", token)]
        while chain[-1]["next"]:
            chain.append(nusc.get("sample_data", chain[-1]["next"]))
        assert [row["is_key_frame"] for row in chain] == [True, False, False, False, True]
        assert [row["sample_token"] for row in chain[1:]] == [second["token"]] * 4
        gaps_us = np.diff([row["timestamp"] for row in chain])
        assert gaps_us.min() > 100_000 and np.ptp(gaps_us) <= 1
        assert all((tmp_path / "with" / row["filename"]).is_file() for row in chain), channel


def test_sweeps_of_the_lidar_fit_together(tmp_path: Path) -> None:
    """Moved to one time by the devkit, with the poses of the tables, the ground of all sweeps is the same ground."""
    make_city(tmp_path / "city", seed=3, slope=0.1, sweeps=4, **ONE_SCENE)
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(tmp_path / "city"), verbose=False)
    clouds = pytest.importorskip("nuscenes.utils.data_classes").LidarPointCloud
    together, times = clouds.from_file_multisweep(nusc, nusc.sample[1], "LIDAR_TOP", "LIDAR_TOP", nsweeps=5)
    assert len(np.unique(times.round(4))) == 5
    x, y, z, intensity = together.points
    near = (intensity == 8.0) & (np.hypot(x, y) < 15.0)
    newest = near & (times[0] == 0.0)
    tree = cKDTree(np.column_stack([x, y])[newest])
    away, index = tree.query(np.column_stack([x, y])[near & ~newest])
    step = np.abs(z[near & ~newest] - z[newest][index])[away < 0.5]
    assert len(step) > 50
    assert np.median(step) < 0.02 and step.max() < 0.1


def test_another_seed_is_another_city(tmp_path: Path) -> None:
    for seed in (1, 2):
        make_city(tmp_path / str(seed), seed=seed, images=False, **ONE_SCENE)
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    same = {name for name in first if second.get(name) == first[name]}
    assert same == {f"{VERSION}/splits.json", f"{VERSION}/visibility.json"}


def test_tables_do_not_depend_on_images(tmp_path: Path) -> None:
    for name, images in (("with", True), ("without", False)):
        make_city(tmp_path / name, seed=4, images=images, **ONE_SCENE)
    with_images, without = digests(tmp_path / "with"), digests(tmp_path / "without")
    assert without.items() <= with_images.items()
    assert not any(name.startswith("samples") for name in without)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"train_scenes": -1}, "scenes"),
        ({"train_scenes": 0, "val_scenes": 0}, "scene"),
        ({"frames": 0}, "frame"),
        ({"image_size": (0, 396)}, "image size"),
        ({"image_size": (704, 100_000)}, "image size"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers"),
        ({"slope": -0.1}, "slope"),
        ({"slope": 0.3}, "slope 0.3: must lie between 0, flat ground, and 0.25"),
        ({"slope": float("nan")}, "slope"),
        ({"sweeps": -1}, "sweeps"),
        ({"sweeps": 25}, "25 sweeps between key frames"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        make_city(tmp_path / "city", **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(InputError, match="not an empty folder"):
        make_city(tmp_path, workers=1, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    out = tmp_path / "city"
    out.mkdir()
    make_city(out, images=False, **ONE_SCENE)
    assert read_scenes(out, VERSION)


def test_nothing_is_left_of_a_city_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_the_second(job: SceneJob) -> Tables:
        if job.index == 1:
            raise OSError("disk full")
        return recorded(job)

    recorded = dataset.record_scene
    monkeypatch.setattr(dataset, "record_scene", fail_at_the_second)
    with pytest.raises(OSError, match="disk full"):
        make_city(tmp_path / "city", workers=1, **TINY)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_scenes(tmp_path: Path) -> None:
    seen: list[int] = []
    make_city(tmp_path / "city", workers=1, images=False, progress=seen.append, **TINY)
    assert seen == [0, 1, 2]


def test_annotations_as_detections_are_perfect(plain_city: Path, plain_scenes: list[Scene], tmp_path: Path) -> None:
    frames = [frame for scene in plain_scenes[1:] for frame in scene.frames]
    truth = {frame.token: observed_boxes(frame) for frame in frames}
    write_detections(tmp_path / "detections.json", Results(truth, CAMERA_META))
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(plain_city), verbose=False)
    config = pytest.importorskip("nuscenes.eval.detection.config").config_factory("detection_cvpr_2019")
    devkit = pytest.importorskip("nuscenes.eval.detection.evaluate")
    evaluation = devkit.DetectionEval(
        nusc, config, str(tmp_path / "detections.json"), VAL_SPLIT, str(tmp_path / "out"), verbose=False
    )
    metrics, _ = evaluation.evaluate()
    evaluated = {box.detection_name for box in evaluation.gt_boxes.all}
    assert {"car", "pedestrian", "truck"} <= evaluated
    assert len(evaluated) >= 7
    for name in evaluated:
        assert metrics.mean_dist_aps[name] == pytest.approx(1.0), name
        assert metrics.get_label_tp(name, "trans_err") == pytest.approx(0.0, abs=1e-9)
        assert not metrics.get_label_tp(name, "vel_err") > 1e-3


def test_annotations_as_tracks_are_perfect(plain_city: Path, plain_scenes: list[Scene], tmp_path: Path) -> None:
    tracked = [DETECTION_CLASSES.index(name) for name in TRACKING_CLASSES]
    frames = [frame for scene in plain_scenes[1:] for frame in scene.frames]
    truth: dict[str, Boxes3D] = {}
    for frame in frames:
        boxes = observed_boxes(frame)
        truth[frame.token] = boxes.select(np.isin(boxes.label, tracked))
    write_tracks(tmp_path / "tracks.json", Results(truth, CAMERA_META))
    config = pytest.importorskip("nuscenes.eval.common.config").config_factory("tracking_nips_2019")
    devkit = pytest.importorskip("nuscenes.eval.tracking.evaluate")
    evaluation = devkit.TrackingEval(
        config, str(tmp_path / "tracks.json"), VAL_SPLIT, str(tmp_path / "out"), VERSION, str(plain_city), verbose=False
    )
    evaluation.main(render_curves=False)
    summary = json.loads((tmp_path / "out" / "metrics_summary.json").read_text())
    present = [name for name in TRACKING_CLASSES if summary["label_metrics"]["gt"][name] > 0]
    assert {"car", "pedestrian", "truck"} <= set(present)
    for name in present:
        assert summary["label_metrics"]["amota"][name] == pytest.approx(1.0), name
        assert summary["label_metrics"]["ids"][name] == 0
