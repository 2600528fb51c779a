"""The official nuscenes-devkit 1.2.0 behind this room's interface, and without its prints, plots and folders.

Importing this module imports the devkit with pandas, scikit-learn and matplotlib.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.eval.tracking.evaluate import TrackingEval

from evaluation.evaluation import Evaluation
from evaluation.inputs import Inputs
from scenes import InputError, taxonomy_of, write_detections, write_tracks
from scenes.table_rows import TABLE_NAMES

_CUSTOM_SPLIT = "evaluated"
"""The name, in a temporary data root, of a split that the devkit does not know."""


def evaluate_tracking(inputs: Inputs) -> Evaluation:
    """Run the devkit's `TrackingEval` with its configuration `tracking_nips_2019`.

    Raises:
        InputError: the devkit cannot evaluate these inputs.
    """
    _check(inputs)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        path = inputs.path or Path(folder, "tracks.json")
        if inputs.path is None:
            write_tracks(path, inputs.results)
        evaluation = TrackingEval(
            config=config_factory("tracking_nips_2019"),
            result_path=str(path),
            eval_set=_split_name(inputs),
            output_dir=folder,
            nusc_version=inputs.split.version,
            nusc_dataroot=str(_data_root(inputs, Path(folder, "root"))),
            verbose=False,
        )
        metrics, curves = evaluation.evaluate()
        return _evaluation("tracking", metrics.serialize(), curves.serialize(), evaluation.meta)


def evaluate_detection(inputs: Inputs) -> Evaluation:
    """Run the devkit's `DetectionEval` with its configuration `detection_cvpr_2019`.

    Raises:
        InputError: the devkit cannot evaluate these inputs.
    """
    _check(inputs)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        path = inputs.path or Path(folder, "detections.json")
        if inputs.path is None:
            write_detections(path, inputs.results)
        root = _data_root(inputs, Path(folder, "root"))
        evaluation = DetectionEval(
            NuScenes(version=inputs.split.version, dataroot=str(root), verbose=False),
            config=config_factory("detection_cvpr_2019"),
            result_path=str(path),
            eval_set=_split_name(inputs),
            output_dir=folder,
            verbose=False,
        )
        metrics, curves = evaluation.evaluate()
        return _evaluation("detection", metrics.serialize(), curves.serialize(), evaluation.meta)


def _evaluation(task: Any, summary: dict[str, Any], details: dict[str, Any], meta: dict[str, Any]) -> Evaluation:
    # Through JSON and back: numpy scalars and the keys of dictionaries become what the devkit's files hold.
    content = json.loads(json.dumps({"summary": {**summary, "meta": meta}, "details": details}))
    return Evaluation(task, content["summary"], content["details"])


def _check(inputs: Inputs) -> None:
    """Refuse, with a reason, what the devkit would stop at with a traceback."""
    taxonomy_of(inputs.scenes).require_nuscenes("the devkit")
    source = inputs.path or "results"
    frames = [frame for scene in inputs.scenes for frame in scene.frames]
    if all(len(boxes) == 0 for boxes in inputs.results.boxes.values()):
        raise InputError(f"{source}: the devkit cannot evaluate results without a single box")
    if all(frame.annotations is None or len(frame.annotations.boxes) == 0 for frame in frames):
        raise InputError(f"split '{inputs.split.name}': the devkit cannot evaluate without a single annotated box")
    for frame in frames:
        if frame.ego_from_lidar is None:
            raise InputError(f"sample '{frame.token}' has no LIDAR_TOP, without which the devkit cannot evaluate")


def _split_name(inputs: Inputs) -> str:
    return inputs.split.name if inputs.is_official else _CUSTOM_SPLIT


def _data_root(inputs: Inputs, root: Path) -> Path:
    """A data root of symbolic links in which `_CUSTOM_SPLIT` lists the evaluated scenes."""
    split = inputs.split
    tables = root / split.version
    tables.mkdir(parents=True)
    for entry in split.dataroot.resolve().iterdir():
        if entry.name != split.version:
            (root / entry.name).symlink_to(entry)
    # Others (lidarseg, panoptic) would make the devkit ask for files that evaluation does not need.
    for name in TABLE_NAMES:
        (tables / f"{name}.json").symlink_to((split.dataroot / split.version / f"{name}.json").resolve())
    (tables / "splits.json").write_text(json.dumps({_CUSTOM_SPLIT: [scene.name for scene in inputs.scenes]}))
    return root


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the devkit's prints, progress bars and warnings about means of nothing from the terminal."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
