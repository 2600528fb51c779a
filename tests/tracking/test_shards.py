"""Scene by scene, tracking writes what it writes when all scenes are in memory: the same bytes."""

from pathlib import Path

import pytest

from scenes import InputError, Results, Scene, read_tracks, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION
from scenes.city.simulated_detector import simulate_detections
from scenes.jobs.executors import Executor, InProcess, LocalProcesses
from scenes.jobs.shards import Shards, begin_shards
from scenes.result_format import DETECTION_FORMAT
from scenes.stored_results import open_results
from tracking import TrackerConfig, calibrate, track_results
from tracking.shards import join_tracks, track_shards


@pytest.fixture(scope="module")
def detections(city_scenes: list[Scene]) -> Results:
    return simulate_detections(city_scenes)


@pytest.fixture
def stored(detections: Results, tmp_path: Path) -> Path:
    path = tmp_path / "detections.json"
    write_detections(path, detections)
    return path


def begin(folder: Path, scenes: list[Scene], kind: str = "tracks", resume: bool = False) -> Shards:
    return begin_shards(folder, kind, [scene.name for scene in scenes], settings={}, inputs={}, resume=resume)


def track(path: Path, scenes: list[Scene], folder: Path, executor: Executor, **how: object) -> Shards:
    shards = begin(folder, scenes)
    stored = open_results(path, DETECTION_FORMAT)
    assert track_shards(stored, scenes, shards, TrackerConfig(), executor, **how) == 0  # type: ignore[arg-type]
    return shards


@pytest.mark.parametrize("offline", [False, True])
def test_joined_shards_are_the_file_of_all_scenes(
    offline: bool, stored: Path, detections: Results, city_scenes: list[Scene], tmp_path: Path
) -> None:
    calibration = calibrate(detections, city_scenes)
    how = {"offline": offline, "calibration": calibration if offline else None}
    whole = track_results(detections, city_scenes, **how)  # type: ignore[arg-type]
    write_tracks(tmp_path / "whole.json", whole)
    executor = LocalProcesses(2) if offline else InProcess()
    # The order in which scenes are tracked is not that in which they are joined.
    shards = track(stored, city_scenes[::-1], tmp_path / "shards", executor, **how)
    in_order = Shards(shards.folder, shards.kind, shards.suffix, tuple(scene.name for scene in city_scenes))
    boxes, tracks = join_tracks(in_order, tmp_path / "joined.json", city_scenes, detections.meta)
    assert (tmp_path / "joined.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert boxes == sum(map(len, whole.boxes.values()))
    assert tracks == len({identity for frame in whole.boxes.values() for identity in frame.track_id.tolist()})


def test_a_folder_is_read_like_the_file_of_all_scenes(
    stored: Path, detections: Results, city_scenes: list[Scene], tmp_path: Path
) -> None:
    track(stored, city_scenes, tmp_path / "shards", InProcess())
    expected = track_results(detections, city_scenes)
    read = read_tracks(tmp_path / "shards")
    assert list(read.boxes) == list(expected.boxes)
    for token, boxes in expected.boxes.items():
        assert read.boxes[token].track_id.tolist() == boxes.track_id.tolist()


def test_shards_of_detections_are_tracked_like_their_file(
    stored: Path, detections: Results, city_scenes: list[Scene], tmp_path: Path
) -> None:
    folder = begin(tmp_path / "detections", city_scenes, "detections")
    for scene in city_scenes:
        write_detections(folder.path(scene.name), Results({t: detections.boxes[t] for t in scene.sample_tokens}))
    first = track(stored, city_scenes, tmp_path / "a", InProcess())
    second = track(tmp_path / "detections", city_scenes, tmp_path / "b", InProcess())
    assert [path.read_bytes() for path in first.paths()] == [path.read_bytes() for path in second.paths()]


def test_a_scene_that_the_results_lack_is_named(
    stored: Path, detections: Results, city_root: Path, city_scenes: list[Scene], tmp_path: Path
) -> None:
    folder = begin(tmp_path / "detections", city_scenes[:1], "detections")
    write_detections(folder.path(city_scenes[0].name), detections)
    opened = open_results(tmp_path / "detections", DETECTION_FORMAT)
    with pytest.raises(InputError, match=r"holds no shard of scene '.*' of split 'city_val' \(1 of 2 are missing\)"):
        opened.check_split(city_scenes, city_root, VERSION, VAL_SPLIT)
    with pytest.raises(InputError, match="does not belong to the split"):
        opened.scene(city_scenes[0]).read(detections.taxonomy)


def test_offline_takes_a_calibration(stored: Path, city_scenes: list[Scene], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes a --calibration"):
        track(stored, city_scenes, tmp_path / "shards", InProcess(), offline=True)


@pytest.mark.parametrize(("content", "said"), [(b"", "the file is empty"), (b"[]", "Expected `object`")])
def test_what_is_no_result_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "boxes.json").write_bytes(content)
    with pytest.raises(InputError, match=f"boxes.json: .*{said}"):
        open_results(tmp_path / "boxes.json", DETECTION_FORMAT)
