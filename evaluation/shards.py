"""Evaluates any number of scenes, each a job with a shard of its own, to the numbers of the evaluation in memory.

A shard (`.npz`, arrays alone) holds what the metrics need of a scene. Of detections: scores, which of them are matched,
and their errors. Of tracks: the scores of all matches, and the evaluated centres, since the thresholds at which events
are counted follow from the scores of all scenes; then each scene counts at these thresholds, and counts are added up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import detection, tracking
from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.clear_events import Count, count_events, match_scores
from evaluation.engine.configuration import detection_config
from evaluation.engine.matching import ClassBoxes, Pairs
from evaluation.engine.tracked_scenes import GATE_M, match_scenes, prepare_tracks, tracked_class
from evaluation.evaluation import Evaluation, Interpolation, Task
from evaluation.identity_warnings import fault_lines, identity_faults, joined_faults
from evaluation.inputs import NotAnnotatedError
from evaluation.runs.store import Metric
from scenes import ObjectClass, Results, Scene, Taxonomy, read_sample_tokens, read_scenes, taxonomy_of
from scenes.geometry import FloatArray
from scenes.jobs.executors import Executor, Job, run_jobs
from scenes.jobs.shards import Progress, Shards, begin_shards, file_digest, run_shards, tables_digest
from scenes.result_format import DETECTION_FORMAT, TRACKING_FORMAT
from scenes.splits import is_official_split
from scenes.stored_results import StoredResults, StoredScene, open_results

_FORMATS = {"detection": DETECTION_FORMAT, "tracking": TRACKING_FORMAT}
_COLUMNS = {"tp": Count.MATCHES, "ids": Count.SWITCHES, "fn": Count.MISSES, "fp": Count.FALSE_POSITIVES}
_SMALL_TABLES_BYTES = 100_000_000
_BLOCK = 8
"""Scenes whose distances are added up first, as `tracking_metrics` does: sums are rounded in the same places."""


@dataclass(frozen=True)
class ShardedEvaluation:
    """How an evaluation scene by scene ended.

    Attributes:
        failed: how many scenes could not be evaluated.
        evaluation: of all scenes; None if one failed.
        shards: what was made of each.
    """

    failed: int
    evaluation: Evaluation | None
    shards: Shards


def evaluate_shards(
    task: Task,
    results: Path,
    dataroot: Path,
    version: str,
    split: str,
    folder: Path,
    executor: Executor,
    *,
    interpolation: Interpolation = "devkit",
    resume: bool = False,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> ShardedEvaluation:
    """Evaluate a result file, or a folder of shards, scene by scene.

    Args:
        task, results, dataroot, version, split, interpolation: as for `evaluate_tracking` and `evaluate_detection`.
        folder: for the shards of the evaluation.
        executor: where to evaluate. Workers read the tables themselves.
        resume, keep_going, progress: see `scenes.jobs.shards`.

    Raises:
        NotAnnotatedError: the results are valid, but the split has no annotations.
        InputError: the file, the data root, the split or the folder cannot be used, or a scene fails, without
            `keep_going`.
    """
    started = time.perf_counter()
    scenes = read_scenes(dataroot, version, split, annotations=False, cameras=False)
    stored = open_results(results, _FORMATS[task])
    stored.check_split(scenes, dataroot, version, split)
    digest = tables_digest(dataroot, version)
    shards = begin_shards(
        folder,
        f"{task} tallies",
        [scene.name for scene in scenes],
        suffix=".npz",
        settings={"interpolation": interpolation, "split": split},
        inputs={"results": file_digest(results), "tables": digest},
        resume=resume,
    )
    write = _write_detections if task == "detection" else partial(_write_tracks, interpolation)
    tables = _tables(dataroot, version, split, digest)
    ranks = _ranks(stored, scenes, dataroot, version, split)

    def jobs() -> Iterator[tuple[str, Job]]:
        for scene in scenes:
            in_order = sorted(scene.sample_tokens, key=ranks.__getitem__)
            rank = np.array([ranks[token] for token in in_order], np.int64)
            yield scene.name, (tables, scene.name, stored.scene(scene), in_order, rank)

    failed = run_shards(shards, write, jobs(), executor, keep_going=keep_going, progress=progress)
    if failed:
        return ShardedEvaluation(failed, None, shards)
    if not _are_annotated(shards):
        raise NotAnnotatedError(
            f"{results}: {len(ranks)} samples of split '{split}' are valid; {dataroot / version} has no annotations to "
            "evaluate them with"
        )
    taxonomy = taxonomy_of(scenes)
    if task == "detection":
        return ShardedEvaluation(0, _joined_detections(shards, taxonomy, stored.meta, executor, started), shards)
    return ShardedEvaluation(0, _joined_tracks(shards, taxonomy, stored.meta, executor, started), shards)


def _ranks(stored: StoredResults, scenes: Sequence[Scene], dataroot: Path, version: str, split: str) -> dict[str, int]:
    """Where each sample stands among all: between detections of equal score the order decides, see `Inputs.results`."""
    wanted = {token for scene in scenes for token in scene.sample_tokens}
    if not is_official_split(split):
        order: Sequence[str] = read_sample_tokens(dataroot, version)
    elif stored.shards is None:
        order = tuple(stored.spans)
    else:
        order = [token for scene in scenes for token in scene.sample_tokens]
    return {token: rank for rank, token in enumerate(token for token in order if token in wanted)}


@dataclass(frozen=True)
class _Tables:
    """The tables that a scene stands in.

    Attributes:
        dataroot, version, split: as for `read_scenes`.
        digest: `tables_digest`; None for large tables, of which a worker reads one scene at a time.
    """

    dataroot: Path
    version: str
    split: str
    digest: str | None

    def scene(self, name: str) -> Scene:
        """A scene with its annotations."""
        if self.digest is not None:
            return _scenes_of(self)[name]
        (scene,) = read_scenes(self.dataroot, self.version, (name,), cameras=False)
        return scene


@lru_cache(maxsize=1)
def _scenes_of(tables: _Tables) -> dict[str, Scene]:
    """All scenes of small tables, which a worker reads once: to find one in them takes as long as to read all."""
    scenes = read_scenes(tables.dataroot, tables.version, tables.split, cameras=False)
    return {scene.name: scene for scene in scenes}


def _tables(dataroot: Path, version: str, split: str, digest: str) -> _Tables:
    size = sum(path.stat().st_size for path in (dataroot / version).glob("*.json"))
    return _Tables(dataroot, version, split, digest if size < _SMALL_TABLES_BYTES else None)


def _read(tables: _Tables, name: str, stored: StoredScene, order: Sequence[str]) -> tuple[Scene, Results]:
    """A scene with its annotations, and its results in an order of its samples."""
    scene = tables.scene(name)
    results = stored.read(scene.taxonomy)
    return scene, Results({token: results.boxes[token] for token in order}, results.meta, results.taxonomy)


def _is_annotated(scene: Scene) -> bool:
    return all(frame.annotations is not None for frame in scene.frames)


def _are_annotated(shards: Shards) -> bool:
    def is_annotated(path: Path) -> bool:
        with np.load(path, allow_pickle=False) as shard:
            return bool(shard["annotated"])

    return all(map(is_annotated, shards.paths()))


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _write_detections(
    tables: _Tables, name: str, stored: StoredScene, order: Sequence[str], rank: IntArray, path: Path
) -> None:
    scene, results = _read(tables, name, stored, order)
    arrays: dict[str, Any] = {"annotated": _is_annotated(scene)}
    for class_ in detection.prepare_detections(results, [scene]) if arrays["annotated"] else ():
        matches = detection.match_detections(class_, detection.MATCHING_DISTANCES_M)
        # From the order of scores to that of frames, in which the scenes are put together.
        ascending = np.argsort(class_.rows)
        place = np.argsort(ascending)
        errors = []
        for match in matches:
            by_name = class_.errors(match)
            order_of_matches = np.argsort(place[match >= 0])
            errors.append(np.array([by_name[error][order_of_matches] for error in detection.ERRORS]))
        label = class_.class_.name
        arrays |= {
            f"{label}/annotations": len(class_.annotated),
            f"{label}/score": class_.score[ascending],
            f"{label}/rank": rank[class_.frame[ascending]],
            f"{label}/is_match": (matches >= 0)[:, ascending],
            f"{label}/errors": np.concatenate(errors, axis=1),
        }
    _save(path, arrays)


def _joined_detections(
    shards: Shards, taxonomy: Taxonomy, meta: Mapping[str, Any], executor: Executor, started: float
) -> Evaluation:
    names = detection_config(taxonomy)["class_range"]
    classes = [taxonomy.classes[taxonomy.label_of[name]] for name in names]
    jobs = [(shards, class_) for class_ in classes]
    curves = dict(zip(classes, run_jobs(_joined_class, jobs, executor), strict=True))
    return detection.evaluation_of_curves(curves, taxonomy, meta, started)


def _joined_class(shards: Shards, class_: ObjectClass) -> dict[float, detection.Curves]:
    """The curves of one class from the tallies of all scenes; no other class is in memory."""
    columns: dict[str, list[Any]] = {name: [] for name in ("annotations", "score", "rank", "is_match", "errors")}
    for path in shards.paths():
        with np.load(path, allow_pickle=False) as shard:
            for name, values in columns.items():
                values.append(shard[f"{class_.name}/{name}"])
    score, rank = np.concatenate(columns["score"]), np.concatenate(columns["rank"])
    is_match: BoolArray = np.concatenate(columns["is_match"], axis=1)
    in_file = np.argsort(rank, kind="stable")
    order = in_file[np.argsort(score[in_file], kind="stable")[::-1]]
    curves = {}
    for level, distance_m in enumerate(detection.MATCHING_DISTANCES_M):
        errors = np.concatenate(
            [_at_level(*pair, level) for pair in zip(columns["errors"], columns["is_match"], strict=True)], axis=1
        )
        taken = is_match[level][order]
        of_match = (np.cumsum(is_match[level]) - 1)[order][taken]
        named = dict(zip(detection.ERRORS, errors[:, of_match], strict=True))
        curves[distance_m] = detection.falling(
            detection.curves_of_matches(score[order], taken, named, int(np.sum(columns["annotations"]))), class_
        )
    return curves


def _at_level(errors: FloatArray, is_match: BoolArray, level: int) -> FloatArray:
    """(5, M) the errors of a scene's matches at one matching distance, which stand one after the other."""
    ends = np.cumsum(is_match.sum(axis=1))
    return errors[:, ends[level - 1] if level else 0 : ends[level]]


