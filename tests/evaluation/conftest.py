"""Recorded outputs of the devkit, and random worlds to compare engines on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import Evaluation
from evaluation.evaluation import DETAILS_FILE, SUMMARY_FILE, Task


def read_evaluation(task: Task, summary: Path, details: Path) -> Evaluation:
    """An evaluation from its two files."""
    return Evaluation(task, json.loads(summary.read_text()), json.loads(details.read_text()))


@pytest.fixture
def written() -> Callable[[Task, Path], Evaluation]:
    """Read what `Evaluation.write` wrote to a folder."""
    return lambda task, folder: read_evaluation(task, folder / SUMMARY_FILE, folder / DETAILS_FILE)


@pytest.fixture
def recorded(shared: Path) -> Callable[[str, str], tuple[Path, Evaluation]]:
    """For a detector and `detections`, `tracks_centerpoint` or `tracks_polymot`: the file and the devkit's numbers."""
    names = {"fastbev": "fastbev.json", "cc3dt": "cc_3dt.json"}

    def read(detector: str, result: str) -> tuple[Path, Evaluation]:
        folder = shared / "expected" / detector
        task: Task = "detection" if result == "detections" else "tracking"
        path = shared / "detections" / names[detector] if task == "detection" else folder / f"{result}.json"
        summary, details = (folder / f"{result}.metrics_{part}.json" for part in ("summary", "details"))
        return path, read_evaluation(task, summary, details)

    return read


@pytest.fixture(scope="session")
def random_world() -> "type[RandomWorld]":
    """`RandomWorld`, which test modules cannot import from here."""
    return RandomWorld


CATEGORIES = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "bicycle": "vehicle.bicycle",
    "motorcycle": "vehicle.motorcycle",
    "pedestrian": "human.pedestrian.adult",
    "barrier": "movable_object.barrier",
    "traffic_cone": "movable_object.trafficcone",
    "rack": "static_object.bicycle_rack",
    "animal": "animal",
}
RANGES_M = {**dict.fromkeys(["pedestrian", "bicycle", "motorcycle"], 40.0), "barrier": 30.0, "traffic_cone": 30.0}
ATTRIBUTES = ["vehicle.moving", "vehicle.parked", "cycle.with_rider", "pedestrian.moving"]


