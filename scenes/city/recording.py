"""Records one scene: its rows of the tables, its images and its lidar sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from scenes.city.catalog import KINDS
from scenes.city.drawing.light import draw_light
from scenes.city.layout.terrain import FLAT, Terrain, draw_terrain
from scenes.city.life.simulation import Drive, simulate_drive
from scenes.city.mix import MIXES
from scenes.city.nuscenes_rows import camera_calibrations
from scenes.city.scene_job import SceneJob, Timetable
from scenes.city.scene_rows import SceneRows
from scenes.city.sensor_files import write_images, write_sweeps
from scenes.city.sensors.observation import Observation, actor_instances, observe
from scenes.city.sensors.rig import CAMERAS, CameraMount, draw_rig
from scenes.city.town import Town, build_town
from scenes.geometry import FloatArray
from scenes.new_rows import Tables, empty_tables

FRAME_INTERVAL_S: Final = 0.5
_JITTER_S: Final = 0.0012
_SLIP_PROBABILITY: Final = 0.02
_SLIP_S: Final = 0.05
_SCENE_STREAM: Final = 2
_WEATHER_STREAM: Final = 3
_TERRAIN_STREAM: Final = 4


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
    timetable = Timetable(job, times_s)
    rows = SceneRows(job, timetable, drive)
    tables = empty_tables()
    tables["sample"] = rows.samples()
    tables["sample_data"], tables["ego_pose"] = rows.sample_data()
    tables["instance"], tables["sample_annotation"] = rows.annotations(observations)
    tables["scene"] = [rows.scene(dusk)]
    tables["log"] = [rows.log()]
    if mix.rig is not None:
        tables["calibrated_sensor"] = camera_calibrations(job.seed, mounts, job.width_px, job.height_px, job.name)
    if job.images:
        write_images(job, timetable, town, drive, light, mounts)
        write_sweeps(job, timetable, town, drive, observations)
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
    return observe(actors, is_vehicle, town.scenery, drive.ego.pose_at(time_s), rng, mounts, drive.ego.terrain)