def _write_tracks(
    interpolation: Interpolation,
    tables: _Tables,
    name: str,
    stored: StoredScene,
    order: Sequence[str],
    rank: IntArray,
    path: Path,
) -> None:
    scene, results = _read(tables, name, stored, order)
    arrays: dict[str, Any] = {"annotated": _is_annotated(scene)}
    if arrays["annotated"]:
        tracked = prepare_tracks(results.boxes, [scene], interpolation)
        arrays |= {
            "faults": np.array(json.dumps(identity_faults(results, [scene]))),
            "first_frame": tracked.first_frame,
            "annotated_tracks": tracked.annotated.n_tracks,
            "predicted_tracks": tracked.predicted.n_tracks,
        }
        with ThreadPoolExecutor(1) as here:
            for label in tracked.taxonomy.tracked_names:
                class_ = tracked_class(tracked, label)
                matches = match_scenes(tracked, class_, -np.inf, here)
                arrays |= {
                    f"{label}/annotations": len(class_.annotated.track),
                    f"{label}/instances": tracking.count_instances(tracked, class_),
                    f"{label}/scores": match_scores(class_.predicted, matches),
                }
                for part, columns in _parts_of_class(class_.annotated, class_.predicted, class_.pairs).items():
                    arrays |= {f"{label}/{part}/{key}": values for key, values in columns.items()}
    _save(path, arrays)


