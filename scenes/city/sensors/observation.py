"""What the sensors get to see of each actor: lidar and radar points, and how much of it the cameras show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.city.catalog import KINDS, MOVING_SPEED_MPS
from scenes.city.drawing.meshes import MESH_INDEX, mesh_library, mesh_of
from scenes.city.drawing.rasterizer import Instances, View, rasterize
from scenes.city.drawing.sloping_ground import ground_cells
from scenes.city.layout.terrain import FLAT, Terrain, lifted
from scenes.city.life.actors import ActorState, Cast
from scenes.city.sensors.lidar import GroundBelow, Sweep, cast_sweep
from scenes.city.sensors.rig import CAMERAS, LIDAR_TRANSLATION_M, CameraMount
from scenes.geometry import (
    FloatArray,
    invert_pose,
    pose_heading_rad,
    pose_matrix,
    rotation_from_yaw,
    transform_points,
)

_VISIBILITY_WIDTH_PX: Final = 320
_VISIBILITY_HEIGHT_PX: Final = 180
_SCENERY_REACH_M: Final = 105.0
_HOLLOW: Final = tuple(MESH_INDEX[name] for name in ("lamp_post", "signal_red", "signal_yellow", "signal_green"))
_TRUNK_M: Final = 0.3
_LIDAR_BOX_SHARE: Final = 0.96
"""Bodies fill their annotated boxes nearly, but not to the last centimetre."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What is known of N actors at one key frame.

    Attributes:
        lidar_points, radar_points: (N,) in each box.
        visibility: (N,) nuScenes visibility level, 1 to 4.
        sweep: the lidar's returns, in a frame at the sensor with the ego vehicle's axes; targets below N are actors.
    """

    lidar_points: NDArray[np.int64]
    radar_points: NDArray[np.int64]
    visibility: NDArray[np.int64]
    sweep: Sweep


def actor_instances(cast: Cast, state: ActorState) -> Instances:
    """The actors as meshes, for the renderer and for visibility."""
    moving = state.speed_mps > MOVING_SPEED_MPS
    meshes = [
        mesh_of(KINDS[kind].name, odometer, walks)
        for kind, odometer, walks in zip(cast.kind.tolist(), state.odometer_m.tolist(), moving.tolist(), strict=True)
    ]
    return Instances(
        mesh=np.array(meshes, dtype=np.int64),
        center_m=state.center_m,
        yaw_rad=state.yaw_rad,
        size_lwh_m=cast.size_wlh_m[:, [1, 0, 2]],
        color=cast.color,
        second_color=cast.second_color,
    )


def observe(
    actors: Instances,
    is_vehicle: NDArray[np.bool_],
    scenery: Instances,
    global_from_ego: FloatArray,
    rng: np.random.Generator,
    mounts: Sequence[CameraMount] = CAMERAS,
    terrain: Terrain = FLAT,
) -> Observation:
    """What one key frame shows of the actors.

    Args:
        actors: N actors at the time of the lidar sweep.
        is_vehicle: (N,) whether radar sees them well.
        scenery: what may hide them.
        global_from_ego: (4, 4) ego pose.
        rng: draws lost returns and radar points.
        mounts: the cameras.
        terrain: of the ground.
    """
    around = _around(scenery, global_from_ego)
    sweep = _sweep(actors, around, global_from_ego, rng, terrain)
    lidar_points = np.bincount(sweep.target[sweep.target >= 0], minlength=len(actors))[: len(actors)]
    ranges = np.linalg.norm(actors.center_m[:, :2] - global_from_ego[:2, 3], axis=1)
    mean = np.where(is_vehicle, 2.2, 0.35) * np.exp(-ranges / 45.0)
    radar_points = np.where(lidar_points > 0, rng.poisson(mean), 0)
    visibility = _visibility(actors, around, global_from_ego, mounts, terrain)
    return Observation(lidar_points, radar_points, visibility, sweep)


def _around(scenery: Instances, global_from_ego: FloatArray) -> Instances:
    """What of the scenery is near enough to hide something."""
    distance = np.linalg.norm(scenery.center_m[:, :2] - global_from_ego[:2, 3], axis=1)
    return scenery.select(distance < _SCENERY_REACH_M)


def lidar_sweep(
    actors: Instances,
    scenery: Instances,
    global_from_ego: FloatArray,
    rng: np.random.Generator,
    terrain: Terrain = FLAT,
) -> Sweep:
    """One turn of the lidar, in a frame at the sensor with the ego vehicle's axes; see `observe`."""
    return _sweep(actors, _around(scenery, global_from_ego), global_from_ego, rng, terrain)


def _sweep(
    actors: Instances, scenery: Instances, global_from_ego: FloatArray, rng: np.random.Generator, terrain: Terrain
) -> Sweep:
    """The same among scenery that is near."""
    solid = scenery.select(~np.isin(scenery.mesh, _HOLLOW))
    is_tree = solid.mesh == MESH_INDEX["tree"]
    size = solid.size_lwh_m.copy()
    size[is_tree, :2] = _TRUNK_M
    global_from_lidar = global_from_ego @ pose_matrix(LIDAR_TRANSLATION_M, (1.0, 0.0, 0.0, 0.0))
    heading = pose_heading_rad(global_from_ego)
    x_m, y_m, z_m = place = global_from_lidar[:3, 3].tolist()
    level = global_from_lidar if terrain.is_flat else pose_matrix(place, rotation_from_yaw(heading)[0].tolist())
    sweep = cast_sweep(
        transform_points(invert_pose(level), lifted(np.concatenate([actors.center_m, solid.center_m]), terrain)),
        np.concatenate([_LIDAR_BOX_SHARE * actors.size_lwh_m, size]),
        np.concatenate([actors.yaw_rad, solid.yaw_rad]) - heading,
        GroundBelow(terrain, x_m, y_m, z_m, heading),
        rng,
    )
    if terrain.is_flat:
        return sweep
    return replace(sweep, points_m=sweep.points_m @ (level[:3, :3].T @ global_from_lidar[:3, :3]))


def _visibility(
    actors: Instances,
    scenery: Instances,
    global_from_ego: FloatArray,
    mounts: Sequence[CameraMount],
    terrain: Terrain,
) -> NDArray[np.int64]:
    """(N,) level of the share of an actor's pixels in all cameras that nothing else hides."""
    everything = Instances.concatenate([actors, scenery])
    if not terrain.is_flat:  # only then may the ground hide something
        everything = Instances.concatenate([everything, ground_cells(global_from_ego[:2, 3])])
    seen = np.zeros(len(everything), dtype=np.int64)
    covered = np.zeros(len(everything), dtype=np.int64)
    for mount in mounts:
        view = View(
            invert_pose(global_from_ego @ mount.ego_from_camera),
            mount.intrinsic(_VISIBILITY_WIDTH_PX, _VISIBILITY_HEIGHT_PX),
            _VISIBILITY_WIDTH_PX,
            _VISIBILITY_HEIGHT_PX,
        )
        faces = rasterize(everything, mesh_library(), view, terrain, count_covered=True)
        shown = faces.instance_map()
        seen += np.bincount(shown[shown >= 0], minlength=len(everything))
        covered += faces.covered
    share = seen[: len(actors)] / np.maximum(covered[: len(actors)], 1)
    return visibility_level(share)


def visibility_level(share: FloatArray) -> NDArray[np.int64]:
    """(N,) nuScenes visibility tokens of visible shares: 1 below 40 %, 2 below 60 %, 3 below 80 %, 4 above."""
    return np.digitize(share, (0.4, 0.6, 0.8)).astype(np.int64) + 1
