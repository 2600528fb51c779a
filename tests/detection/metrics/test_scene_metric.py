"""The metric during validation equals the evaluation of files, on one process and on two."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import Registry

from detection.metrics.scene_metric import NuScenesMetric
from detection.registry import METRICS
from evaluation import evaluate_detection, evaluate_tracking
from scenes import LABEL_OF_CLASS, TRACKING_CLASSES, InputError, Results, Scene, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three validation scenes."""
    out = tmp_path_factory.mktemp("metric") / "city"
    make_city(out, train_scenes=0, val_scenes=3, frames=6, seed=2, images=False, workers=1)
    return out


@pytest.fixture(scope="module")
def scenes(city: Path) -> list[Scene]:
    return read_scenes(city, VERSION, VAL_SPLIT)


@pytest.mark.parametrize(
    ("registry", "name"), [(METRICS, "NuScenesMetric"), (MMENGINE_METRICS, "streamtrack.NuScenesMetric")]
)
def test_detection_equals_the_evaluation_of_a_file(
    city: Path, scenes: list[Scene], tmp_path: Path, registry: Registry, name: str
) -> None:
    detections = simulate_detections(scenes)
    write_detections(tmp_path / "d.json", detections)
    expected = evaluate_detection(tmp_path / "d.json", city, VERSION, VAL_SPLIT).summary
    metric = registry.build({"type": name, "dataroot": str(city), "version": VERSION, "split": VAL_SPLIT})
    for token, boxes in detections.boxes.items():
        metric.process(None, [(token, boxes)])
    found = metric.evaluate(size=1)
    assert found == {"nuscenes/mAP": expected["mean_ap"], "nuscenes/NDS": expected["nd_score"]}
    assert metric.results == []


def test_the_plain_name_is_left_to_other_projects() -> None:
    assert "NuScenesMetric" not in MMENGINE_METRICS.module_dict


def test_tracking_equals_the_evaluation_in_memory(city: Path, scenes: list[Scene]) -> None:
    labels = [LABEL_OF_CLASS[name] for name in TRACKING_CLASSES]
    tracked = {}
    for token, boxes in simulate_detections(scenes).boxes.items():
        assert boxes.query_id is not None
        named = boxes.replace(track_id=boxes.query_id.astype(np.str_))
        tracked[token] = named.select(np.isin(boxes.label, labels))
    metric = NuScenesMetric(city, VERSION, VAL_SPLIT, task="tracking")
    metric.process(None, list(tracked.items()))
    expected = evaluate_tracking(Results(tracked), city, VERSION, VAL_SPLIT).summary
    found = metric.evaluate(size=1)
    assert found["nuscenes/AMOTA"] == pytest.approx(expected["amota"], abs=1e-12)
    assert found["nuscenes/IDS"] == expected["ids"]


def test_missing_sample_is_named(city: Path, scenes: list[Scene]) -> None:
    metric = NuScenesMetric(city, VERSION, VAL_SPLIT)
    boxes = simulate_detections(scenes).boxes
    metric.process(None, [(token, boxes[token]) for token in list(boxes)[1:]])
    with pytest.raises(InputError, match=rf"validation: sample '{next(iter(boxes))}' of the split is missing"):
        metric.evaluate(size=1)


def test_unknown_task_is_named(city: Path) -> None:
    with pytest.raises(ValueError, match="task is 'segmentation', expected detection or tracking"):
        NuScenesMetric(city, VERSION, VAL_SPLIT, task="segmentation")


_PROCESS = """
import json, sys
import torch.distributed as dist
from detection.metrics.scene_metric import NuScenesMetric
from scenes import read_scenes
from scenes.city.simulated_detector import simulate_detections

root, rank, world, store = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
scenes = read_scenes(root, "v1.0-city", "city_val")
metric = NuScenesMetric(root, "v1.0-city", "city_val")
for scene in scenes[rank::world] + scenes[:1]:  # whole scenes, shares of different length, one scene twice
    boxes = simulate_detections([scene]).boxes
    metric.process(None, [(token, boxes[token]) for token in scene.sample_tokens])
print(json.dumps(metric.evaluate(size=1)))
"""


def _run(city: Path, world: int, store: Path) -> list[dict[str, float]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(city), str(rank), str(world), str(store)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for rank in range(world)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(city: Path, tmp_path: Path) -> None:
    (alone,) = _run(city, 1, tmp_path / "one")
    both = _run(city, 2, tmp_path / "two")
    assert both == [alone, alone]
    assert 0 < alone["nuscenes/mAP"] < 1
