"""Colours every pixel of an image: what faces, the ground and the sky look like in it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenes.city.drawing.sloping_ground import SurfaceMap
from scenes.city.layout.terrain import Terrain, height_at
from scenes.compiled import compiled
from scenes.geometry import FloatArray

SAMPLES_A_SIDE: Final = 2
"""A pixel is the mean of this number of samples, squared."""

_Color = tuple[float, float, float]

_GRAIN_REACH_M: Final = 90.0
_LEVEL: Final = -1e-4
"""Rays that fall by less than this for a metre of depth do not meet the ground."""
_SURELY_FALLING: Final = -5e-3
"""The whole pixel around such a ray sees the ground."""
_STRIP_PX: Final = 64
"""The ground is lit in strips of a row, and not where nothing of it is seen."""
_TILE_BITS: Final = 9
_TILE_MASK: Final = np.int32(2**_TILE_BITS - 1)
GRAIN_TILE_PX: Final = 2**_TILE_BITS
"""Side of the square tile of grain: a power of two."""
_FLOOR_M: Final = 3.1


class CameraRays(NamedTuple):
    """Orientation (3, 3) and place (3,) of the camera in the world, and its pinhole matrix."""

    global_from_camera: FloatArray
    eye_m: FloatArray
    intrinsic: FloatArray


class Material(IntEnum):
    """How a face gets its colours: its own everywhere, a house's wall with windows, or what is painted there."""

    PLAIN = 0
    WALL = 1
    GROUND = 2


_PLAIN, _HOUSE_WALL, _PAINTED = int(Material.PLAIN), int(Material.WALL), int(Material.GROUND)


class DrawnFaces(NamedTuple):
    """The face buffer, with the colour of each face and its `Material`."""

    inverse_depth: NDArray[np.float32]
    face: NDArray[np.int32]
    color: FloatArray
    material: NDArray[np.uint8]
    normal: FloatArray
    instance: NDArray[np.int64]


class SeenGround(NamedTuple):
    """The surface and the shadow seen in each pixel, the lit colours of surfaces, their grain."""

    surface: NDArray[np.uint8]
    shaded: NDArray[np.uint8]
    color: FloatArray
    grain: NDArray[np.float32]
    shadow: float


class Slopes(NamedTuple):
    """Ground that is seen as faces: how high it lies, what it is covered with, and where the shadows fall."""

    terrain: Terrain
    painted: SurfaceMap
    shadows: SurfaceMap


class SeenSky(NamedTuple):
    """Colours of the sky, the direction of the sun, whether lamps are lit below it, and how far one sees."""

    zenith: FloatArray
    horizon: FloatArray
    glow: FloatArray
    sun_direction: FloatArray
    lamps_on: bool
    haze_m: float


