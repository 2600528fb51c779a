"""Renders a camera image: faces from the depth buffer, the ground from its polygons, sky, light, shadows, haze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from scenes.city.ground import GroundPolygons, Surface, fill_polygons
from scenes.city.meshes import MESH_INDEX, MeshLibrary, Role
from scenes.city.rasterizer import Instances, View, rasterize
from scenes.geometry import FloatArray

_SUPERSAMPLING: Final = 2
_GROUND_REACH_M: Final = 140.0
_SHADOW_REACH_M: Final = 60.0


@dataclass(frozen=True, eq=False)
class Light:
    """The light of a scene. Colours are RGB; intensities multiply surface colours.

    Attributes:
        sun_direction: (3,) unit vector towards the sun.
        sun, ambient: (3,) intensities.
        zenith, horizon, glow: (3,) colours of the sky above, at the horizon, and around the sun.
        lamps_on: whether lights and windows shine.
        shadow: what is left of the light in a shadow on the ground.
    """

    sun_direction: FloatArray
    sun: FloatArray
    ambient: FloatArray
    zenith: FloatArray
    horizon: FloatArray
    glow: FloatArray
    lamps_on: bool
    shadow: float


def draw_light(rng: np.random.Generator, dusk: bool) -> Light:
    """The light of a day, clear or overcast, or of a dusk."""
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    elevation = np.radians(rng.uniform(4.0, 9.0) if dusk else rng.uniform(32.0, 58.0))
    direction = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    if dusk:
        return Light(
            sun_direction=direction,
            sun=np.array([0.34, 0.22, 0.14]),
            ambient=np.array([0.36, 0.37, 0.47]),
            zenith=np.array([44.0, 58.0, 104.0]),
            horizon=np.array([216.0, 150.0, 118.0]),
            glow=np.array([255.0, 176.0, 96.0]),
            lamps_on=True,
            shadow=0.86,
        )
    overcast = rng.uniform(0.0, 0.6)
    return Light(
        sun_direction=direction,
        sun=np.array([0.62, 0.59, 0.52]) * (1.0 - 0.6 * overcast),
        ambient=np.array([0.52, 0.55, 0.60]) * (1.0 + 0.2 * overcast),
        zenith=np.array([86.0, 138.0, 208.0]) * (1.0 - overcast) + np.array([150.0, 162.0, 178.0]) * overcast,
        horizon=np.array([206.0, 220.0, 234.0]) * (1.0 - overcast) + np.array([206.0, 210.0, 214.0]) * overcast,
        glow=np.array([255.0, 250.0, 232.0]),
        lamps_on=False,
        shadow=0.58 + 0.3 * overcast,
    )


_ROLE_COLORS: Final = {
    Role.GLASS: (48, 58, 70),
    Role.RUBBER: (34, 34, 36),
    Role.TRIM: (50, 51, 54),
    Role.METAL: (142, 146, 152),
    Role.HEADLIGHT: (232, 234, 236),
    Role.TAILLIGHT: (158, 22, 24),
    Role.SKIN: (206, 160, 130),
    Role.HAIR: (62, 46, 36),
    Role.WHITE: (230, 230, 228),
    Role.WOOD: (110, 84, 58),
    Role.ROOF: (116, 98, 92),
    Role.LAMP: (226, 222, 206),
    Role.HIGH_VISIBILITY: (226, 240, 60),
    Role.RED: (255, 40, 34),
    Role.AMBER: (255, 176, 40),
    Role.GREEN: (40, 235, 120),
}
_OWN_COLOR: Final = (Role.BODY, Role.LEAVES, Role.FACADE)
_ALWAYS_LIT: Final = (Role.RED, Role.AMBER, Role.GREEN)
_LIT_AT_DUSK: Final = {
    Role.HEADLIGHT: (255, 250, 224),
    Role.TAILLIGHT: (255, 44, 34),
    Role.LAMP: (255, 226, 164),
}
_SURFACE_COLORS: Final = {
    Surface.ASPHALT: (98, 99, 102),
    Surface.KERB: (150, 149, 146),
    Surface.SIDEWALK: (172, 168, 160),
    Surface.GRASS: (108, 128, 74),
    Surface.PAVING: (158, 148, 136),
    Surface.WHITE: (226, 226, 222),
    Surface.YELLOW: (214, 172, 60),
    Surface.BIKE_LANE: (92, 122, 104),
}
_SURFACES: Final = np.array([_SURFACE_COLORS[surface] for surface in Surface], dtype=np.float64)
_ROLES: Final = np.array([_ROLE_COLORS.get(role, (0, 0, 0)) for role in Role], dtype=np.float64)

_NOISE_TILE_PX: Final = 512


def _grain() -> NDArray[np.float32]:
    """(512, 512) brightness of rough ground around 1, which repeats without a seam."""
    rng = np.random.default_rng(7)
    fine = rng.normal(0.0, 1.0, (_NOISE_TILE_PX, _NOISE_TILE_PX))
    grain = np.zeros_like(fine)
    for sigma, weight in ((0.8, 0.035), (4.0, 0.03), (24.0, 0.035)):
        wrapped = np.tile(fine, (3, 3)).astype(np.float32)
        smooth = cv2.GaussianBlur(wrapped, (0, 0), sigma)[_NOISE_TILE_PX:-_NOISE_TILE_PX, _NOISE_TILE_PX:-_NOISE_TILE_PX]
        grain += weight * smooth / smooth.std()
    return (1.0 + grain).astype(np.float32)


_GRAIN: Final = _grain()


def render(
    instances: Instances,
    library: MeshLibrary,
    ground: GroundPolygons,
    view: View,
    light: Light,
) -> NDArray[np.uint8]:
    """(H, W, 3) BGR image of what a camera sees."""
    fine = view.scaled(_SUPERSAMPLING)
    faces = rasterize(instances, library, fine)
    surface = np.full((fine.height_px, fine.width_px), int(Surface.GRASS), dtype=np.uint8)
    fill_polygons(surface, ground, fine, _GROUND_REACH_M)
    shaded = np.zeros((fine.height_px, fine.width_px), dtype=np.uint8)
    fill_polygons(shaded, _shadows(instances, view, light), fine, _SHADOW_REACH_M)
    roles = library.roles[faces.face_triangle]
    color = _lit_colors(instances, faces.face_instance, roles, faces.face_normal, light)
    image = np.empty((fine.height_px, fine.width_px, 3), dtype=np.uint8)
    pose = fine.camera_from_global
    _shade(
        image,
        faces.inverse_depth,
        faces.face,
        color.astype(np.float32),
        roles == int(Role.FACADE),
        faces.face_normal,
        faces.face_instance,
        surface,
        shaded,
        (_SURFACES * _ground_light(light)).astype(np.float32),
        _GRAIN,
        pose[:3, :3].T.copy(),
        -pose[:3, :3].T @ pose[:3, 3],
        fine.intrinsic,
        light.zenith,
        light.horizon,
        light.glow,
        light.sun_direction,
        light.shadow,
        light.lamps_on,
    )
    return np.asarray(cv2.resize(image, (view.width_px, view.height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _ground_light(light: Light) -> FloatArray:
    lit: FloatArray = light.ambient + light.sun * light.sun_direction[2]
    return lit


def _lit_colors(
    instances: Instances,
    face_instance: NDArray[np.int64],
    roles: NDArray[np.int64],
    normals: FloatArray,
    light: Light,
) -> FloatArray:
    """(F, 3) RGB of each face in the light."""
    albedo = _ROLES[roles]
    own = np.isin(roles, [int(role) for role in _OWN_COLOR])
    albedo[own] = instances.color[face_instance[own]]
    second = roles == int(Role.SECOND)
    albedo[second] = instances.second_color[face_instance[second]]
    toward_sun = np.maximum(normals @ light.sun_direction, 0.0)[:, None]
    from_sky = 0.78 + 0.22 * normals[:, 2:3]
    color = albedo * (light.ambient * from_sky + light.sun * toward_sun)
    glass = roles == int(Role.GLASS)
    mirrored = np.clip(0.25 + 0.5 * normals[glass, 2:3], 0.08, 0.7)
    color[glass] = (1.0 - mirrored) * color[glass] + mirrored * light.horizon * 0.8
    for role in _ALWAYS_LIT:
        color[roles == int(role)] = _ROLE_COLORS[role]
    if light.lamps_on:
        for role, shine in _LIT_AT_DUSK.items():
            color[roles == int(role)] = shine
    return np.clip(color, 0.0, 255.0)


_CASTS_NO_SHADOW: Final = tuple(MESH_INDEX[name] for name in ("lamp_post", "signal_red", "signal_yellow", "signal_green"))


def _shadows(instances: Instances, view: View, light: Light) -> GroundPolygons:
    """The shadows that boxes cast on the ground around the camera: footprints swept away from the sun."""
    eye = -view.camera_from_global[:3, :3].T @ view.camera_from_global[:3, 3]
    distance = np.linalg.norm(instances.center_m[:, :2] - eye[:2], axis=1)
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
    swept = np.concatenate([foot, foot + (0.9 * reach)[:, None, None] * away], axis=1)
    hulls = [cv2.convexHull(corners.astype(np.float32))[:, 0].astype(np.float64) for corners in swept]
    return GroundPolygons.of([(Surface.KERB, hull) for hull in hulls])


_HAZE_M: Final = 420.0


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _shade(  # type: ignore[no-untyped-def]
    image, inverse_depth, face, face_color, is_facade, normal, instance, surface, shaded, surface_color, grain,
    global_from_camera, eye, intrinsic, zenith, horizon, glow, sun, shadow, lamps_on,
):  # fmt: skip
    """Colour every pixel: a face, or the ground, or the sky."""
    height, width = face.shape
    wrap = grain.shape[0] - 1  # the tile's side is a power of two
    for row in range(height):
        v = (row + 0.5 - intrinsic[1, 2]) / intrinsic[1, 1]
        for column in range(width):
            u = (column + 0.5 - intrinsic[0, 2]) / intrinsic[0, 0]
            dx = global_from_camera[0, 0] * u + global_from_camera[0, 1] * v + global_from_camera[0, 2]
            dy = global_from_camera[1, 0] * u + global_from_camera[1, 1] * v + global_from_camera[1, 2]
            dz = global_from_camera[2, 0] * u + global_from_camera[2, 1] * v + global_from_camera[2, 2]
            f = face[row, column]
            if f >= 0:
                depth = 1.0 / inverse_depth[row, column]
                red, green, blue = face_color[f, 0], face_color[f, 1], face_color[f, 2]
                if is_facade[f]:
                    x, y, z = eye[0] + depth * dx, eye[1] + depth * dy, eye[2] + depth * dz
                    along = normal[f, 0] * y - normal[f, 1] * x
                    kind = _facade(along, z, instance[f], lamps_on)
                    if kind == 1:
                        red, green, blue = 0.3 * red + 12.0, 0.3 * green + 18.0, 0.3 * blue + 28.0
                    elif kind == 2:
                        red, green, blue = 255.0, 214.0, 138.0
                    elif kind == 3:
                        red, green, blue = 0.8 * red, 0.8 * green, 0.8 * blue
            elif dz < -1e-4:
                depth = -eye[2] / dz
                x, y = eye[0] + depth * dx, eye[1] + depth * dy
                s = surface[row, column]
                rough = 1.0
                if depth < 90.0:
                    fade = 1.0 / (1.0 + 0.0012 * depth * depth)
                    value = grain[int(y * 24.0) & wrap, int(x * 24.0) & wrap]
                    coarse = grain[int(y * 2.3) & wrap, int(x * 2.3) & wrap]
                    rough = 1.0 + (value - 1.0) * fade + (coarse - 1.0) * 0.6
                if shaded[row, column]:
                    rough *= shadow
                red, green, blue = rough * surface_color[s, 0], rough * surface_color[s, 1], rough * surface_color[s, 2]
            else:
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                up = dz / length
                share = min(up * 2.2, 1.0)
                share = share * (2.0 - share)
                toward = max((dx * sun[0] + dy * sun[1] + dz * sun[2]) / length, 0.0)
                toward = toward**24 * 0.55 + toward**4 * 0.16
                red = (horizon[0] + share * (zenith[0] - horizon[0])) * (1.0 - toward) + glow[0] * toward
                green = (horizon[1] + share * (zenith[1] - horizon[1])) * (1.0 - toward) + glow[1] * toward
                blue = (horizon[2] + share * (zenith[2] - horizon[2])) * (1.0 - toward) + glow[2] * toward
                if up < 0.05 and up < _hill(np.arctan2(dy, dx)):
                    red, green, blue = 0.62 * red + 6.0, 0.66 * green + 12.0, 0.70 * blue + 10.0
                depth = 0.0
            haze = depth / _HAZE_M
            haze = haze * haze / (1.0 + haze * haze)
            image[row, column, 0] = np.uint8(min(max(blue + haze * (horizon[2] - blue), 0.0), 255.0))
            image[row, column, 1] = np.uint8(min(max(green + haze * (horizon[1] - green), 0.0), 255.0))
            image[row, column, 2] = np.uint8(min(max(red + haze * (horizon[0] - red), 0.0), 255.0))


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _hill(azimuth):  # type: ignore[no-untyped-def]
    """Sine of the elevation of the hills on the horizon."""
    return 0.021 + 0.009 * np.sin(3.0 * azimuth + 0.7) + 0.006 * np.sin(11.0 * azimuth) + 0.002 * np.sin(37.0 * azimuth)


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _facade(along, z, building, lamps_on):  # type: ignore[no-untyped-def]
    """What is at a place of a house's wall: 0 wall, 1 window, 2 lit window, 3 ledge."""
    if z < 0.5:
        return 3
    floor = int(z / 3.1)
    rest = z - 3.1 * floor
    period = 2.3 + 0.35 * (building % 4)
    column = int(np.floor(along / period))
    place = along - period * column
    if rest < 0.14 and floor > 0:
        return 3
    wide = 0.16 if floor == 0 else 0.3
    if place < wide * period or place > (1.0 - wide) * period:
        return 0
    low, high = (0.5, 2.6) if floor == 0 else (0.95, 2.45)
    if rest < low or rest > high:
        return 0
    if lamps_on and (column * 7919 + floor * 104729 + building * 1299721) % 97 < 34:
        return 2
    return 1
