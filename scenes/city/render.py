"""Renders a camera image: faces from the depth buffer, the ground from its polygons, sky, light, shadows, haze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes.city.ground import GroundPolygons, Surface, fill_polygons
from scenes.city.meshes import MESH_INDEX, MeshLibrary, Role
from scenes.city.rasterizer import Instances, View, rasterize
from scenes.compiled import compiled
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
        haze_m: distance at which half of what is seen is haze.
    """

    sun_direction: FloatArray
    sun: FloatArray
    ambient: FloatArray
    zenith: FloatArray
    horizon: FloatArray
    glow: FloatArray
    lamps_on: bool
    shadow: float
    haze_m: float = 420.0


def draw_light(rng: np.random.Generator, dusk: bool, most_overcast: float = 0.6) -> Light:
    """The light of a day, clear or overcast up to a share in [0, 1], or of a dusk."""
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
    overcast = rng.uniform(0.0, most_overcast)
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
        smooth = cv2.GaussianBlur(wrapped, (0, 0), sigma)[
            _NOISE_TILE_PX:-_NOISE_TILE_PX, _NOISE_TILE_PX:-_NOISE_TILE_PX
        ]
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
    global_from_camera = np.ascontiguousarray(fine.camera_from_global[:3, :3].T)
    _shade(
        image,
        _Camera(global_from_camera, -global_from_camera @ fine.camera_from_global[:3, 3], fine.intrinsic),
        _Faces(
            faces.inverse_depth,
            faces.face,
            color,
            roles == int(Role.FACADE),
            faces.face_normal,
            faces.face_instance,
        ),
        _Ground(surface, shaded, _SURFACES * _ground_light(light), _GRAIN, light.shadow),
        _Sky(light.zenith, light.horizon, light.glow, light.sun_direction, light.lamps_on, light.haze_m),
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
    clipped: FloatArray = np.clip(color, 0.0, 255.0)
    return clipped


_CASTS_NO_SHADOW: Final = tuple(
    MESH_INDEX[name] for name in ("lamp_post", "signal_red", "signal_yellow", "signal_green")
)


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


_GRAIN_REACH_M: Final = 90.0
_FLOOR_M: Final = 3.1

_Color = tuple[float, float, float]


class _Camera(NamedTuple):
    """Orientation (3, 3) and place (3,) of the camera in the world, and its pinhole matrix."""

    global_from_camera: FloatArray
    eye_m: FloatArray
    intrinsic: FloatArray


class _Faces(NamedTuple):
    """The face buffer, with the colour of each face and whether it is a house's wall."""

    inverse_depth: NDArray[np.float32]
    face: NDArray[np.int32]
    color: FloatArray
    is_facade: NDArray[np.bool_]
    normal: FloatArray
    instance: NDArray[np.int64]


class _Ground(NamedTuple):
    """The surface and the shadow seen in each pixel, the lit colours of surfaces, their grain."""

    surface: NDArray[np.uint8]
    shaded: NDArray[np.uint8]
    color: FloatArray
    grain: NDArray[np.float32]
    shadow: float


class _Sky(NamedTuple):
    """Colours of the sky, the direction of the sun, whether lamps are lit below it, and how far one sees."""

    zenith: FloatArray
    horizon: FloatArray
    glow: FloatArray
    sun_direction: FloatArray
    lamps_on: bool
    haze_m: float


@compiled(error_model="numpy")
def _shade(image: NDArray[np.uint8], camera: _Camera, faces: _Faces, ground: _Ground, sky: _Sky) -> None:
    """Colour every pixel of a BGR image: a face, or the ground, or the sky."""
    turn, intrinsic, eye = camera.global_from_camera, camera.intrinsic, camera.eye_m
    height, width = faces.face.shape
    for row in range(height):
        v = (row + 0.5 - intrinsic[1, 2]) / intrinsic[1, 1]
        for column in range(width):
            u = (column + 0.5 - intrinsic[0, 2]) / intrinsic[0, 0]
            # The pixel's ray, which gains one metre of depth with each unit of its length.
            dx = turn[0, 0] * u + turn[0, 1] * v + turn[0, 2]
            dy = turn[1, 0] * u + turn[1, 1] * v + turn[1, 2]
            dz = turn[2, 0] * u + turn[2, 1] * v + turn[2, 2]
            face = faces.face[row, column]
            if face >= 0:
                depth = 1.0 / faces.inverse_depth[row, column]
                point = (eye[0] + depth * dx, eye[1] + depth * dy, eye[2] + depth * dz)
                red, green, blue = _face_color(faces, face, point, sky.lamps_on)
            elif dz < -1e-4:
                depth = -eye[2] / dz
                red, green, blue = _ground_color(ground, row, column, eye[0] + depth * dx, eye[1] + depth * dy, depth)
            else:
                depth = 0.0
                red, green, blue = _sky_color(sky, dx, dy, dz)
            haze = depth / sky.haze_m
            haze = haze * haze / (1.0 + haze * haze)
            image[row, column, 0] = _byte(blue + haze * (sky.horizon[2] - blue))
            image[row, column, 1] = _byte(green + haze * (sky.horizon[1] - green))
            image[row, column, 2] = _byte(red + haze * (sky.horizon[0] - red))


@compiled(error_model="numpy")
def _byte(value: float) -> np.uint8:
    return np.uint8(min(max(value, 0.0), 255.0))


@compiled(error_model="numpy")
def _face_color(faces: _Faces, face: int, point_m: _Color, lamps_on: bool) -> _Color:
    """The colour of a face at a point of it."""
    red, green, blue = faces.color[face, 0], faces.color[face, 1], faces.color[face, 2]
    if not faces.is_facade[face]:
        return red, green, blue
    along = faces.normal[face, 0] * point_m[1] - faces.normal[face, 1] * point_m[0]
    part = _facade(along, point_m[2], faces.instance[face], lamps_on)
    if part == _WINDOW:
        return 0.3 * red + 12.0, 0.3 * green + 18.0, 0.3 * blue + 28.0
    if part == _LIT_WINDOW:
        return 255.0, 214.0, 138.0
    if part == _LEDGE:
        return 0.8 * red, 0.8 * green, 0.8 * blue
    return red, green, blue


_WALL, _WINDOW, _LIT_WINDOW, _LEDGE = range(4)


@compiled(error_model="numpy")
def _facade(along_m: float, z_m: float, building: int, lamps_on: bool) -> int:
    """What is at a place of a house's wall."""
    floor = int(z_m / _FLOOR_M)
    above_floor = z_m - _FLOOR_M * floor
    if z_m < 0.5 or (above_floor < 0.14 and floor > 0):
        return _LEDGE
    period = 2.3 + 0.35 * (building % 4)
    column = int(np.floor(along_m / period))
    place = along_m / period - column
    # Wide windows on the ground floor, where the shops are.
    margin, sill, lintel = (0.16, 0.5, 2.6) if floor == 0 else (0.3, 0.95, 2.45)
    if not (margin <= place <= 1.0 - margin and sill <= above_floor <= lintel):
        return _WALL
    someone_is_in = (column * 7919 + floor * 104729 + building * 1299721) % 97 < 34
    return _LIT_WINDOW if lamps_on and someone_is_in else _WINDOW


@compiled(error_model="numpy")
def _ground_color(ground: _Ground, row: int, column: int, x_m: float, y_m: float, depth_m: float) -> _Color:
    """The colour of the ground at a point, seen in a pixel."""
    brightness = 1.0
    if depth_m < _GRAIN_REACH_M:
        wrap = len(ground.grain) - 1  # the tile's side is a power of two
        fine = ground.grain[int(y_m * 24.0) & wrap, int(x_m * 24.0) & wrap]
        coarse = ground.grain[int(y_m * 2.3) & wrap, int(x_m * 2.3) & wrap]
        brightness += (fine - 1.0) / (1.0 + 0.0012 * depth_m * depth_m) + 0.6 * (coarse - 1.0)
    if ground.shaded[row, column]:
        brightness *= ground.shadow
    surface = ground.surface[row, column]
    return (
        brightness * ground.color[surface, 0],
        brightness * ground.color[surface, 1],
        brightness * ground.color[surface, 2],
    )


@compiled(error_model="numpy")
def _sky_color(sky: _Sky, dx: float, dy: float, dz: float) -> _Color:
    """The colour of the sky, or of the hills before it, in a direction."""
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    up = dz / length
    share = min(up * 2.2, 1.0)
    share = share * (2.0 - share)
    toward = max((dx * sky.sun_direction[0] + dy * sky.sun_direction[1] + dz * sky.sun_direction[2]) / length, 0.0)
    glow = toward**24 * 0.55 + toward**4 * 0.16
    red = (sky.horizon[0] + share * (sky.zenith[0] - sky.horizon[0])) * (1.0 - glow) + sky.glow[0] * glow
    green = (sky.horizon[1] + share * (sky.zenith[1] - sky.horizon[1])) * (1.0 - glow) + sky.glow[1] * glow
    blue = (sky.horizon[2] + share * (sky.zenith[2] - sky.horizon[2])) * (1.0 - glow) + sky.glow[2] * glow
    if up < _HIGHEST_HILL and up < _hill(np.arctan2(dy, dx)):
        return 0.62 * red + 6.0, 0.66 * green + 12.0, 0.70 * blue + 10.0
    return red, green, blue


_HIGHEST_HILL: Final = 0.04


@compiled(error_model="numpy")
def _hill(azimuth_rad: float) -> float:
    """Sine of the elevation of the hills on the horizon."""
    wave = 0.009 * np.sin(3.0 * azimuth_rad + 0.7) + 0.006 * np.sin(11.0 * azimuth_rad)
    return float(0.021 + wave + 0.002 * np.sin(37.0 * azimuth_rad))