@compiled(error_model="numpy")
def shade(
    image: NDArray[np.uint8],
    brightness: NDArray[np.float32],
    camera: CameraRays,
    faces: DrawnFaces,
    ground: SeenGround,
    slopes: Slopes,
    sky: SeenSky,
) -> None:
    """Colour every pixel of a BGR image (H, W, 3): a face, or the ground, or the sky.

    A pixel is the mean of four samples, which `faces` and `ground` hold (2 H, 2 W). Where all four see the same, what
    is smooth is taken once: the haze, the colour of a plain face, the sky; and a house's wall twice, across the pixel,
    since its windows are upright. That differs by about a grey level. `brightness` (2 H, 2 W) is memory to work with.
    """
    _light_ground(brightness, camera, faces.face, ground)
    has_slopes = len(slopes.terrain.amplitude_m) > 0
    if has_slopes:
        _light_slopes(brightness, camera, faces, ground, slopes)
    turn, intrinsic, eye = camera.global_from_camera, camera.intrinsic, camera.eye_m
    # A ray gains one metre of depth with each unit of its length; one sample right or down changes it by this.
    right_x, right_y, right_z = turn[:, 0] / intrinsic[0, 0]
    down_x, down_y, down_z = turn[:, 1] / intrinsic[1, 1]
    corner_x, corner_y, corner_z = (
        turn[:, 2] - turn[:, 0] * intrinsic[0, 2] / intrinsic[0, 0] - turn[:, 1] * intrinsic[1, 2] / intrinsic[1, 1]
    )
    clearness = 1.0 / sky.haze_m
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            v, u = 2.0 * row + 1.0, 2.0 * column + 1.0
            mx = corner_x + right_x * u + down_x * v
            my = corner_y + right_y * u + down_y * v
            mz = corner_z + right_z * u + down_z * v
            face = faces.face[2 * row, 2 * column]
            alike = (
                faces.face[2 * row, 2 * column + 1] == face
                and faces.face[2 * row + 1, 2 * column] == face
                and faces.face[2 * row + 1, 2 * column + 1] == face
            )
            on_ground = face < 0 and mz < _SURELY_FALLING
            in_sky = face < 0 and mz > 0.0 and mz * mz > _SURELY_ABOVE_HILLS**2 * (mx * mx + my * my + mz * mz)
            on_slope = has_slopes and _is_on_slope(faces, 2 * row, 2 * column)
            red = green = blue = depth = 0.0
            if on_slope or (alike and on_ground):
                depth = 1.0 / faces.inverse_depth[2 * row, 2 * column] if on_slope else -eye[2] / mz
                for sample in range(4):
                    r, c = 2 * row + (sample >> 1), 2 * column + (sample & 1)
                    share, surface = 0.25 * brightness[r, c], ground.surface[r, c]
                    red += share * ground.color[surface, 0]
                    green += share * ground.color[surface, 1]
                    blue += share * ground.color[surface, 2]
            elif alike and in_sky:
                red, green, blue = _sky_color(sky, mx, my, mz)
            elif alike and face >= 0 and faces.material[face] == _PLAIN:
                depth = 1.0 / faces.inverse_depth[2 * row, 2 * column]
                red, green, blue = faces.color[face, 0], faces.color[face, 1], faces.color[face, 2]
            else:
                upright = alike and face >= 0 and faces.material[face] == _HOUSE_WALL
                step = 3 if upright else 1
                lift = 0.0
                share = 0.5 if upright else 0.25
                for sample in range(0, 4, step):
                    below, right = sample >> 1, sample & 1
                    r, c = 2 * row + below, 2 * column + right
                    v, u = below - 0.5, right - 0.5
                    dx = mx + right_x * u + down_x * v
                    dy = my + right_y * u + down_y * v
                    dz = mz + right_z * u + down_z * v
                    face = faces.face[r, c]
                    painted = has_slopes and face >= 0 and faces.material[face] == _PAINTED
                    if face >= 0 and not painted:
                        far = 1.0 / faces.inverse_depth[r, c]
                        x, y, z = eye[0] + far * dx, eye[1] + far * dy, eye[2] + far * dz
                        if has_slopes and (sample == 0 or not upright):
                            lift = height_at(slopes.terrain, x, y)
                        seen = _face_color(faces, face, (x, y, z - lift), sky.lamps_on)
                    elif painted or dz < _LEVEL:
                        far = 1.0 / faces.inverse_depth[r, c] if painted else -eye[2] / dz
                        surface = ground.surface[r, c]
                        lit = float(brightness[r, c])
                        seen = (
                            lit * ground.color[surface, 0],
                            lit * ground.color[surface, 1],
                            lit * ground.color[surface, 2],
                        )
                    else:
                        far = 0.0
                        seen = _sky_color(sky, dx, dy, dz)
                    haze = _haze(far * clearness)
                    red += share * (seen[0] + haze * (sky.horizon[0] - seen[0]))
                    green += share * (seen[1] + haze * (sky.horizon[1] - seen[1]))
                    blue += share * (seen[2] + haze * (sky.horizon[2] - seen[2]))
            haze = _haze(depth * clearness)
            image[row, column, 0] = _byte(blue + haze * (sky.horizon[2] - blue))
            image[row, column, 1] = _byte(green + haze * (sky.horizon[1] - green))
            image[row, column, 2] = _byte(red + haze * (sky.horizon[0] - red))


@compiled(error_model="numpy", inline="always")
def _is_on_slope(faces: DrawnFaces, row: int, column: int) -> bool:
    """Whether the four samples from a row and a column on see sloping ground, whose cells are many faces."""
    for sample in range(4):
        face = faces.face[row + (sample >> 1), column + (sample & 1)]
        if face < 0 or faces.material[face] != _PAINTED:
            return False
    return True


@compiled(error_model="numpy", inline="always")
def _haze(depth: float) -> float:
    """What share of what is seen is haze, at a depth in units of that at which half of it is."""
    square = depth * depth
    return square / (1.0 + square)


@compiled(error_model="numpy", fastmath=True)
def _light_ground(
    brightness: NDArray[np.float32], camera: CameraRays, face: NDArray[np.int32], ground: SeenGround
) -> None:
    """Write what the ground's colour is multiplied by in each sample (2 H, 2 W): its grain and the shadows.

    Row by row and without branches, so that the compiler takes several samples at once; not above the horizon.
    """
    turn, intrinsic = camera.global_from_camera, camera.intrinsic
    rows, columns = ground.surface.shape
    eye_x, eye_y, eye_z = np.float32(camera.eye_m[0]), np.float32(camera.eye_m[1]), np.float32(camera.eye_m[2])
    grain, shaded, shadow = ground.grain.ravel(), ground.shaded, np.float32(ground.shadow)
    step = turn[:, 0] / intrinsic[0, 0]
    step_x, step_y, step_z = np.float32(step[0]), np.float32(step[1]), np.float32(step[2])
    u = (0.5 - intrinsic[0, 2]) / intrinsic[0, 0]
    for row in range(rows):
        v = (row + 0.5 - intrinsic[1, 2]) / intrinsic[1, 1]
        start = turn[:, 0] * u + turn[:, 1] * v + turn[:, 2]
        if min(start[2], start[2] + columns * step[2]) >= _LEVEL:
            continue
        start_x, start_y, start_z = np.float32(start[0]), np.float32(start[1]), np.float32(start[2])
        for begin in range(0, columns, _STRIP_PX):
            end = min(begin + _STRIP_PX, columns)
            least = np.int32(0)
            for column in range(begin, end):
                least = min(least, face[row, column])
            if least == 0:  # nothing but faces
                continue
            for column in range(begin, end):
                place = np.float32(column)
                depth = eye_z / max(-(start_z + place * step_z), np.float32(-_LEVEL))
                x_m = eye_x + depth * (start_x + place * step_x)
                y_m = eye_y + depth * (start_y + place * step_y)
                lit = _grain_at(grain, x_m, y_m, depth)
                brightness[row, column] = lit * shadow if shaded[row, column] else lit


