"""The metrics that a benchmark shows of each kind of detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mmengine.config import Config

from detection.running.detector import evaluate
from detection.running.image_detector import evaluate_images
from evaluation import evaluate_tracking
from scenes import Results, Scene, read_scenes, taxonomy_of

Track = Callable[[Results, list[Scene]], Results]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: its title, its decimals, and whether the picture has it."""

    title: str
    decimals: int = 3
    in_picture: bool = True


class Scoring(Protocol):
    """The metrics of a kind of detection."""

    @property
    def shown(self) -> Mapping[str, Metric]:
        """Of each metric, how it is shown."""

    def metrics(self, found: Mapping[Any, Any]) -> dict[str, float]:
        """The metrics of what was found in every frame or image."""


class SceneScoring:
    """nuScenes' metrics of detections, and of the tracks that a tracker makes of them."""

    shown: Final = {
        "mean_ap": Metric("mAP"),
        "nd_score": Metric("NDS", in_picture=False),
        "amota": Metric("AMOTA"),
        "identity_switches": Metric("identity switches", 0),
    }

    def __init__(self, config: Config, track: Track) -> None:
        self._config = config
        self._track = track
        evaluator = config["val_evaluator"]
        self._root = (evaluator["dataroot"], evaluator["version"], evaluator["split"])
        self._scenes = list(read_scenes(*self._root))

    def metrics(self, found: Mapping[Any, Any]) -> dict[str, float]:
        """See `Scoring`."""
        results = Results(dict(found), taxonomy=taxonomy_of(self._scenes))
        detection = evaluate(self._config, results).summary
        tracking = evaluate_tracking(self._track(results, self._scenes), *self._root).summary
        return {
            "mean_ap": float(detection["mean_ap"]),
            "nd_score": float(detection["nd_score"]),
            "amota": float(tracking["amota"]),
            "identity_switches": float(tracking["ids"]),
        }


class ImageScoring:
    """COCO's metrics."""

    shown: Final = {"AP": Metric("AP"), "AP50": Metric("AP50"), "AP75": Metric("AP75", in_picture=False)}

    def __init__(self, config: Config) -> None:
        self._config = config

    def metrics(self, found: Mapping[Any, Any]) -> dict[str, float]:
        """See `Scoring`."""
        scores = evaluate_images(self._config, found)
        return {name: scores[name] for name in self.shown}
