"""The official nuScenes metrics during validation, without going through files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detection.metrics.gathered_metric import GatheredMetric
from detection.registry import METRICS
from evaluation.detection import detection_metrics
from evaluation.tracking import tracking_metrics
from scenes import Boxes3D, Results, Scene, read_scenes, select_samples, taxonomy_of

_REPORTED = {
    "detection": {"mAP": "mean_ap", "NDS": "nd_score"},
    "tracking": {"AMOTA": "amota", "AMOTP": "amotp", "recall": "recall", "MOTA": "mota", "IDS": "ids"},
}
_METRICS = {"detection": detection_metrics, "tracking": tracking_metrics}


@METRICS.register_module()
class NuScenesMetric(GatheredMetric):
    """mAP and NDS of detections, or AMOTA and its companions of tracks, computed from boxes in memory.

    Each data sample is a pair of a sample token and its `Boxes3D` in global coordinates, with `track_id`
    for the tracking task. Processes may hold any share of the samples: all are gathered, and one that several
    processes hold because a sampler padded its share counts once.

    Args:
        dataroot: nuScenes data root with the annotations.
        version: such as `v1.0-trainval`.
        split: see `scenes.splits.scene_names_of_split`.
        task: `detection` or `tracking`.
    """

    default_prefix = "nuscenes"

    def __init__(self, dataroot: Path | str, version: str, split: str, task: str = "detection") -> None:
        if task not in _METRICS:
            raise ValueError(f"task is '{task}', expected {' or '.join(_METRICS)}")
        super().__init__()
        self._task = task
        self._root = (dataroot, version, split)
        self._scenes: Sequence[Scene] | None = None

    def compute_metrics(self, results: list[tuple[str, Boxes3D]]) -> dict[str, float]:
        """The metrics over gathered (sample token, boxes) pairs.

        Raises:
            InputError: a sample of the split is missing, or one does not belong to it.
        """
        if self._scenes is None:
            self._scenes = read_scenes(*self._root)
        wanted = [token for scene in self._scenes for token in scene.sample_tokens]
        boxes = select_samples(Results(dict(results), taxonomy=taxonomy_of(self._scenes)), wanted, (), "validation")
        summary = _METRICS[self._task](boxes, self._scenes).summary
        return {f"{self.prefix}/{name}": float(summary[key]) for name, key in _REPORTED[self._task].items()}