@compiled(error_model="numpy", fastmath=True, inline="always")
def _grain_at(grain: NDArray[np.float32], x_m: np.float32, y_m: np.float32, depth_m: np.float32) -> np.float32:
    """How bright rough ground is at a place, around 1."""
    fine = grain[_tile_place(y_m * np.float32(24.0), x_m * np.float32(24.0))]
    coarse = grain[_tile_place(y_m * np.float32(2.3), x_m * np.float32(2.3))]
    rough = (fine - np.float32(1.0)) / (np.float32(1.0) + np.float32(0.0012) * depth_m * depth_m)
    rough += np.float32(0.6) * (coarse - np.float32(1.0))
    return np.float32(1.0) if depth_m >= np.float32(_GRAIN_REACH_M) else np.float32(1.0) + rough


@compiled(error_model="numpy")
def _light_slopes(
    brightness: NDArray[np.float32], camera: CameraRays, faces: DrawnFaces, ground: SeenGround, slopes: Slopes
) -> None:
    """Write the surface and the brightness of each sample (2 H, 2 W) that sees sloping ground."""
    turn, intrinsic, eye = camera.global_from_camera, camera.intrinsic, camera.eye_m
    grain = ground.grain.ravel()
    rows, columns = ground.surface.shape
    for row in range(rows):
        v = (row + 0.5 - intrinsic[1, 2]) / intrinsic[1, 1]
        for column in range(columns):
            face = faces.face[row, column]
            if face < 0 or faces.material[face] != _PAINTED:
                continue
            u = (column + 0.5 - intrinsic[0, 2]) / intrinsic[0, 0]
            depth = 1.0 / faces.inverse_depth[row, column]
            x_m = eye[0] + depth * (turn[0, 0] * u + turn[0, 1] * v + turn[0, 2])
            y_m = eye[1] + depth * (turn[1, 0] * u + turn[1, 1] * v + turn[1, 2])
            ground.surface[row, column] = _mapped(slopes.painted, x_m, y_m, ground.surface[row, column])
            lit = _grain_at(grain, np.float32(x_m), np.float32(y_m), np.float32(depth))
            brightness[row, column] = lit * ground.shadow if _mapped(slopes.shadows, x_m, y_m, 0) else lit


@compiled(error_model="numpy", inline="always")
def _mapped(seen: SurfaceMap, x_m: float, y_m: float, beyond: int) -> int:
    """What a map says of a place, `beyond` outside of it."""
    x_px, y_px = (x_m - seen.low_m[0]) * seen.pixels_per_m, (y_m - seen.low_m[1]) * seen.pixels_per_m
    height, width = seen.surface.shape
    if x_px < 0.0 or y_px < 0.0 or x_px >= width or y_px >= height:
        return beyond
    return int(seen.surface[np.uint32(y_px), np.uint32(x_px)])


@compiled(error_model="numpy", inline="always")
def _tile_place(row: np.float32, column: np.float32) -> np.int32:
    """Where a place on the ground, in pixels of the grain's tile, lies in the tile, flattened: it repeats."""
    return ((np.int32(row) & _TILE_MASK) << _TILE_BITS) | (np.int32(column) & _TILE_MASK)


@compiled(error_model="numpy", inline="always")
def _byte(value: float) -> int:
    return int(min(max(value, 0.0), 255.0))


@compiled(error_model="numpy", inline="always")
def _face_color(faces: DrawnFaces, face: int, point_m: _Color, lamps_on: bool) -> _Color:
    """The colour of a face at a point of it, of its height above the ground."""
    red, green, blue = faces.color[face, 0], faces.color[face, 1], faces.color[face, 2]
    if faces.material[face] != _HOUSE_WALL:
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


@compiled(error_model="numpy", inline="always")
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


@compiled(error_model="numpy", inline="always")
def _sky_color(sky: SeenSky, dx: float, dy: float, dz: float) -> _Color:
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
_SURELY_ABOVE_HILLS: Final = 0.05


@compiled(error_model="numpy")
def _hill(azimuth_rad: float) -> float:
    """Sine of the elevation of the hills on the horizon."""
    wave = 0.009 * np.sin(3.0 * azimuth_rad + 0.7) + 0.006 * np.sin(11.0 * azimuth_rad)
    return float(0.021 + wave + 0.002 * np.sin(37.0 * azimuth_rad))
