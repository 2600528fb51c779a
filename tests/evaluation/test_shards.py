"""Scene by scene, an evaluation gives the numbers of the one in memory: the same to the last bit."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import Evaluation, NotAnnotatedError, evaluate_detection, evaluate_tracking
from evaluation.evaluation import Task
from evaluation.shards import ShardedEvaluation, evaluate_shards
from scenes import InputError
from scenes.jobs.executors import Executor, InProcess, LocalProcesses

MOVING = ("car", "truck", "bus", "bicycle", "motorcycle", "pedestrian")
NAMES: dict[Task, tuple[str, ...]] = {"tracking": MOVING, "detection": (*MOVING, "barrier", "traffic_cone")}
WHERE = ("v1.0-world", "all")
IN_MEMORY = {"detection": evaluate_detection, "tracking": evaluate_tracking}


def by_shards(
    task: Task, path: Path, root: Path, folder: Path, executor: Executor | None = None, **how: Any
) -> ShardedEvaluation:
    return evaluate_shards(task, path, root, *WHERE, folder, executor or InProcess(), **how)


def as_text(evaluation: Evaluation | None) -> str:
    """All numbers, apart from the time that it took."""
    assert evaluation is not None
    summary = {key: value for key, value in evaluation.summary.items() if key != "eval_time"}
    return json.dumps([summary, evaluation.details])


def interleave(root: Path, path: Path, seed: int) -> None:
    """Put the samples of all scenes into another order, in the table and in the file."""
    rng = np.random.default_rng(seed)
    table = root / WHERE[0] / "sample.json"
    rows, content = json.loads(table.read_text()), json.loads(path.read_text())
    table.write_text(json.dumps([rows[index] for index in rng.permutation(len(rows))]))
    samples = list(content["results"].items())
    path.write_text(json.dumps({**content, "results": dict(samples[index] for index in rng.permutation(len(samples)))}))


@settings(max_examples=15)
@given(
    task=st.sampled_from(["detection", "tracking"]),
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    objects=st.integers(1, 8),
    grid_m=st.sampled_from([0.0, 0.5]),
    scores=st.sampled_from([2, 1000]),
    faulty=st.booleans(),
)
def test_a_random_world_has_the_numbers_of_the_evaluation_in_memory(
    random_world, task, seed, lengths, objects, grid_m, scores, faulty
) -> None:
    world = random_world(seed, lengths, objects, grid_m, scores, 0.7, faulty, NAMES[task], NAMES[task])
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        path = world.write(root, task)
        interleave(root, path, seed)
        try:
            expected = IN_MEMORY[task](path, root, *WHERE)
        except InputError as error:
            with pytest.raises(InputError, match="stands at several boxes of a sample" if faulty else str(error)):
                by_shards(task, path, root, root / "shards")
            return
        assert as_text(by_shards(task, path, root, root / "shards").evaluation) == as_text(expected)


@pytest.fixture
def world(random_world, tmp_path: Path) -> tuple[Path, Path]:
    """The data root of ten scenes, and a file of tracks."""
    made = random_world(5, (4, 3, 5, 1, 4, 3, 2, 6, 3, 4), 6, 0.0, 1000, 0.5, False, MOVING, MOVING)
    root = tmp_path / "root"
    return root, made.write(root, "tracking")


def test_executors_give_the_same_bytes(world: tuple[Path, Path], tmp_path: Path) -> None:
    root, path = world
    expected = as_text(evaluate_tracking(path, root, *WHERE))
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, executor in zip(folders, (InProcess(), LocalProcesses(2)), strict=True):
        assert as_text(by_shards("tracking", path, root, folder, executor).evaluation) == expected
    first, second = ({file.name: file.read_bytes() for file in folder.rglob("*.npz")} for folder in folders)
    assert len(first) == 10 and first == second


def test_of_large_tables_one_scene_is_read_at_a_time(
    world: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, path = world
    monkeypatch.setattr("evaluation.shards._SMALL_TABLES_BYTES", 0)
    found = by_shards("tracking", path, root, tmp_path / "shards").evaluation
    assert as_text(found) == as_text(evaluate_tracking(path, root, *WHERE))


def test_an_evaluation_goes_on_where_it_was_stopped(world: tuple[Path, Path], tmp_path: Path) -> None:
    root, path = world
    whole = path.read_text()
    content = json.loads(whole)
    later = (boxes for token, boxes in content["results"].items() if not token.startswith("scene-0-"))
    box = next(box for boxes in later for box in boxes)
    box["size"][0] = -1.0
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"scene '.*': .*tracking.json: .*size.*; --resume goes on"):
        by_shards("tracking", path, root, tmp_path / "shards")
    done = len(list((tmp_path / "shards" / "shards").iterdir()))
    assert 0 < done < 10
    kept = by_shards("tracking", path, root, tmp_path / "shards", resume=True, keep_going=True)
    assert (kept.failed, kept.evaluation) == (1, None)
    assert len(list((tmp_path / "shards" / "shards").iterdir())) == 9
    path.write_text(whole)
    with pytest.raises(InputError, match=r"another run \(inputs.results differs"):
        by_shards("tracking", path, root, tmp_path / "shards", resume=True)


def test_tracks_that_appear_in_two_scenes_are_no_fault_of_shards(world: tuple[Path, Path], tmp_path: Path) -> None:
    """In shards identities count from 1 in each scene: the other warnings remain."""
    root, path = world
    content = json.loads(path.read_text())
    boxes = next(boxes for boxes in content["results"].values() if boxes)
    boxes.append(dict(boxes[0]))
    path.write_text(json.dumps(content))
    (line,) = by_shards("tracking", path, root, tmp_path / "shards").evaluation.warnings  # type: ignore[union-attr]
    assert "repeated in a sample" in line
    assert line in evaluate_tracking(path, root, *WHERE).warnings


def test_a_split_without_annotations_is_said_to_be_one(world: tuple[Path, Path], tmp_path: Path) -> None:
    root, path = world
    (root / "v1.0-world").rename(root / "v1.0-world-test")
    (root / "v1.0-world-test" / "sample_annotation.json").unlink()
    with pytest.raises(NotAnnotatedError, match="has no annotations to evaluate them with"):
        evaluate_shards("tracking", path, root, "v1.0-world-test", "all", tmp_path / "shards", InProcess())