def _parts_of_class(annotated: ClassBoxes, predicted: ClassBoxes, pairs: Pairs) -> dict[str, dict[str, Any]]:
    return {"annotated": annotated._asdict(), "predicted": predicted._asdict(), "pairs": pairs._asdict()}


def _joined_tracks(
    shards: Shards, taxonomy: Taxonomy, meta: Mapping[str, Any], executor: Executor, started: float
) -> Evaluation:
    names = taxonomy.tracked_names
    tallies: dict[str, dict[str, list[Any]]] = {
        name: {key: [] for key in ("annotations", "instances", "scores")} for name in names
    }
    faults = []
    for path in shards.paths():
        with np.load(path, allow_pickle=False) as shard:
            faults.append(json.loads(str(shard["faults"])))
            for name, columns in tallies.items():
                for key, values in columns.items():
                    values.append(shard[f"{name}/{key}"])
    scores = {name: np.concatenate(columns["scores"]) for name, columns in tallies.items()}
    totals = {name: int(np.sum(columns["annotations"])) for name, columns in tallies.items()}
    thresholds = {name: _reached(scores[name], totals[name]) for name in names if totals[name] and len(scores[name])}
    counted = _counted(shards, {name: reached for name, reached in thresholds.items() if len(reached)}, executor)

    def curves_of(name: str) -> dict[str, FloatArray]:
        return tracking.curves_of_class(
            totals[name],
            lambda: scores[name],
            lambda: int(np.sum(tallies[name]["instances"])),
            lambda _: counted[name],
        )

    curves = {name: curves_of(name) for name in names}
    evaluation = tracking.evaluation_of_curves(curves, taxonomy, meta, started)
    return Evaluation("tracking", evaluation.summary, evaluation.details, fault_lines(joined_faults(faults)))


