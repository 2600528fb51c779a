"""Renders a camera image: faces from the depth buffer, the ground from its polygons, sky, light, shadows, haze."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.ground import GroundPolygons, Surface
from scenes.city.drawing.light import Light, ground_colors, lit_colors
from scenes.city.drawing.meshes import MESH_INDEX, MeshLibrary, Role
from scenes.city.drawing.polygon_filling import fill_polygons
from scenes.city.drawing.rasterizer import Canvas, Instances, View, rasterize
from scenes.city.drawing.shading import (
    GRAIN_TILE_PX,
    SAMPLES_A_SIDE,
    CameraRays,
    DrawnFaces,
    Material,
    SeenGround,
    SeenSky,
    Slopes,
    shade,
)
from scenes.city.drawing.sloping_ground import SlopingGround, draw_surface_map, ground_cells, no_surface_map
from scenes.city.layout.terrain import FLAT
from scenes.geometry import FloatArray

_GROUND_REACH_M: Final = 140.0
_SHADOW_REACH_M: Final = 60.0
_SHADOW_PIXELS_PER_M: Final = 16.0
_NO_SLOPES: Final = Slopes(FLAT, no_surface_map(), no_surface_map())

_MATERIALS: Final = np.array(
    [{Role.FACADE: Material.WALL, Role.GROUND: Material.GROUND}.get(role, Material.PLAIN) for role in Role],
    dtype=np.uint8,
)


def _grain() -> NDArray[np.float32]:
    """(512, 512) brightness of rough ground around 1, which repeats without a seam."""
    rng = np.random.default_rng(7)
    fine = rng.normal(0.0, 1.0, (GRAIN_TILE_PX, GRAIN_TILE_PX))
    grain = np.zeros_like(fine)
    for sigma, weight in ((0.8, 0.035), (4.0, 0.03), (24.0, 0.035)):
        wrapped = np.tile(fine, (3, 3)).astype(np.float32)
        smooth = cv2.GaussianBlur(wrapped, (0, 0), sigma)[GRAIN_TILE_PX:-GRAIN_TILE_PX, GRAIN_TILE_PX:-GRAIN_TILE_PX]
        grain += weight * smooth / smooth.std()
    return (1.0 + grain).astype(np.float32)


_GRAIN: Final = _grain()


class Renderer:
    """Draws images of one size, one after the other: the memory for an image's samples is that of the last one's."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._size_px = (width_px, height_px)
        self._canvas = Canvas.of_size(SAMPLES_A_SIDE * width_px, SAMPLES_A_SIDE * height_px)
        samples = self._canvas.face.shape
        self._surface = np.empty(samples, dtype=np.uint8)
        self._shaded = np.empty(samples, dtype=np.uint8)
        self._brightness = np.empty(samples, dtype=np.float32)

    def render(
        self,
        instances: Instances,
        library: MeshLibrary,
        ground: GroundPolygons | SlopingGround,
        view: View,
        light: Light,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) BGR image of what a camera of this size sees."""
        assert (view.width_px, view.height_px) == self._size_px
        fine = view.scaled(SAMPLES_A_SIDE)
        eye = -fine.camera_from_global[:3, :3].T @ fine.camera_from_global[:3, 3]
        shadows = _shadows(instances, eye, light)
        self._surface.fill(int(Surface.GRASS))
        self._shaded.fill(0)
        if isinstance(ground, SlopingGround):
            slopes = _slopes(ground, shadows, eye)
            instances = Instances.concatenate([instances, ground_cells(eye[:2])])
        else:
            slopes = _NO_SLOPES
            fill_polygons(self._surface, ground, fine, _GROUND_REACH_M)
            fill_polygons(self._shaded, shadows, fine, _SHADOW_REACH_M)
        faces = rasterize(instances, library, fine, slopes.terrain, canvas=self._canvas)
        roles = library.roles[faces.face_triangle]
        color = lit_colors(instances, faces.face_instance, roles, faces.face_normal, light)
        image = np.empty((view.height_px, view.width_px, 3), dtype=np.uint8)
        global_from_camera = np.ascontiguousarray(fine.camera_from_global[:3, :3].T)
        shade(
            image,
            self._brightness,
            CameraRays(global_from_camera, eye, fine.intrinsic),
            DrawnFaces(
                faces.inverse_depth,
                faces.face,
                color,
                _MATERIALS[roles],
                faces.face_normal,
                faces.face_instance,
            ),
            SeenGround(self._surface, self._shaded, ground_colors(light), _GRAIN, light.shadow),
            slopes,
            SeenSky(light.zenith, light.horizon, light.glow, light.sun_direction, light.lamps_on, light.haze_m),
        )
        return image


def _slopes(ground: SlopingGround, shadows: GroundPolygons, eye_m: FloatArray) -> Slopes:
    """The ground from above, with the shadows near the camera."""
    low, high = eye_m[:2] - _SHADOW_REACH_M, eye_m[:2] + _SHADOW_REACH_M
    return Slopes(ground.terrain, ground.painted, draw_surface_map(shadows, low, high, _SHADOW_PIXELS_PER_M, 0))


_CASTS_NO_SHADOW: Final = tuple(
    MESH_INDEX[name] for name in ("lamp_post", "signal_red", "signal_yellow", "signal_green")
)


def _shadows(instances: Instances, eye_m: FloatArray, light: Light) -> GroundPolygons:
    """The shadows that boxes cast on the ground around the camera: footprints swept away from the sun."""
    distance = np.linalg.norm(instances.center_m[:, :2] - eye_m[:2], axis=1)
    near = (distance < _SHADOW_REACH_M + 15.0) & ~np.isin(instances.mesh, _CASTS_NO_SHADOW)
    chosen = instances.select(near)
    reach = np.minimum(chosen.size_lwh_m[:, 2], 14.0) / max(np.tan(np.arcsin(light.sun_direction[2])), 0.5)
    away = -light.sun_direction[:2] / np.linalg.norm(light.sun_direction[:2])
    cos, sin = np.cos(chosen.yaw_rad), np.sin(chosen.yaw_rad)
    half = 0.47 * chosen.size_lwh_m[:, :2]
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    body = signs[None] * half[:, None]
    foot = chosen.center_m[:, None, :2] + np.stack(
        [
            cos[:, None] * body[..., 0] - sin[:, None] * body[..., 1],
            sin[:, None] * body[..., 0] + cos[:, None] * body[..., 1],
        ],
        axis=2,
    )
    return GroundPolygons.of_corners(Surface.KERB, _swept(foot, (0.9 * reach)[:, None] * away))


def _swept(foot_m: FloatArray, shift_m: FloatArray) -> FloatArray:
    """(N, 6, 2) outlines of what rectangles (N, 4, 2), clockwise, cover on their way along shifts (N, 2).

    Sides that look where it goes are at its end, the others at its start; two corners lie between such sides and are at
    both.
    """
    side = np.roll(foot_m, -1, axis=1) - foot_m
    ahead = side[..., 0] * shift_m[:, None, 1] - side[..., 1] * shift_m[:, None, 0] > 0.0
    # Each corner twice, as the end of one side and as the beginning of the next.
    moved = np.stack([np.roll(ahead, 1, axis=1), ahead], axis=2)
    corners = foot_m[:, :, None] + np.where(moved[..., None], shift_m[:, None, None], 0.0)
    kept = np.stack([np.ones_like(ahead), moved[..., 0] != moved[..., 1]], axis=2)
    outline: FloatArray = corners[kept].reshape(len(foot_m), _SWEPT_CORNERS, 2)
    return outline


_SWEPT_CORNERS: Final = 6
