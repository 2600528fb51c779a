"""Writes what the sensors of a scene take: images and lidar sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from scenes.city.drawing.ground import GroundPolygons
from scenes.city.drawing.light import Light
from scenes.city.drawing.meshes import mesh_library
from scenes.city.drawing.rasterizer import Instances, View
from scenes.city.drawing.render import Renderer
from scenes.city.drawing.scenery import signal_instances
from scenes.city.drawing.sloping_ground import SlopingGround, sloping_ground
from scenes.city.life.simulation import Drive
from scenes.city.nuscenes_rows import LIDAR_CHANNEL
from scenes.city.scene_job import SceneJob, Timetable
from scenes.city.sensors.lidar import GROUND, Sweep
from scenes.city.sensors.observation import Observation, actor_instances, lidar_sweep
from scenes.city.sensors.rig import CameraMount
from scenes.city.town import Town
from scenes.geometry import invert_pose

_JPEG_QUALITY: Final = 88
_SWEEP_STREAM: Final = 5
_GROUND_RETURNS_KEPT: Final = 12
"""One in so many of the returns that belong to no actor is written."""


def write_images(
    job: SceneJob, timetable: Timetable, town: Town, drive: Drive, light: Light, mounts: Sequence[CameraMount]
) -> None:
    """Draw what each camera sees at each of its times."""
    renderer = Renderer(job.width_px, job.height_px)
    ground: GroundPolygons | SlopingGround = town.ground
    if not drive.ego.terrain.is_flat:
        ground = sloping_ground(drive.ego.terrain, town.ground, drive.ego.position_m)
    for mount in mounts:
        intrinsic = mount.intrinsic(job.width_px, job.height_px)
        for capture in timetable.captures(mount.channel):
            camera_from_global = invert_pose(drive.ego.pose_at(capture.time_s) @ mount.ego_from_camera)
            view = View(camera_from_global, intrinsic, job.width_px, job.height_px)
            image = renderer.render(_world(town, drive, capture.time_s), mesh_library(), ground, view, light)
            _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            _write(job, capture.filename, encoded.tobytes())


def _world(town: Town, drive: Drive, time_s: float) -> Instances:
    """Everything that can be seen at one moment."""
    lights = signal_instances(town.signal_posts, drive.signals, drive.clock_s(time_s))
    return Instances.concatenate([actor_instances(drive.cast, drive.cast.at(time_s)), town.scenery, lights])


def write_sweeps(
    job: SceneJob, timetable: Timetable, town: Town, drive: Drive, observations: Sequence[Observation]
) -> None:
    """The lidar's sweeps: those of the key frames as they were observed, and those between them."""
    rng = np.random.default_rng([job.seed, _SWEEP_STREAM, job.index])
    for capture in timetable.captures(LIDAR_CHANNEL):
        if capture.is_key_frame:
            sweep = observations[capture.frame].sweep
        else:
            actors = actor_instances(drive.cast, drive.cast.at(capture.time_s))
            pose = drive.ego.pose_at(capture.time_s)
            sweep = lidar_sweep(actors, town.scenery, pose, rng, drive.ego.terrain)
        _write(job, capture.filename, _encoded_sweep(sweep, len(drive.cast)))


def _write(job: SceneJob, filename: str, content: bytes) -> None:
    path = job.root / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _encoded_sweep(sweep: Sweep, actors: int) -> bytes:
    """nuScenes' point file: x, y, z in the lidar's frame (x right, y forward), intensity, ring; float32."""
    on_actor = (sweep.target >= 0) & (sweep.target < actors)
    kept = on_actor | (np.arange(len(sweep.target)) % _GROUND_RETURNS_KEPT == 0)
    x, y, z = sweep.points_m[kept].T
    intensity = np.where(sweep.target[kept] == GROUND, 8.0, 30.0)
    points: bytes = np.stack([-y, x, z, intensity, sweep.ring[kept]], axis=1).astype("<f4").tobytes()
    return points