def _reached(scores: FloatArray, n_annotations: int) -> FloatArray:
    """The thresholds at which events are counted."""
    thresholds, _ = tracking.recall_thresholds(scores, n_annotations)
    reached: FloatArray = np.unique(thresholds[~np.isnan(thresholds)])
    return reached


def _counted(
    shards: Shards, thresholds: Mapping[str, FloatArray], executor: Executor
) -> dict[str, tuple[IntArray, FloatArray]]:
    """Counts and distances of each class at its thresholds, over all scenes; no more than a block is in memory."""
    nothing: dict[str, tuple[Any, Any]] = dict.fromkeys(thresholds, (0, 0.0))
    totals, block = dict(nothing), dict(nothing)
    jobs = [(path, thresholds) for path in shards.paths()]
    for number, of_scene in enumerate(run_jobs(_count_scene, jobs, executor), start=1):
        block = {name: (block[name][0] + counts, block[name][1] + m) for name, (counts, m) in of_scene.items()}
        if number % _BLOCK == 0 or number == len(jobs):
            totals = {name: (totals[name][0] + counts, totals[name][1] + m) for name, (counts, m) in block.items()}
            block = dict(nothing)
    return totals


def _count_scene(path: Path, thresholds: Mapping[str, FloatArray]) -> dict[str, tuple[IntArray, FloatArray]]:
    with np.load(path, allow_pickle=False) as shard:
        return {
            name: count_events(
                ClassBoxes(*(shard[f"{name}/annotated/{key}"] for key in ClassBoxes._fields)),
                ClassBoxes(*(shard[f"{name}/predicted/{key}"] for key in ClassBoxes._fields)),
                Pairs(*(shard[f"{name}/pairs/{key}"] for key in Pairs._fields)),
                shard["first_frame"],
                shard["annotated_tracks"],
                shard["predicted_tracks"],
                reached,
                GATE_M,
            )
            for name, reached in thresholds.items()
        }


def sharded_scene_metrics(evaluated: ShardedEvaluation, executor: Executor) -> Iterator[Metric]:
    """Matches and errors of each class in each scene of tracks, where the MOTA of the class over all scenes is best."""
    assert evaluated.evaluation is not None
    points: dict[str, FloatArray] = {}
    for name, curves in evaluated.evaluation.details.items():
        threshold = tracking.operating_threshold({key: np.array(values) for key, values in curves.items()})
        if threshold is not None:
            points[name] = np.array([threshold])
    jobs = [(path, points) for path in evaluated.shards.paths()]
    for scene, counted in zip(evaluated.shards.scenes, run_jobs(_count_scene, jobs, executor), strict=True):
        totals = dict.fromkeys(_COLUMNS, 0.0)
        for class_, (counts, _) in counted.items():
            for name, column in _COLUMNS.items():
                yield Metric(name, float(counts[0, column]), class_, scene)
                totals[name] += float(counts[0, column])
        for name, total in totals.items():
            yield Metric(name, total, scene=scene)
