"""A drive through the synthetic city at any rate, and a detector that knows what is there instead of looking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from detection.data.sample import FrameSample
from scenes import NUSCENES, Boxes3D, Camera
from scenes.city.catalog import KINDS
from scenes.city.life.simulation import simulate_drive
from scenes.city.sensors.rig import CAMERAS
from scenes.city.town import build_town
from scenes.geometry import FloatArray, rotation_from_yaw
from streaming.events import RgbImage

RATE_HZ: Final = 10
START_US: Final = 1_700_000_000_000_000
RIG: Final = "rig"
SIZE_PX: Final = (176, 99)

EXPOSURE_US: Final = {mount.channel: round(1e3 * mount.exposure_ms) for mount in CAMERAS}
"""When each camera takes its image, beside the time of the step."""

_CALIBRATIONS: Final = {mount.channel: (mount.intrinsic(*SIZE_PX), mount.ego_from_camera) for mount in CAMERAS}
"""Intrinsics and mounting of each camera."""
_LABEL_OF_KIND: Final = np.array([NUSCENES.label_of_category(kind.category) for kind in KINDS], dtype=np.int64)

_RANGE_M: Final = 55.0
_SEEN: Final = 0.9
"""Probability that the detector finds an object that is in range of a camera with an image."""
_PLACE_ERROR_M: Final = 0.25
_SPEED_ERROR_MPS: Final = 0.3
_FALSE_BOXES: Final = 3.0
_SECTOR_RAD: Final = np.pi / 3


@dataclass(frozen=True, eq=False)
class SoakCity:
    """A drive, step by step, `RATE_HZ` a second.

    Attributes:
        drive: of `scenes.city.life.simulation`.
        seed: from which the detector's errors are drawn.
    """

    drive: Any
    seed: int

    @classmethod
    def of(cls, duration_s: float, seed: int) -> SoakCity:
        """A drive of some length through a town."""
        return cls(simulate_drive(build_town(seed, 0), duration_s, np.random.default_rng([seed, 1])), seed)

    def global_from_ego(self, time_s: float) -> FloatArray:
        """(4, 4) pose of the car."""
        pose: FloatArray = self.drive.ego.pose_at(time_s)
        return pose

    def camera(self, name: str, index: int, time_us: int) -> Camera:
        """A camera of a step; its path names the step, `RIG` where `index` is negative."""
        pose = self.global_from_ego(max(index, 0) / RATE_HZ + 1e-6 * EXPOSURE_US[name])
        path = Path(str(index) if index >= 0 else RIG)
        return Camera(name, time_us, path, SIZE_PX, *_CALIBRATIONS[name], pose)

    def detections(self, index: int, blind: Sequence[str]) -> Boxes3D:
        """What a detector finds in a step; always the same.

        Args:
            index: of the step.
            blind: cameras without an image: what they look at is not found.
        """
        rng = np.random.default_rng([self.seed, index])
        time_s = index / RATE_HZ
        truth = self._truth(time_s)
        found = rng.random(len(truth)) < _SEEN
        place_error = rng.normal(0.0, _PLACE_ERROR_M, (len(truth), 3)) * [1.0, 1.0, 0.2]
        boxes = truth.replace(
            center_m=truth.center_m + place_error,
            velocity_mps=truth.velocity_mps + rng.normal(0.0, _SPEED_ERROR_MPS, (len(truth), 2)),
            score=rng.beta(6.0, 2.5, len(truth)),
        )
        together = Boxes3D.concatenate([boxes.select(found), self._clutter(time_s, rng)])
        return together.select(~self._looked_at(together, time_s, blind))

    def _truth(self, time_s: float) -> Boxes3D:
        cast = self.drive.cast
        state = cast.at(time_s)
        label = _LABEL_OF_KIND[cast.kind]
        distance = np.linalg.norm(state.center_m[:, :2] - self.global_from_ego(time_s)[:2, 3], axis=1)
        here = np.flatnonzero((distance < _RANGE_M) & (label >= 0))
        heading = np.stack([np.cos(state.yaw_rad[here]), np.sin(state.yaw_rad[here])], axis=1)
        return Boxes3D(
            center_m=state.center_m[here],
            size_wlh_m=cast.size_wlh_m[here],
            rotation=rotation_from_yaw(state.yaw_rad[here]).reshape(-1, 4),
            velocity_mps=heading * state.speed_mps[here, None],
            label=label[here],
            score=np.ones(len(here)),
            query_id=here.astype(np.int64),
        )

    def _clutter(self, time_s: float, rng: np.random.Generator) -> Boxes3D:
        count = int(rng.poisson(_FALSE_BOXES))
        center = np.zeros((count, 3))
        center[:, :2] = self.global_from_ego(time_s)[:2, 3] + rng.uniform(-_RANGE_M, _RANGE_M, (count, 2))
        return Boxes3D(
            center_m=center,
            size_wlh_m=np.tile([1.9, 4.6, 1.7], (count, 1)),
            rotation=rotation_from_yaw(rng.uniform(-np.pi, np.pi, count)).reshape(-1, 4),
            velocity_mps=np.zeros((count, 2)),
            label=np.zeros(count, dtype=np.int64),
            score=rng.beta(1.5, 6.0, count),
            query_id=rng.integers(10**6, 10**9, count),
        )

    def _looked_at(self, boxes: Boxes3D, time_s: float, cameras: Sequence[str]) -> NDArray[np.bool_]:
        """(N,) which boxes lie in the sectors of some cameras."""
        pose = self.global_from_ego(time_s)
        offset = (boxes.center_m[:, :2] - pose[:2, 3]) @ pose[:2, :2]
        bearing = np.arctan2(offset[:, 1], offset[:, 0])
        inside = np.zeros(len(boxes), dtype=np.bool_)
        for mount in CAMERAS:
            if mount.channel in cameras:
                turn = np.angle(np.exp(1j * (bearing - np.deg2rad(mount.yaw_deg))))
                inside |= np.abs(turn) < 0.5 * _SECTOR_RAD
        return inside


class SimulatedStreamDetector:
    """A detector of the pipeline that asks the city; cameras whose image is black it does not see by.

    Args:
        city: to ask.
        work: called with the index of each step, to take time; None takes none.
    """

    taxonomy = NUSCENES

    def __init__(self, city: SoakCity, work: Callable[[int], object] | None = None) -> None:
        self._city = city
        self._work = work
        self._steps = 0

    def prepare(self, samples: Sequence[FrameSample], continues_scene: Sequence[bool]) -> FrameSample:
        """The sample itself."""
        (sample,) = samples
        return sample

    def step(self, frame: FrameSample) -> list[Boxes3D]:
        """What the city says of the step that most of its images name."""
        seeing = [view for view in frame.views if view.image is not None and view.image.any()]
        blind = [view.name for view in frame.views if view not in seeing]
        if not seeing:
            return [Boxes3D.empty()]
        index = int(seeing[0].image_path.name)
        if self._work is not None:
            self._work(index)
        self._steps += 1
        return [self._city.detections(index, blind)]

    def reset(self) -> None:
        """It remembers nothing but how many steps it has taken."""
        self._steps = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """The number of steps."""
        return {"steps": np.array(self._steps)}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on counting."""
        self._steps = int(state["steps"])


def city_jpeg(seed: int) -> bytes:
    """An image for a camera: what is in it does not matter, decoding it does."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 255, (9, 16, 3), dtype=np.uint8)
    image: RgbImage = np.asarray(cv2.resize(coarse, SIZE_PX, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    content: bytes = cv2.imencode(".jpg", image)[1].tobytes()
    return content