@dataclass
class RandomWorld:
    """A seeded data root of a few short scenes, and results for it, made to meet every branch of the evaluation.

    Attributes:
        seed: of everything random.
        scene_lengths: key frames of each scene.
        objects: how many a scene has at most.
        grid_m: positions are multiples of this (distances tie); 0 for any position.
        scores: how many different scores there are (thresholds repeat).
        noise_m: how far predictions lie from the annotation they are made from.
        faulty_identities: whether identities repeat in a frame, change class, and come back in another scene.
        annotated, predicted: the classes of annotations and of predictions.
    """

    seed: int
    scene_lengths: tuple[int, ...]
    objects: int
    grid_m: float
    scores: int
    noise_m: float
    faulty_identities: bool
    annotated: tuple[str, ...]
    predicted: tuple[str, ...]

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}

    def write(self, root: Path, task: Task) -> Path:
        """Write the tables (version `v1.0-world`, split `all`) and a result file; returns the file."""
        self._fixed_tables()
        for index, length in enumerate(self.scene_lengths):
            self._add_scene(f"scene-{index}", length, task)
        if not self.tables["sample_annotation"]:
            self._add_animal()
        tables = root / "v1.0-world"
        tables.mkdir(parents=True)
        for name, rows in self.tables.items():
            (tables / f"{name}.json").write_text(json.dumps(rows))
        (tables / "splits.json").write_text(json.dumps({"all": [row["name"] for row in self.tables["scene"]]}))
        (root / "mask.png").write_bytes(b"")
        path = root / f"{task}.json"
        path.write_text(json.dumps({"meta": {"use_camera": True}, "results": self.results}))
        return path

    def _fixed_tables(self) -> None:
        identity = {"translation": [0, 0, 0], "rotation": [1, 0, 0, 0]}
        self.tables = {
            "attribute": [{"token": name, "name": name} for name in ATTRIBUTES],
            "calibrated_sensor": [{"token": "lidar", "sensor_token": "lidar", "camera_intrinsic": [], **identity}],
            "category": [{"token": name, "name": name} for name in CATEGORIES.values()],
            "log": [{"token": "log", "logfile": "", "location": "nowhere"}],
            "map": [{"token": "map", "log_tokens": ["log"], "filename": "mask.png", "category": "semantic_prior"}],
            "sensor": [{"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"}],
            "visibility": [{"token": str(level), "level": ""} for level in range(1, 5)],
            **{name: [] for name in ("ego_pose", "instance", "sample", "sample_annotation", "sample_data", "scene")},
        }

    def _add_scene(self, name: str, length: int, task: Task) -> None:
        tokens = [f"{name}-{index}" for index in range(length)]
        gaps_us = self.rng.choice([400_000, 500_000, 550_000], length)
        times_us = 1_500_000_000_000_000 + np.cumsum(gaps_us)
        self.tables["scene"].append(
            {"token": name, "name": name, "log_token": "log", "description": "", "nbr_samples": length}
            | {"first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
        )
        ego_m = np.array([600.0, 1600.0]) + 0.25 * self.rng.integers(0, 400, 2)
        for index, (token, time_us) in enumerate(zip(tokens, times_us.tolist(), strict=True)):
            before, after = (tokens[index - 1] if index else ""), (tokens[index + 1] if index + 1 < length else "")
            self.tables["sample"].append(
                {"token": token, "timestamp": time_us, "prev": before, "next": after, "scene_token": name}
            )
            self.tables["ego_pose"].append(
                {"token": token, "timestamp": time_us, "translation": [*ego_m.tolist(), 0.0], "rotation": [1, 0, 0, 0]}
            )
            self.tables["sample_data"].append(
                {"token": token, "sample_token": token, "ego_pose_token": token, "calibrated_sensor_token": "lidar"}
                | {"timestamp": time_us, "is_key_frame": True, "filename": "", "fileformat": "pcd", "prev": ""}
                | {"next": "", "height": None, "width": None}
            )
            self.results[token] = []
        for index in range(self.rng.integers(1, self.objects + 1)):
            self._add_object(f"{name}-object-{index}", tokens, ego_m, task)
        for index in range(self.rng.integers(0, 3)):
            center_m = self._start_m(ego_m, str(self.rng.choice(self.predicted)))
            self._add_predictions(f"ghost-{index}", tokens, [center_m] * length, self.predicted, task)
        if self.rng.random() < 0.2:
            for token in tokens:
                self.results[token] = []

    def _start_m(self, ego_m: np.ndarray, class_name: str) -> np.ndarray:
        """Near the ego vehicle, or exactly at the range of a class."""
        if self.rng.random() < 0.15:
            return ego_m + RANGES_M.get(class_name, 50.0) * np.eye(2)[self.rng.integers(2)]
        return self._on_grid(ego_m + self.rng.uniform(-6, 6, 2))

    def _on_grid(self, point_m: np.ndarray) -> np.ndarray:
        return np.round(point_m / self.grid_m) * self.grid_m if self.grid_m else point_m

    def _add_object(self, token: str, tokens: list[str], ego_m: np.ndarray, task: Task) -> None:
        """An annotated object that may vanish for some frames, and the predictions made from it."""
        class_name = str(self.rng.choice([*self.annotated, "rack", "animal"]))
        start_m, step_m = self._start_m(ego_m, class_name), self.rng.choice([0.0, 0.5, 1.0], 2)
        centers_m = [self._on_grid(start_m + index * step_m) for index in range(len(tokens))]
        present = [index for index in range(len(tokens)) if self.rng.random() < 0.8]
        if class_name == "rack":
            present = list(range(len(tokens)))
        self.tables["instance"].append({"token": token, "category_token": CATEGORIES[class_name]})
        rows = [f"{token}-{index}" for index in present]
        attributes = ATTRIBUTES if self.rng.random() < 0.7 else []
        for position, index in enumerate(present):
            self.tables["sample_annotation"].append(
                {"token": rows[position], "sample_token": tokens[index], "instance_token": token}
                | {"translation": [*centers_m[index].tolist(), 1.0], "size": self._size(class_name)}
                | {"rotation": self._rotation(), "visibility_token": str(self.rng.integers(1, 5))}
                | {"attribute_tokens": [str(self.rng.choice(attributes))] if attributes else []}
                | {"prev": rows[position - 1] if position else "", "next": [*rows, ""][position + 1]}
                | {"num_lidar_pts": int(self.rng.random() < 0.85), "num_radar_pts": 0}
            )
        if self.rng.random() < 0.85:
            names = (class_name,) if class_name in self.predicted and self.rng.random() < 0.8 else self.predicted
            self._add_predictions(token, tokens, centers_m, names, task)

    def _add_animal(self) -> None:
        """One that no class has: a data root without a single annotation is not annotated, and not scored."""
        self.tables["instance"].append({"token": "animal", "category_token": CATEGORIES["animal"]})
        self.tables["sample_annotation"].append(
            {"token": "animal", "sample_token": self.tables["sample"][0]["token"], "instance_token": "animal"}
            | {"translation": [600.0, 1600.0, 1.0], "size": self._size("animal"), "rotation": [1.0, 0.0, 0.0, 0.0]}
            | {"visibility_token": "4", "attribute_tokens": [], "prev": "", "next": ""}
            | {"num_lidar_pts": 1, "num_radar_pts": 0}
        )

    def _size(self, class_name: str) -> list[float]:
        return [6.0, 6.0, 3.0] if class_name == "rack" else (0.5 + 0.25 * self.rng.integers(1, 8, 3)).tolist()

    def _rotation(self) -> list[float]:
        half = self.rng.uniform(-np.pi, np.pi)
        return [float(np.cos(half)), 0.0, 0.0, float(np.sin(half))]

    def _add_predictions(
        self, identity: str, tokens: list[str], centers_m: list[np.ndarray], names: tuple[str, ...], task: Task
    ) -> None:
        name = str(self.rng.choice(names))
        score = (1 + self.rng.integers(self.scores)) / self.scores
        for token, center_m in zip(tokens, centers_m, strict=True):
            if self.rng.random() < 0.2:
                continue
            if self.rng.random() < 0.1:
                identity = f"{identity}+"
            if self.faulty_identities and self.rng.random() < 0.1:
                name = str(self.rng.choice(self.predicted))
            repeats = 2 if self.faulty_identities and self.rng.random() < 0.1 else 1
            for _ in range(repeats):
                noise_m = self.rng.choice([0.0, 1.0]) * self.rng.normal(0, self.noise_m, 2)
                box_score = score if self.rng.random() < 0.7 else (1 + self.rng.integers(self.scores)) / self.scores
                self._add_prediction(identity, token, self._on_grid(center_m + noise_m), name, box_score, task)

    def _add_prediction(
        self, identity: str, token: str, center_m: np.ndarray, name: str, score: float, task: Task
    ) -> None:
        box = {"sample_token": token, "translation": [*center_m.tolist(), 1.0], "size": self._size(name)}
        box |= {"rotation": self._rotation(), "velocity": self.rng.normal(0, 2, 2).tolist()}
        if task == "tracking":
            prefix = "" if self.faulty_identities else token.rsplit("-", 1)[0]
            box |= {"tracking_name": name, "tracking_score": float(score), "tracking_id": prefix + identity}
        else:
            box |= {"detection_name": name, "detection_score": float(score)}
            box |= {"attribute_name": str(self.rng.choice(["", *ATTRIBUTES]))}
        self.results[token].append(box)
