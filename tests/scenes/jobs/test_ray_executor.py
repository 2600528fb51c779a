"""Jobs on Ray: the same results as elsewhere, and a node that is killed costs the jobs that ran on it alone."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scenes import InputError, Results, Scene, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from scenes.jobs.executors import InProcess, SetupError, run_jobs
from scenes.jobs.ray_executor import RayExecutor
from scenes.jobs.shards import begin_shards, run_shards
from scenes.result_format import DETECTION_FORMAT
from scenes.stored_results import open_results
from tracking import TrackerConfig
from tracking.shards import track_shards

_STORE_BYTES = 100_000_000
_GIVE_UP_S = 60.0


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Ray on this machine, alone: other test processes have their own."""
    ray = pytest.importorskip("ray")
    context = ray.init(
        "local", num_cpus=2, include_dashboard=False, object_store_memory=_STORE_BYTES, log_to_driver=False
    )
    yield context.address_info["address"]
    ray.shutdown()


def _squared(number: int) -> int:
    return number * number


def _killed_once(folder: Path, number: int) -> int:
    mark = folder / str(number)
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _refuse_to_begin() -> None:
    raise InputError("no such checkpoint")


def _with_state(state: list[int], number: int) -> tuple[int, int]:
    state.append(number)
    return number, len(state)


def _wait_and_write(folder: Path, name: str, path: Path) -> None:
    (folder / f"{name}-{os.getpid()}").touch()
    time.sleep(1.0)
    path.write_text(name)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", r"--address 127\.0\.0\.1:1: no Ray cluster answers there \(Connection refused\)"),
        ("ray://127.0.0.1:1", "no Ray cluster answers there"),
        ("127.0.0.1", "expected auto, HOST:PORT or ray://HOST:PORT"),
        ("no-such-host.invalid:6379", "no Ray cluster answers there"),
    ],
)
def test_a_dead_address_is_named_at_once(address: str, said: str) -> None:
    pytest.importorskip("ray")
    before = time.monotonic()
    with pytest.raises(InputError, match=said):
        list(run_jobs(_squared, [(1,), (2,)], RayExecutor(address)))
    assert time.monotonic() - before < _GIVE_UP_S / 2


def test_what_ray_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.10.1\n")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(InputError, match=r"Ray at this machine: Version mismatch: .* Ray: 2\.50\.0 Python: 3\.10\.1$"):
        list(run_jobs(_squared, [(1,), (2,)], RayExecutor()))


@pytest.mark.slow
def test_jobs_run_on_ray_as_they_do_here(ray_address: str, tmp_path: Path) -> None:
    executor = RayExecutor(ray_address, workers=2)
    jobs = [(number,) for number in range(7)]
    assert list(run_jobs(_squared, jobs, executor)) == list(run_jobs(_squared, jobs, InProcess()))
    assert list(run_jobs(partial(_killed_once, tmp_path), jobs, executor)) == list(range(7))
    with_state = [outcome.value() for outcome in executor.outcomes(_with_state, jobs, list)]
    assert sorted(number for number, _ in with_state) == list(range(7))
    assert max(count for _, count in with_state) >= 4  # of two actors one has done at least four
    with pytest.raises(SetupError, match="no such checkpoint"):
        list(executor.outcomes(_with_state, jobs, _refuse_to_begin))
    with pytest.raises(InputError, match="needs 1 GPUs, and the Ray cluster has none"):
        list(executor.outcomes(_with_state, jobs, list, gpus=1.0))


@pytest.mark.slow
def test_nodes_with_another_version_are_named(ray_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenes.jobs.ray_executor._versions", lambda: {"streamtrack": "0.0.7"})
    with pytest.raises(SetupError, match=r"node .*: streamtrack .*, where the run was started with 0.0.7"):
        list(run_jobs(_squared, [(1,), (2,)], RayExecutor(ray_address)))


@pytest.mark.slow
def test_tracks_from_ray_are_those_from_here(ray_address: str, tmp_path: Path) -> None:
    make_city(tmp_path / "city", train_scenes=0, val_scenes=3, frames=12, seed=3, images=False, workers=1)
    scenes: list[Scene] = read_scenes(tmp_path / "city", VERSION, VAL_SPLIT)
    detections: Results = simulate_detections(scenes)
    write_detections(tmp_path / "detections.json", detections)
    stored = open_results(tmp_path / "detections.json", DETECTION_FORMAT)
    contents = []
    for folder, executor in (("here", InProcess()), ("ray", RayExecutor(ray_address))):
        names = [scene.name for scene in scenes]
        shards = begin_shards(tmp_path / folder, "tracks", names, settings={}, inputs={}, resume=False)
        assert track_shards(stored, scenes, shards, TrackerConfig(), executor) == 0
        contents.append([path.read_bytes() for path in shards.paths()])
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_a_killed_node_loses_the_scenes_that_it_was_at(tmp_path: Path) -> None:
    """Two nodes; one is killed in the middle. Every scene is there at the end, and most were done once."""
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        ray.shutdown()
    from ray.cluster_utils import Cluster

    names = [f"scene-{number}" for number in range(8)]
    shards = begin_shards(tmp_path / "run", "tracks", names, settings={}, inputs={}, resume=False)
    begun = tmp_path / "begun"
    begun.mkdir()
    quiet = {"include_dashboard": False}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": _STORE_BYTES, **quiet}
    )
    try:
        second = cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        killed = []

        def kill_in_the_middle(done: int, total: int) -> None:
            if done >= 2 and not killed:
                killed.append(done)
                cluster.remove_node(second, allow_graceful=False)

        jobs = [(name, (begun, name)) for name in names]
        failed = run_shards(shards, _wait_and_write, jobs, RayExecutor(cluster.address), progress=kill_in_the_middle)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert failed == 0 and killed
    assert [path.read_text() for path in shards.paths()] == names
    tries = [path.name for path in begun.iterdir()]
    assert len(names) <= len(tries) <= len(names) + 2
