"""Records one scene: its rows of the tables, its images and its lidar sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scenes.city.actors import Cast
from scenes.city.catalog import KINDS, attribute_name
from scenes.city.ground import GroundPolygons
from scenes.city.lidar import GROUND, Sweep
from scenes.city.meshes import mesh_library
from scenes.city.mix import MIXES
from scenes.city.nuscenes_rows import LIDAR_CHANNEL, camera_calibrations
from scenes.city.observation import Observation, actor_instances, observe
from scenes.city.rasterizer import Instances, View
from scenes.city.render import Light, Renderer, draw_light
from scenes.city.rig import CAMERAS, CameraMount, draw_rig
from scenes.city.scenery import signal_instances
from scenes.city.simulation import Drive, simulate_drive
from scenes.city.sloping_ground import SlopingGround, sloping_ground
from scenes.city.terrain import FLAT, Terrain, draw_terrain, lifted
from scenes.city.town import TOWNS, Town, build_town
from scenes.geometry import FloatArray, invert_pose, pose_heading_rad, rotation_from_yaw
from scenes.new_rows import Row, Tables, empty_tables, link_chain, token_of

FRAME_INTERVAL_S: Final = 0.5
_JITTER_S: Final = 0.0012
_SLIP_PROBABILITY: Final = 0.02
_SLIP_S: Final = 0.05
_EPOCH_US: Final = 1_700_000_000_000_000
_SCENE_INTERVAL_US: Final = 60_000_000
_ANNOTATION_RANGE_M: Final = 65.0
_BRIDGED_FRAMES: Final = 2
"""Annotators keep following somebody who is out of sight for no longer than this."""
_JPEG_QUALITY: Final = 88
_SCENE_STREAM: Final = 2
_WEATHER_STREAM: Final = 3
_TERRAIN_STREAM: Final = 4
_GROUND_RETURNS_KEPT: Final = 12
"""One in so many of the returns that belong to no actor is written."""


@dataclass(frozen=True)
class SceneJob:
    """What a scene is to become.

    Attributes:
        seed: of the city.
        index: number of the scene, from 0.
        frames: key frames.
        width_px, height_px: of the images.
        root: data root to write images and sweeps to.
        images: whether to write them at all.
        mix: name of the mix, see `MIXES`.
        slope: how steep its ground may be, metres for a metre; None for what the mix says.
    """

    seed: int
    index: int
    frames: int
    width_px: int
    height_px: int
    root: Path
    images: bool
    mix: str = "natural"
    slope: float | None = None

    @property
    def name(self) -> str:
        return f"city-{self.index + 1:04d}"

    @property
    def town(self) -> int:
        return self.index % TOWNS

    @property
    def log_name(self) -> str:
        return f"{self.name}-log"

    def token(self, *name: object) -> str:
        """A token of this scene."""
        return token_of(self.seed, self.name, *name)


def record_scene(job: SceneJob) -> Tables:
    """Simulate a scene, write its images and sweeps, and return its rows."""
    rng = np.random.default_rng([job.seed, _SCENE_STREAM, job.index])
    town = build_town(job.seed, job.town)
    times_s = _key_frame_times(job.frames, rng)
    mix = MIXES[job.mix]
    drive = simulate_drive(town, float(times_s[-1]), rng, mix, _terrain(job))
    dusk = bool(rng.random() < mix.dusk)
    light = draw_light(rng, dusk, mix.most_overcast)
    weather = np.random.default_rng([job.seed, _WEATHER_STREAM, job.index])
    if weather.random() < mix.fog:
        light = replace(light, haze_m=weather.uniform(*mix.fog_m))
    mounts = CAMERAS if mix.rig is None else draw_rig(mix.rig, weather)
    observations = [_observe(town, drive, time_s, rng, mounts) for time_s in times_s.tolist()]
    recorder = _Recorder(job, town, drive, light, times_s, mounts)
    tables = empty_tables()
    tables["sample"] = recorder.samples()
    tables["sample_data"], tables["ego_pose"] = recorder.sample_data()
    tables["instance"], tables["sample_annotation"] = recorder.annotations(observations)
    tables["scene"] = [recorder.scene(dusk)]
    tables["log"] = [recorder.log()]
    if mix.rig is not None:
        tables["calibrated_sensor"] = camera_calibrations(job.seed, mounts, job.width_px, job.height_px, job.name)
    if job.images:
        recorder.write_images()
        recorder.write_sweeps([observation.sweep for observation in observations])
    return tables


def _terrain(job: SceneJob) -> Terrain:
    """The ground of a scene; everything else in it is the same, whatever the ground."""
    rng = np.random.default_rng([job.seed, _TERRAIN_STREAM, job.index])
    mix = MIXES[job.mix]
    is_sloping = rng.random() < mix.sloping
    steepest = (mix.steepest if is_sloping else 0.0) if job.slope is None else job.slope
    return draw_terrain(steepest, rng) if steepest else FLAT


def _key_frame_times(frames: int, rng: np.random.Generator) -> FloatArray:
    """(frames,) seconds after the first: half a second apart, with jitter and now and then a sweep's slip."""
    slip = np.where(rng.random(frames) < _SLIP_PROBABILITY, rng.choice([-_SLIP_S, _SLIP_S], frames), 0.0)
    intervals = FRAME_INTERVAL_S + slip + np.clip(rng.normal(0.0, _JITTER_S, frames), -0.004, 0.004)
    times: FloatArray = np.round(np.concatenate([[0.0], np.cumsum(intervals[1:])]), 6)
    return times


def _observe(
    town: Town, drive: Drive, time_s: float, rng: np.random.Generator, mounts: Sequence[CameraMount]
) -> Observation:
    categories = [KINDS[kind].category for kind in drive.cast.kind.tolist()]
    is_vehicle = np.array([category.startswith("vehicle") for category in categories], dtype=np.bool_)
    actors = actor_instances(drive.cast, drive.cast.at(time_s))
    return observe(actors, is_vehicle, town.scenery, drive.ego.pose_at(time_s), rng, mounts, terrain=drive.ego.terrain)


class _Recorder:
    """One simulated scene on its way into tables and files."""

    def __init__(
        self,
        job: SceneJob,
        town: Town,
        drive: Drive,
        light: Light,
        times_s: FloatArray,
        mounts: Sequence[CameraMount],
    ) -> None:
        self._job = job
        self._town = town
        self._drive = drive
        self._light = light
        self._times_s = times_s
        self._mounts = mounts
        start_us = _EPOCH_US + job.index * _SCENE_INTERVAL_US
        self._timestamps_us = [start_us + round(1e6 * time_s) for time_s in times_s.tolist()]
        self._start_us = start_us

    def scene(self, dusk: bool) -> Row:
        return {
            "token": self._job.token("scene"),
            "log_token": self._job.token("log"),
            "nbr_samples": len(self._times_s),
            "first_sample_token": self._job.token("sample", 0),
            "last_sample_token": self._job.token("sample", len(self._times_s) - 1),
            "name": self._job.name,
            "description": f"{'Dusk' if dusk else 'Day'}, synthetic town {self._job.town + 1}",
        }

    def log(self) -> Row:
        return {
            "token": self._job.token("log"),
            "logfile": self._job.log_name,
            "vehicle": "city",
            "date_captured": "2023-11-14",
            "location": f"city-town-{self._job.town + 1}",
        }

    def samples(self) -> list[Row]:
        rows: list[Row] = [
            {
                "token": self._job.token("sample", frame),
                "timestamp": timestamp,
                "prev": "",
                "next": "",
                "scene_token": self._job.token("scene"),
            }
            for frame, timestamp in enumerate(self._timestamps_us)
        ]
        link_chain(rows)
        return rows

    def sample_data(self) -> tuple[list[Row], list[Row]]:
        """Rows of sample_data, chained for each sensor, and of ego_pose."""
        data_rows: list[Row] = []
        poses: list[Row] = []
        channels = [LIDAR_CHANNEL, *(mount.channel for mount in CAMERAS)]
        for channel in channels:
            rows = [self._sample_data_row(channel, frame) for frame in range(len(self._times_s))]
            link_chain(rows)
            data_rows += rows
            poses += [self._pose_row(row) for row in rows]
        return data_rows, poses

    def _sample_data_row(self, channel: str, frame: int) -> Row:
        is_lidar = channel == LIDAR_CHANNEL
        token = self._job.token("sample_data", channel, frame)
        return {
            "token": token,
            "sample_token": self._job.token("sample", frame),
            "ego_pose_token": token,
            "calibrated_sensor_token": self._calibration_token(channel),
            "timestamp": self._timestamp_us(channel, frame),
            "fileformat": "pcd" if is_lidar else "jpg",
            "is_key_frame": True,
            "height": 0 if is_lidar else self._job.height_px,
            "width": 0 if is_lidar else self._job.width_px,
            "filename": self._filename(channel, frame),
            "prev": "",
            "next": "",
        }

    def _calibration_token(self, channel: str) -> str:
        """Of the scene's own calibration, where it has a rig of its own."""
        if channel == LIDAR_CHANNEL or MIXES[self._job.mix].rig is None:
            return token_of(self._job.seed, "calibrated_sensor", channel)
        return self._job.token("calibrated_sensor", channel)

    def _pose_row(self, data: Row) -> Row:
        pose = self._drive.ego.pose_at(self._seconds(data["timestamp"]))
        return {
            "token": data["token"],
            "timestamp": data["timestamp"],
            "rotation": self._rotation_wxyz(pose),
            "translation": pose[:3, 3].tolist(),
        }

    def _rotation_wxyz(self, pose: FloatArray) -> list[float]:
        if self._drive.ego.terrain.is_flat:
            rotation = rotation_from_yaw(pose_heading_rad(pose))[0]
        else:
            rotation = Rotation.from_matrix(pose[:3, :3]).as_quat(canonical=True, scalar_first=True)
        wxyz: list[float] = rotation.tolist()
        return wxyz

    def annotations(self, observations: list[Observation]) -> tuple[list[Row], list[Row]]:
        """Rows of instance and of sample_annotation, chained for each instance."""
        cast = self._drive.cast
        states = [cast.at(time_s) for time_s in self._times_s.tolist()]
        centers_m = [lifted(state.center_m, self._drive.ego.terrain) for state in states]
        annotated = self._annotated(observations)
        instances: list[Row] = []
        annotations: list[Row] = []
        for actor in np.flatnonzero(annotated.any(axis=0)).tolist():
            kind = KINDS[cast.kind[actor]]
            size = cast.size_wlh_m[actor].tolist()
            rows: list[Row] = []
            for frame in np.flatnonzero(annotated[:, actor]).tolist():
                state, observation = states[frame], observations[frame]
                attribute = attribute_name(kind, cast.activity[actor], float(state.speed_mps[actor]))
                rows.append(
                    {
                        "token": self._job.token("annotation", actor, frame),
                        "sample_token": self._job.token("sample", frame),
                        "instance_token": self._job.token("instance", actor),
                        "visibility_token": str(observation.visibility[actor]),
                        "attribute_tokens": [token_of(self._job.seed, "attribute", attribute)] if attribute else [],
                        "translation": np.round(centers_m[frame][actor], 3).tolist(),
                        "size": size,
                        "rotation": rotation_from_yaw(state.yaw_rad[actor])[0].tolist(),
                        "prev": "",
                        "next": "",
                        "num_lidar_pts": int(observation.lidar_points[actor]),
                        "num_radar_pts": int(observation.radar_points[actor]),
                    }
                )
            link_chain(rows)
            annotations += rows
            instances.append(
                {
                    "token": self._job.token("instance", actor),
                    "category_token": token_of(self._job.seed, "category", kind.category),
                    "nbr_annotations": len(rows),
                    "first_annotation_token": rows[0]["token"],
                    "last_annotation_token": rows[-1]["token"],
                }
            )
        return instances, annotations

    def _annotated(self, observations: list[Observation]) -> NDArray[np.bool_]:
        """(frames, actors) who is annotated: near, and seen by the lidar now or within the bridged frames."""
        hit = np.array([observation.lidar_points > 0 for observation in observations])
        seen = hit.copy()
        for shift in range(1, _BRIDGED_FRAMES + 1):
            seen[shift:] |= hit[:-shift]
            seen[:-shift] |= hit[shift:]
        positions = [self._drive.cast.at(time_s).center_m[:, :2] for time_s in self._times_s.tolist()]
        ego = [self._drive.ego.pose_at(time_s)[:2, 3] for time_s in self._times_s.tolist()]
        near = np.array(
            [np.linalg.norm(p - e, axis=1) < _ANNOTATION_RANGE_M for p, e in zip(positions, ego, strict=True)]
        )
        annotated: NDArray[np.bool_] = seen & near
        return annotated

    def write_images(self) -> None:
        renderer = Renderer(self._job.width_px, self._job.height_px)
        ground: GroundPolygons | SlopingGround = self._town.ground
        if not self._drive.ego.terrain.is_flat:
            ground = sloping_ground(self._drive.ego.terrain, self._town.ground, self._drive.ego.position_m)
        for mount in self._mounts:
            for frame in range(len(self._times_s)):
                time_s = self._seconds(self._timestamp_us(mount.channel, frame))
                view = View(
                    invert_pose(self._drive.ego.pose_at(time_s) @ mount.ego_from_camera),
                    mount.intrinsic(self._job.width_px, self._job.height_px),
                    self._job.width_px,
                    self._job.height_px,
                )
                image = renderer.render(self._world(time_s), mesh_library(), ground, view, self._light)
                path = self._job.root / self._filename(mount.channel, frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
                path.write_bytes(encoded.tobytes())

    def _world(self, time_s: float) -> Instances:
        """Everything that can be seen at one moment."""
        cast: Cast = self._drive.cast
        lights = signal_instances(self._town.signal_posts, self._drive.signals, self._drive.clock_s(time_s))
        return Instances.concatenate([actor_instances(cast, cast.at(time_s)), self._town.scenery, lights])

    def write_sweeps(self, sweeps: list[Sweep]) -> None:
        for frame, sweep in enumerate(sweeps):
            path = self._job.root / self._filename(LIDAR_CHANNEL, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encoded_sweep(sweep, len(self._drive.cast)))

    def _filename(self, channel: str, frame: int) -> str:
        suffix = "pcd.bin" if channel == LIDAR_CHANNEL else "jpg"
        timestamp = self._timestamp_us(channel, frame)
        return f"samples/{channel}/{self._job.log_name}__{channel}__{timestamp}.{suffix}"

    def _timestamp_us(self, channel: str, frame: int) -> int:
        return int(self._timestamps_us[frame] + _EXPOSURE_US[channel])

    def _seconds(self, timestamp_us: int) -> float:
        """Time after the first key frame."""
        return 1e-6 * (timestamp_us - self._start_us)


_EXPOSURE_US: Final = {LIDAR_CHANNEL: 0, **{mount.channel: round(1e3 * mount.exposure_ms) for mount in CAMERAS}}


def _encoded_sweep(sweep: Sweep, actors: int) -> bytes:
    """nuScenes' point file: x, y, z in the lidar's frame (x right, y forward), intensity, ring; float32."""
    on_actor = (sweep.target >= 0) & (sweep.target < actors)
    kept = on_actor | (np.arange(len(sweep.target)) % _GROUND_RETURNS_KEPT == 0)
    x, y, z = sweep.points_m[kept].T
    intensity = np.where(sweep.target[kept] == GROUND, 8.0, 30.0)
    points: bytes = np.stack([-y, x, z, intensity, sweep.ring[kept]], axis=1).astype("<f4").tobytes()
    return points
